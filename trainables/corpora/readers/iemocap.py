"""The reader for IEMOCAP as USC delivers it (``IEMOCAP_full_release``): five sessions, two actors each, ten speakers.

Labels are those of ``dialog/EmoEvaluation/*.txt``, one line per turn among its raters' lines::

    [6.2901 - 8.2357]<TAB>Ses01F_impro01_F000<TAB>neu<TAB>[2.5000, 2.5000, 2.5000]

The bracket is valence, activation, dominance, from 1 to 5 (MSP-Podcast's order is another one).

Decisions:

- The speaker is the session and the letter of the name's *last* part. The letter in ``Ses01F`` says who wore the markers; often it
  is the other one who talks. Names are divided from the right, because dialogues are called ``impro05a`` and ``script01_1b`` too.
- ``session`` is the dialogue. The recording session, which leave-one-session-out holds out, is the speaker's first five letters.
- Turns come from ``sentences/wav`` (16 kHz, one file a turn) if any session has it, else from ``dialog/wav`` by their times. Never
  from both, because they are not cut from the same channels.
- ``prompt`` is the script (``script01_1``, also of its second part ``script01_1b``), which all sessions speak word by word;
  improvised dialogues have none.
- Turns named ``_FXX0`` have neither a label nor audio of their own, and are left out, as everybody does.
- A turn without a transcript stays, with an empty text; it is noted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainables.corpora.manifest import in_order
from trainables.corpora.readers._files import find_below, read_text, visible
from trainables.corpora.reading import About, Fact, Report
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS: tuple[str, ...] = ()
ABOUT = About(
    title="IEMOCAP: interactive emotional dyadic motion capture database; English, ten actors in scripted and improvised dialogues",
    licence="free for research after signing USC's release form; not to be passed on",
    apply_at="https://sail.usc.edu/iemocap/iemocap_release.htm",
    layout="Session1 to Session5, each with dialog/EmoEvaluation, dialog/transcriptions and sentences/wav (or dialog/wav)",
    source="Busso et al., IEMOCAP: interactive emotional dyadic motion capture database, Lang. Resources & Evaluation 42, 2008",
)
KNOWN_MISSING: frozenset[str] = frozenset()

CODES = {
    "xxx": 2507,
    "fru": 1849,
    "neu": 1708,
    "ang": 1103,
    "sad": 1084,
    "exc": 1041,
    "hap": 595,
    "sur": 107,
    "fea": 40,
    "oth": 3,
    "dis": 2,
}
"""The categories and how many of the 10,039 turns have each; 'xxx' where the raters did not agree."""

_FOUR_CLASSES = ("ang", "sad", "neu", "hap", "exc")
_FOUR_CLASS_TURNS = {"Ses01": 1085, "Ses02": 1023, "Ses03": 1151, "Ses04": 1031, "Ses05": 1241}

_NAME = re.compile(r"(?P<session>Ses0[1-5])[FM]_(?P<scenario>(?:impro|script)\w+)_(?P<talker>[FM])(?:\d{3}|(?P<unlabelled>XX\d))")
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_TURN = re.compile(rf"\[{_NUMBER}-{_NUMBER}\]\s+(\S+)\s+(\S+)\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]")
_RATER = re.compile(r"[CA]-[EFM]\d*\s*:")
_TRANSCRIPT = re.compile(r"(Ses0[1-5]\w+)\s*\[[^\]]*\]\s*:\s*(.*)")


class _Turn(NamedTuple):
    """One labelled turn, in the columns that its line gives; ``folder`` is its session's, such as 'Session1'."""

    folder: str
    segment: str
    start: float
    end: float
    emotion: str
    valence: float
    activation: float
    dominance: float


def find_root(folder: Path) -> Path | None:
    """Where the folders of the sessions lie."""
    return find_below(folder, lambda candidate: any((path / "dialog" / "EmoEvaluation").is_dir() for path in _sessions(candidate)))


