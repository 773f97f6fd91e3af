"""CASIA Chinese emotional speech: the free part of 1200 files, and the whole corpus of 9600.

::

    <part>/<speaker>/<emotion>/<number>.wav

    free:   {liuchanhg,wangzhe,zhaoquanyin,ZhaoZuoxiang}/{angry,fear,happy,neutral,sad,surprise}/{201..250}.wav
    whole:  相同文本300/  300 texts, the same for every speaker and emotion; names as above
            不同文本100/  100 texts of each speaker's own; {Chang.Liu,Zhe.Wang,Quanyin.Zhao,Zuoxiang.Zhao}, and 'normal' for neutral

Decisions:

- The names of the parts are GBK on disk, or what some unzipper made of them, so they are not looked at: a recording is known by its
  two innermost folders, and its part by how all of its speakers' folders are spelt. A part that is spelt in both ways, or that says
  'normal' of speakers spelt as in the shared part, is taken for the shared one and told: texts that are wrongly taken for different
  ones would hide from the audit that training and test share them.
- ``prompt`` is the text: the number in the shared part (everybody spoke all of them in all emotions, so a split must be by speaker
  or by text), the speaker and the number in the other.
- Some copies carry the texts in GB18030 lists, one ``201 text`` a line; they are read from the folders above the recordings where
  they are, and ``text`` is '' where they are not. Their layout is documented nowhere.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainables.corpora.emotions import EMOTION_CODES
from trainables.corpora.manifest import in_order
from trainables.corpora.readers._files import find_below, folders_in
from trainables.corpora.reading import About, Fact, Report
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import AUDIO_SUFFIXES, text_column
from trainables.errors import Faults, printable

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS: tuple[str, ...] = ()
KNOWN_MISSING: frozenset[str] = frozenset()
ABOUT = About(
    title="CASIA: Mandarin emotional speech, 4 actors, 6 emotions, 16 kHz",
    licence="research only; 1200 of the 9600 files were given away freely",
    apply_at="Chinese Linguistic Data Consortium, resource CLDC-SPC-2005-010 (chineseldc.org)",
    layout="folders <speaker>/<emotion>/<number>.wav, or the parts of the whole corpus with such folders in each",
    source="Institute of Automation, Chinese Academy of Sciences: CASIA Chinese emotional speech corpus (2005)",
)


class _Speaker(NamedTuple):
    name: str
    gender: str


_SPEAKERS = {
    "liuchanhg": _Speaker("liuchanhg", "female"),
    "liuchang": _Speaker("liuchanhg", "female"),
    "wangzhe": _Speaker("wangzhe", "male"),
    "zhaoquanyin": _Speaker("zhaoquanyin", "female"),
    "zhaozuoxiang": _Speaker("zhaozuoxiang", "male"),
}
"""Family name first, letters only, to the speaker; 'liuchanhg' is how the corpus itself misspells Liu Chang."""

_OTHER_SPELLING = {
    "changliu": "liuchang",
    "zhewang": "wangzhe",
    "quanyinzhao": "zhaoquanyin",
    "zuoxiangzhao": "zhaozuoxiang",
}
"""Given name first, as the part with different texts spells them."""

_EMOTIONS = {word: word for word in ("angry", "fear", "happy", "neutral", "sad", "surprise")} | {"normal": "neutral"}
_CELLS = 4 * 6
_LISTED = re.compile(r"\s*([0-9]{1,4})[\s.,:、．，：]+(\S.*)")


class _Recording(NamedTuple):
    """A recording's place: ``part`` is the folder that holds the speaker's."""

    path: str
    part: str
    speaker: str
    emotion: str
    number: str


def find_root(folder: Path) -> Path | None:
    """The folder that holds the speakers' folders, or the parts that do; two speakers at least, as one may be anybody's name."""
    return find_below(folder, lambda candidate: _holds_parts(candidate) or _holds_speakers(candidate))


def _holds_parts(folder: Path) -> bool:
    """One level above the speakers: two parts, or one whose name could not be a root because it is not Unicode."""
    parts = [part for part in folders_in(folder) if _speaker(part.name) is None and _holds_speakers(part)]
    return len(parts) > 1 or any(printable(part.name) != part.name for part in parts)


def _holds_speakers(folder: Path) -> bool:
    speakers = [path for path in folders_in(folder) if _speaker(path.name)]
    return len({_speaker(path.name) for path in speakers}) > 1 and any(
        emotion.name.lower() in _EMOTIONS for speaker in speakers for emotion in folders_in(speaker)
    )


def _speaker(name: str) -> _Speaker | None:
    letters = re.sub(r"[^a-z]", "", name.lower())
    return _SPEAKERS.get(_OTHER_SPELLING.get(letters, letters))


def options_from(settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """There are none."""
    return {}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per recording; the folders' emotions as codes in a role that needs them, else as the corpus' own words."""
    import pandas as pd

    root = Path(source.root)
    found = list(_recordings(root, report))
    if not found:
        report.add(f"no recordings in {root}; expected {ABOUT.layout}")
        return None
    if report.messages:
        return None
    own_texts = _parts_of_own_texts(found, report)
    lists = _text_lists(root)
    codes = ROLES[source.role].label == "emotion"
    rows = []
    for recording in found:
        speaker = _speaker(recording.speaker)
        emotion = _EMOTIONS[recording.emotion.lower()]
        own = recording.part in own_texts
        rows.append(
            {
                "segment": f"{speaker.name}-{emotion}-{'own' if own else 'shared'}-{recording.number}",
                "recording": recording.path,
                "speaker": speaker.name,
                "session": recording.path,
                "text": _text(recording, lists),
                "emotion": EMOTION_CODES[emotion] if codes else emotion,
                "gender": speaker.gender,
                "prompt": f"own-{speaker.name}-{recording.number}" if own else f"shared-{recording.number}",
            }
        )
    table = pd.DataFrame({name: text_column(row[name] for row in rows) for name in rows[0]})
    return in_order(table.assign(start=0.0, end=float("nan"), talker="subject", split=""))


