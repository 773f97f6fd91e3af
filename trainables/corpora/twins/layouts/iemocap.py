"""IEMOCAP's layout: five sessions of dialogues, with ratings, transcripts, and the turns' own recordings.

Dialogues get IEMOCAP's names (``Ses01F_impro01``): the letter says who wears the markers, which is not who talks, and changes from
dialogue to dialogue here as the real corpus has both. The last letter of a turn's name (``Ses01F_impro01_M000``) is the talker's.

Lost: times below 0.1 ms. The single ratings are made up to agree with what the twin has: its means of two raters, its category.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.twins.layouts.parts import recordings, write_lines, write_sound

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
_WORDS = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "fru": "Frustration",
    "neu": "Neutral",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "oth": "Other",
}
_DISAGREEING = ("Neutral", "Frustration", "Sadness")
_CATEGORY_RATERS = ("C-E2", "C-E3", "C-E4")
_DIMENSION_RATERS = ("A-E3", "A-E4")


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root`` (IEMOCAP_full_release); see :func:`trainables.corpora.twins.layouts.write_layout`."""
    for recording, audio, rows in recordings(twin, twin.manifest(), progress):
        session, dialogue = official_name(Path(recording).stem)
        folder = root / f"Session{int(session.removeprefix('Ses'))}"
        turns = _named_turns(dialogue, rows)
        write_sound(audio, folder / "dialog" / "wav" / f"{dialogue}.wav")
        for turn in turns:
            write_sound(audio, folder / "sentences" / "wav" / dialogue / f"{turn['name']}.wav", turn["start"], turn["end"])
        _write_evaluation(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", turns)
        write_lines(folder / "dialog" / "transcriptions" / f"{dialogue}.txt", map(_transcript_line, turns))


def official_name(dialogue: str) -> tuple[str, str]:
    """Session and IEMOCAP's name of a twin's dialogue: 'Ses01_impro02' becomes 'Ses01M_impro02', 'script02' 'script02_1'.

    There are names for 27 dialogues of each style, more than a twin can have.
    """
    match = re.fullmatch(r"(Ses\d\d)_(impro|script)(\d+)", dialogue)
    assert match is not None  # trainables.corpora.twins.dialogues gives no others
    session, style, number = match[1], match[2], int(match[3]) - 1
    markers = "FM"[number % 2]
    again, first = divmod(number, 9)  # the names have one digit
    part = f"_{again + 1}" if style == "script" else ("", "a", "b")[again]
    return session, f"{session}{markers}_{style}0{first + 1}{part}"


def _named_turns(dialogue: str, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The turns in time, each with its name: the talker's letter and a number that counts the talker's turns."""
    turns: list[dict[str, Any]] = rows.to_dict("records")
    counts = {"F": 0, "M": 0}
    for turn in turns:
        letter = turn["gender"][0].upper()
        turn["name"] = f"{dialogue}_{letter}{counts[letter]:03d}"
        counts[letter] += 1
    return turns


def _write_evaluation(path: Path, turns: list[dict[str, Any]]) -> None:
    lines = [_HEADER, ""]
    for turn in sorted(turns, key=lambda turn: turn["name"]):
        means = [turn["valence"], turn["activation"], turn["dominance"]]
        bracket = ", ".join(f"{mean:.4f}" for mean in means)
        lines.append(f"[{turn['start']:.4f} - {turn['end']:.4f}]\t{turn['name']}\t{turn['emotion']}\t[{bracket}]")
        lines += [f"{rater}:\t{word};\t()" for rater, word in zip(_CATEGORY_RATERS, _votes(turn["emotion"]), strict=True)]
        ratings = ([int(mean) for mean in means], [int(2 * mean) - int(mean) for mean in means])
        lines += [
            f"{rater}:\tval {valence}; act {activation}; dom  {dominance};\t()"
            for rater, (valence, activation, dominance) in zip(_DIMENSION_RATERS, ratings, strict=True)
        ]
        lines.append("")
    write_lines(path, lines)


def _votes(emotion: str) -> tuple[str, ...]:
    return _DISAGREEING if emotion == "xxx" else (_WORDS[emotion],) * len(_CATEGORY_RATERS)


def _transcript_line(turn: dict[str, Any]) -> str:
    return f"{turn['name']} [{turn['start']:08.4f}-{turn['end']:08.4f}]: {turn['text']}"
