"""A small healthy tree of every layout that a reader knows, for the fuzzer to damage: each opens without a fault as written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.trainables.corpora.readers import daic_trees, iemocap_trees, mosei_trees, msp_podcast_trees
from tests.trainables.corpora.readers.open_trees import write_text, write_tone

EMOTIONS = ("angry", "happy", "sad")


class Layout(NamedTuple):
    """A reader's layout: the role that it is opened in, what writes it, and what its table in corpora.toml needs."""

    reader: str
    role: str
    write: Callable[[Path], object]
    settings: str = ""


def write_daic(root: Path) -> None:
    daic_trees.write_daic(root)
    for people in daic_trees.SCORES.values():
        for session in people:
            write_tone(root / f"{session}_P" / f"{session}_AUDIO.wav", 3, rate=8000)


def write_edaic(root: Path) -> None:
    daic_trees.write_edaic(root)
    for people in daic_trees.SCORES.values():
        for session in people:
            write_tone(root / "data" / f"{session}_P" / f"{session}_AUDIO.wav", 20, rate=2000)


def write_podcast(root: Path) -> None:
    rows = [
        (f"MSP-PODCAST_000{speaker}_000{number}.wav", "AHSN"[number], "4", "4", "4", str(speaker), "Male", split)
        for speaker, split in ((1, "Train"), (2, "Train"), (3, "Development"), (4, "Test1"))
        for number in range(4)
    ]
    msp_podcast_trees.write_podcast(root, rows)
    for name, *_ in rows:
        write_tone(root / "Audios" / name)


def write_librispeech(root: Path) -> None:
    write_text(
        root / "SPEAKERS.TXT", ";ID|SEX|SUBSET|MINUTES|NAME\n60 | M | train-clean-100 | 20.1 | |CBW|Simon\n84|F|dev-clean|8|A\n"
    )
    for folder, name in (("train-clean-100/60/121", "60-121"), ("dev-clean-2/84/12", "84-12")):
        write_text(root / folder / f"{name}.trans.txt", f"{name}-0000 SO\n{name}-0001 WHAT NOW\n")
        for number in range(2):
            write_tone(root / folder / f"{name}-000{number}.flac")


def write_casia(root: Path) -> None:
    for speaker in ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang"):
        for emotion in ("angry", "fear", "happy", "neutral", "sad", "surprise"):
            write_tone(root / speaker / emotion / "201.wav", 0.02)


def write_sre(root: Path) -> None:
    write_interviews(root, "speaker,subject_type,bdi_ii,task,emotional_valence", "{who},{word},{score},interview,positive")


def write_mdd(root: Path) -> None:
    write_interviews(root, "speaker,diagnosis,start,end,talker", "{who},{word},0,0.05,subject")


def write_interviews(root: Path, header: str, row: str) -> None:
    people = [("d1", "depressed", 17), ("d2", "depressed", 20), ("h1", "healthy", 3), ("h2", "healthy", 0)]
    lines = [f"{who}.wav," + row.format(who=who, word=word, score=score) for who, word, score in people]
    write_text(root / "manifest.csv", "\n".join([f"file_name,{header}", *lines]) + "\n")
    for who, _, _ in people:
        write_tone(root / f"{who}.wav")


def write_kaldi(root: Path) -> None:
    names = [f"u{number}" for number in range(6)]
    write_text(root / "wav.scp", "".join(f"r{name} audio/{name}.wav\n" for name in names))
    write_text(root / "segments", "".join(f"{name} r{name} 0.0 0.05\n" for name in names))
    write_text(root / "utt2spk", "".join(f"{name} s{number % 3}\n" for number, name in enumerate(names)))
    write_text(root / "text", "".join(f"{name} so what\n" for name in names))
    write_text(root / "spk2gender", "s0 f\ns1 m\ns2 f\n")
    write_text(root / "utt2emotion", "".join(f"{name} {EMOTIONS[number % 2]}\n" for number, name in enumerate(names)))
    for name in names:
        write_tone(root / "audio" / f"{name}.wav")


def write_emobox(root: Path) -> None:
    lines = []
    for speaker in ("a", "b", "c"):
        for emotion in EMOTIONS:
            wav = f"downloads/x/{speaker}/{emotion}.wav"
            record = {"key": f"{speaker}-{emotion}", "dataset": "x", "wav": wav, "type": "raw", "sample_rate": 16000}
            lines.append(json.dumps(record | {"num_frame": 1600, "task": "category", "length": 0.1, "emo": emotion, "channel": 1}))
            write_tone(root / wav)
    write_text(root / "data/x/x.jsonl", "\n".join(lines) + "\n")


def write_audformat(root: Path) -> None:
    from tests.trainables.corpora.readers.test_audformat import write_database

    write_database(root, segmented=True, storage="csv")


def write_lhotse(root: Path) -> None:
    from tests.trainables.corpora.readers.test_lhotse import write_part

    write_part(root, "train")
    write_part(root, "test")


def sentences(root: Path) -> list[dict[str, str]]:
    rows = []
    for number in range(8):
        write_tone(root / "audio" / f"{number}.wav")
        row = {"file_name": f"audio/{number}.wav", "speaker": f"00{number % 4}", "emotion": EMOTIONS[number % 3], "start": "0"}
        rows.append(row | {"end": "0.05", "text": "so, what", "session": f"s{number}"})
    return rows


def write_generic(root: Path) -> None:
    rows = sentences(root)
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_json_lines(root: Path) -> None:
    write_text(root / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in sentences(root)))


def write_parquet(root: Path) -> None:
    import pandas as pd

    pd.DataFrame(sentences(root)).to_parquet(root / "metadata.parquet")


LAYOUTS = {
    "iemocap": Layout("iemocap", "iemocap", iemocap_trees.write_iemocap),
    "iemocap dialogues": Layout("iemocap", "iemocap", lambda root: iemocap_trees.write_iemocap(root, sentences=False)),
    "mosei sdk": Layout("mosei", "mosei", lambda root: mosei_trees.write_sdk(root, rate=2000)),
    "mosei mmsa": Layout("mosei", "mosei", mosei_trees.write_mmsa),
    "daic_woz": Layout("daic_woz", "daic_woz", write_daic),
    "e-daic": Layout("daic_woz", "daic_woz", write_edaic),
    "msp_podcast": Layout("msp_podcast", "msp_podcast", write_podcast),
    "librispeech": Layout("librispeech", "librispeech", write_librispeech),
    "casia": Layout("casia", "casia", write_casia),
    "sre": Layout("sre", "sre", write_sre),
    "mdd": Layout("mdd", "mdd", write_mdd),
    "kaldi": Layout("kaldi", "msp_podcast", write_kaldi),
    "emobox": Layout("emobox", "msp_podcast", write_emobox, 'speaker_pattern = "downloads/x/([^/]+)/"'),
    "audformat": Layout("audformat", "msp_podcast", write_audformat, "emotion = { glee = 'hap' }"),
    "lhotse": Layout("lhotse", "msp_podcast", write_lhotse),
    "generic csv": Layout("generic", "msp_podcast", write_generic),
    "generic jsonl": Layout("generic", "msp_podcast", write_json_lines),
    "generic parquet": Layout("generic", "msp_podcast", write_parquet),
}
"""Every reader at least once, and twice where it reads two layouts."""