def _recordings(root: Path, report: Report) -> Iterator[_Recording]:
    """Every recording of a known speaker and emotion; what is almost one is a fault, what lies elsewhere is skipped."""
    elsewhere = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(folder)
        recordings = sorted(name for name in files if name[:1] != "." and Path(name).suffix.lower() in AUDIO_SUFFIXES)
        if not recordings:
            continue
        speaker, emotion = place.parent.name, place.name
        where = printable(str(place))
        known = _speaker(speaker) is not None, emotion.lower() in _EMOTIONS
        if known == (True, False):
            report.add(f"{where}: unknown emotion {emotion!r}; expected one of {', '.join(_EMOTIONS)}: rename the folder")
        elif known == (False, True):
            report.add(f"{where}: unknown speaker {speaker!r}; expected one of {', '.join(_SPEAKERS)}: rename the folder")
        elif known == (False, False):
            elsewhere += [printable(str(place / name)) for name in recordings]
        else:
            part = place.parent.parent.relative_to(root).as_posix()
            for name in recordings:
                path = (place / name).relative_to(root).as_posix()
                yield _Recording(path, part, speaker, emotion, Path(name).stem)
    report.skip("recordings that lie in no folder <speaker>/<emotion>", elsewhere)


def _parts_of_own_texts(recordings: list[_Recording], report: Report) -> set[str]:
    """Parts whose speakers' folders are all spelt as those with different texts are: given name first."""
    spellings: dict[str, set[bool]] = {}
    normal = set()
    for recording in recordings:
        given_first = re.sub(r"[^a-z]", "", recording.speaker.lower()) in _OTHER_SPELLING
        spellings.setdefault(recording.part, set()).add(given_first)
        if recording.emotion.lower() == "normal":
            normal.add(recording.part)
    own = {part for part, found in spellings.items() if found == {True}}
    doubtful = sorted(part for part, found in spellings.items() if len(found) > 1 or (part in normal and part not in own))
    report.note("parts whose folders are spelt in both ways (all of their texts are taken for shared)", map(printable, doubtful))
    return own


def _text_lists(root: Path) -> dict[str, dict[str, str]]:
    """Folder (relative to the root) to the texts that lists in it give to numbers."""
    lists: dict[str, dict[str, str]] = {}
    for path in sorted(root.rglob("*.txt")):
        if path.name.startswith(".") or not path.is_file():
            continue
        matches = (_LISTED.fullmatch(line) for line in _decoded(path.read_bytes()).splitlines())
        texts = {match[1].zfill(3): match[2].strip() for match in matches if match}
        lists.setdefault(path.parent.relative_to(root).as_posix(), {}).update(texts)
    return lists


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030", errors="replace")


def _text(recording: _Recording, lists: dict[str, dict[str, str]]) -> str:
    """From the list in the nearest folder above the recording."""
    number = recording.number.zfill(3)
    above = Path(recording.path).parents
    return next((lists[folder.as_posix()][number] for folder in above if number in lists.get(folder.as_posix(), {})), "")


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Files, speakers, emotions and the fewest files in a cell of speaker and emotion; of the free part its hours too.

    Source: the metadata of the 1200 free files (0.64 h, 50 in each cell), and the corpus' own description of the whole (300 shared
    and 100 own texts of each speaker in each emotion).
    """
    whole = table["prompt"].str.startswith("own-").any() or len(table) > 50 * _CELLS
    each = 400 if whole else 50
    cells = Counter(zip(table["speaker"], table["emotion"], strict=True))
    fewest = min(cells.values()) if len(cells) == _CELLS else 0
    found = [
        Fact("speakers", 4, table["speaker"].nunique()),
        Fact("recordings", each * _CELLS, len(table)),
        Fact("recordings in the smallest of 24 cells of speaker and emotion", each, fewest),
    ]
    return found if whole else [*found, Fact("hours", 0.64, hours, tolerance=0.01)]
