"""Manifests in which nothing leaks, for tests that plant one thing in them, and the twins' own without their sound."""

from __future__ import annotations

import pandas as pd

from trainables.chance import ChanceClassifier
from trainables.corpora.inventory import AudioFile
from trainables.corpora.manifest import in_order
from trainables.corpora.twins.recipe import RECIPES
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.turns import planned_seconds
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.findings import Leak
from trainables.leakage.interviews import find_interview_leaks
from trainables.leakage.overlaps import find_overlaps
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import Protocol

EMOTIONS = ("ang", "hap", "sad", "neu")


def interviews(sessions: int = 16, speakers: int | None = None) -> pd.DataFrame:
    """Interviews: a subject each, by turns healthy and depressed, whose four answers nobody else gives; an interviewer asks."""
    rows = []
    for number in range(sessions):
        for turn in range(8):
            asked = turn % 2 == 0
            rows.append(
                {
                    "segment": f"s{number:02d}_{turn}",
                    "recording": f"s{number:02d}.wav",
                    "start": 5.0 * turn,
                    "end": 5.0 * turn + 4.5,
                    "speaker": "ellie" if asked else f"p{number % (speakers or sessions):02d}",
                    "talker": "interviewer" if asked else "subject",
                    "session": f"s{number:02d}",
                    "split": "",
                    "text": "how have you been sleeping since we met last" if asked else said(number, turn),
                    "depressed": float(number % (speakers or sessions) % 2),
                }
            )
    return in_order(pd.DataFrame(rows))


def utterances(speakers: int = 10, each: int = 8, splits: bool = True) -> pd.DataFrame:
    """Utterances, a file and a session each, in four emotions; with splits six speakers train, two select and two are scored."""
    rows = []
    for number in range(speakers * each):
        speaker, index = divmod(number, each)
        split = ("train" if speaker < 0.6 * speakers else "dev" if speaker < 0.8 * speakers else "test") if splits else ""
        rows.append(
            {
                "segment": f"u{number:04d}",
                "recording": f"u{number:04d}.wav",
                "start": 0.0,
                "end": 3.0,
                "speaker": f"v{speaker:02d}",
                "talker": "subject",
                "session": f"u{number:04d}",
                "split": split,
                "text": said(speaker, index),
                "emotion": EMOTIONS[index % 4],
                "style": "improvised",
            }
        )
    return in_order(pd.DataFrame(rows))


def said(*numbers: int) -> str:
    """A sentence of nine words, of which those of other numbers are others."""
    name = "x".join(map(str, numbers))
    return " ".join(f"{word}{name}" for word in ("we", "went", "down", "to", "the", "old", "harbour", "by", "night"))


def inventory(table: pd.DataFrame) -> dict[str, AudioFile]:
    """Recordings, each of its own content and a minute long."""
    return {name: AudioFile(size=1, content=f"bytes of {name}", seconds=60.0) for name in table["recording"].unique()}


def twin_manifest(role: str) -> pd.DataFrame:
    """The manifest of a role's twin, its times as planned instead of as spoken."""
    rows = []
    for recording in write_script(RECIPES[role]):
        end = 0.0
        for number, turn in enumerate(recording.turns):
            start = max(0.0, end + turn.pause)
            end = start + planned_seconds(turn.text, turn.voice, turn.style)
            fields = {
                "segment": f"{recording.name}_{number:03d}",
                "recording": f"{recording.name}.flac",
                "start": start,
                "end": end,
            }
            told = {"speaker": turn.speaker, "talker": turn.talker, "text": turn.text, **turn.labels}
            rows.append({**fields, "session": recording.session, "split": recording.split, **told})
    table = pd.DataFrame(rows)
    words = [name for name in ("emotion", "prompt", "style", "gender", "task", "stimulus") if name in table]
    return in_order(table.fillna(dict.fromkeys(words, "")))


def scored(task: str, protocol: Protocol, **settings: object) -> ChanceClassifier:
    """The cheapest stage that is divided by a protocol; sessions are the units of a diagnosis, utterances of any other task."""
    unit = "session" if task == "depression" else "utterance"
    features = LogMelFeatures(corpus="audited", unit=unit)
    return ChanceClassifier(features=features, strategy="most_frequent", task=task, protocol=protocol, **settings)


def findings(
    table: pd.DataFrame, task: str, protocol: Protocol, files: dict[str, AudioFile] | None = None, **settings: object
) -> list[Leak]:
    """All that the audit of the data finds in one division."""
    corpus = AuditedCorpus("audited", table, inventory(table) if files is None else files)
    stage = scored(task, protocol, **settings)
    bits = ChainAudit({"audited": corpus}).bits(stage)
    return find_overlaps(corpus, bits, protocol, stage.features.unit) + find_interview_leaks(corpus)


def kinds(found: list[Leak], severity: str = "leak") -> set[str]:
    """The kinds of the findings of one severity."""
    return {leak.kind for leak in found if leak.severity == severity}