def options_from(settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """This reader has no settings."""
    return {}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The labelled turns; see the module's decisions."""
    import pandas as pd

    root = Path(source.root)
    unlabelled: set[str] = set()
    turns = _labelled_turns(root, unlabelled, report)
    if not turns:
        report.add(f"{root}: no labelled turn in Session1 to Session5, dialog/EmoEvaluation/*.txt; copy the release again")
        return None
    texts = _transcripts(root, unlabelled, report)
    report.skip("turns without a label and audio of their own (_XX)", sorted(unlabelled))
    by_sentence = any((session / "sentences" / "wav").is_dir() for session in _sessions(root))
    _skip_unlabelled_audio(root, by_sentence, turns, report)
    report.note(
        "turns without a transcript (they stay, with an empty text)", (turn.segment for turn in turns if turn.segment not in texts)
    )
    return in_order(pd.DataFrame([_row(turn, texts.get(turn.segment, ""), by_sentence) for turn in turns]))


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Busso et al. (2008) and counts of the release: turns, labels, and the usual four classes of every session.

    Hours are those of the turns, which in the layout without sentences are a part of the recordings.
    """
    by_time = table["end"].notna().all()
    four = table[table["emotion"].isin(_FOUR_CLASSES)]
    sessions = four["speaker"].str[:5]
    styles = table["style"]
    return [
        Fact("turns", 10039, len(table)),
        Fact("speakers", 10, table["speaker"].nunique()),
        Fact("dialogues", 151, table["session"].nunique()),
        Fact("hours of turns", 12, (table["end"] - table["start"]).sum() / 3600 if by_time else hours, 1),
        *(Fact(f"turns labelled {code}", count, int((table["emotion"] == code).sum())) for code, count in CODES.items()),
        Fact("turns of the four classes (ang, sad, neu, hap with exc)", sum(_FOUR_CLASS_TURNS.values()), len(four)),
        *(
            Fact(f"turns of the four classes in session {name[-1]}", count, int((sessions == name).sum()))
            for name, count in _FOUR_CLASS_TURNS.items()
        ),
        Fact("scripted turns", 5255, int((styles == "scripted").sum())),
        Fact("improvised turns", 4784, int((styles == "improvised").sum())),
        Fact("turns of men", 5098, int((table["gender"] == "male").sum())),
        Fact("turns of women", 4941, int((table["gender"] == "female").sum())),
    ]


def _sessions(root: Path) -> list[Path]:
    return visible(root, "Session[1-5]")


def _labelled_turns(root: Path, unlabelled: set[str], report: Report) -> list[_Turn]:
    turns = []
    for session in _sessions(root):
        files = visible(session / "dialog" / "EmoEvaluation", "*.txt")  # its subfolders hold each rater's own labels
        if not files:
            report.add(f"{session}: no labels in dialog/EmoEvaluation/*.txt; copy them, or remove the session's folder")
        for path in files:
            try:
                turns += _turns_of(path, session.name, unlabelled, report)
            except UserError as error:
                report.add(str(error))
    return turns


def _turns_of(path: Path, folder: str, unlabelled: set[str], report: Report) -> list[_Turn]:
    """The turns of one dialogue. Raters' lines are passed over, and so is what neither looks like a turn nor names one."""
    turns, damaged = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name = _NAME.search(line)
        if _RATER.match(line) or (name is None and not line.startswith("[")):
            continue
        turn = _TURN.fullmatch(line.strip())
        if name and name["unlabelled"]:
            unlabelled.add(name[0])
        elif turn is None or not _NAME.fullmatch(turn[3]) or turn[4].lower() not in CODES:
            damaged.append(f"line {number} {line.strip()[:80]!r}")
        elif turn[3].rsplit("_", 1)[0] != path.stem:
            damaged.append(f"line {number} (a turn of another dialogue, {turn[3]})")
        else:
            start, end, valence, activation, dominance = (float(turn[index]) for index in (1, 2, 5, 6, 7))
            turns.append(_Turn(folder, turn[3], start, end, turn[4].lower(), valence, activation, dominance))
    if damaged:
        report.add(
            f"{path}: {len(damaged)} line(s) cannot be understood, the first is {damaged[0]}; expected "
            f"'[start - end] turn label [valence, activation, dominance]' with a label of {', '.join(CODES)}: copy the file again"
        )
    return turns


def _transcripts(root: Path, unlabelled: set[str], report: Report) -> dict[str, str]:
    """Turn to its words. Other lines ('M: ...') belong to no turn."""
    texts: dict[str, str] = {}
    for path in visible(root, "Session[1-5]/dialog/transcriptions/*.txt"):
        try:
            lines = read_text(path).splitlines()
        except UserError as error:
            report.add(str(error))
            continue
        found = [match.groups() for line in lines if (match := _TRANSCRIPT.match(line.strip()))]
        texts |= {name: words.strip() for name, words in found}
        unlabelled.update(name for name, _ in found if (parts := _NAME.fullmatch(name)) and parts["unlabelled"])
    return texts


def _skip_unlabelled_audio(root: Path, by_sentence: bool, turns: list[_Turn], report: Report) -> None:
    pattern = "Session[1-5]/sentences/wav/*/*.wav" if by_sentence else "Session[1-5]/dialog/wav/*.wav"
    labelled = {turn.segment if by_sentence else turn.segment.rsplit("_", 1)[0] for turn in turns}
    extra = [path.relative_to(root).as_posix() for path in visible(root, pattern) if path.stem not in labelled]
    report.skip("audio files without a label", extra)


def _row(turn: _Turn, text: str, by_sentence: bool) -> dict[str, Any]:
    parts = _NAME.fullmatch(turn.segment)
    assert parts is not None  # _turns_of keeps no other names
    dialogue = turn.segment.rsplit("_", 1)[0]
    scripted = parts["scenario"].startswith("script")
    sentence, recording = f"sentences/wav/{dialogue}/{turn.segment}.wav", f"dialog/wav/{dialogue}.wav"
    return {
        "segment": turn.segment,
        "recording": f"{turn.folder}/{sentence if by_sentence else recording}",
        "start": 0.0 if by_sentence else turn.start,
        "end": float("nan") if by_sentence else turn.end,
        "speaker": parts["session"] + parts["talker"],
        "talker": "subject",
        "session": dialogue,
        "split": "",
        "text": text,
        "emotion": turn.emotion,
        "valence": turn.valence,
        "activation": turn.activation,
        "dominance": turn.dominance,
        "gender": "female" if parts["talker"] == "F" else "male",
        "style": "scripted" if scripted else "improvised",
        "prompt": parts["scenario"].rstrip("ab") if scripted else "",
        "conversation_start": turn.start,
    }
