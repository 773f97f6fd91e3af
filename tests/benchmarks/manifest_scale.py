"""A manifest of a million segments: read, checked, digested, divided and audited on one core (goal: 60 s and 4 GiB together), by
three protocols, one of them with all of its five folds for two seeds.

    python tests/benchmarks/manifest_scale.py [SEGMENTS]

The index is made up and has no audio: 20 segments a speaker, four a recording, own splits, transcripts of eight to eleven words.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path, as the other benchmarks are

import numpy as np
import pandas as pd

from trainables.chance import ChanceClassifier
from trainables.corpora import generic
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.inventory import AudioFile, content_digest
from trainables.corpora.manifest import check_table
from trainables.corpora.reading import Report
from trainables.errors import Faults
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.overlaps import find_overlaps
from trainables.leakage.sets import set_bits
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import Protocol
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30

GOAL_SECONDS, GOAL_GIB = 60, 4
_SPEAKER, _RECORDING = 20, 4  # segments of each
_SEEDS = 2
_WORDS = np.array([f"word{number:04d}" for number in range(5000)])


def write_index(path: Path, segments: int) -> None:
    """A CSV of so many segments, all strings different enough that nothing is shared between speakers."""
    rng, number = np.random.default_rng(0), np.arange(segments)
    speaker = number // _SPEAKER
    table = pd.DataFrame({"segment": number, "recording": number // _RECORDING, "speaker": speaker})
    for name, width in (("segment", 8), ("recording", 7), ("speaker", 6)):
        table[name] = name[0] + table[name].astype(str).str.zfill(width)
    table["recording"] += ".wav"
    table["start"] = 6.0 * (number % _RECORDING)
    table["end"] = table["start"] + rng.uniform(1, 5.9, segments).round(3)
    table["split"] = np.array(["train", "train", "train", "dev", "test"])[speaker % 5]
    table["emotion"] = np.array(["ang", "hap", "sad", "neu"])[rng.integers(0, 4, segments)]
    table["text"] = [" ".join(words) for words in _WORDS[rng.integers(0, len(_WORDS), (segments, 9))]]
    table.to_csv(path, index=False)


def inventory(table: pd.DataFrame) -> dict[str, AudioFile]:
    """What would be known of the recordings."""
    names = table["recording"].unique().tolist()
    return {name: AudioFile.model_construct(size=1, content=f"{number:032x}", seconds=30.0) for number, name in enumerate(names)}


@contextmanager
def timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    """Measure and print a step."""
    began = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - began
    print(f"{step:32s} {seconds[step]:6.1f} s   peak {peak_gib():.2f} GiB", flush=True)


def peak_gib() -> float:
    """Most memory that this process has had, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def stage(protocol: Protocol, **division: int) -> ChanceClassifier:
    """The cheapest stage that is divided; ``division`` is a fold, a seed."""
    features = LogMelFeatures(corpus="msp_podcast", unit="utterance")
    return ChanceClassifier(features=features, strategy="most_frequent", task="emotion4", protocol=protocol, **division)


def measure(segments: int) -> dict[str, float]:
    """Seconds of each step."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder) / "metadata.csv", segments)
        print(f"{segments:,} segments; the index is written, peak {peak_gib():.2f} GiB")
        options = {"manifest": None, "columns": {}, "values": {}}
        source = CorpusSource(role="msp_podcast", name="made-up", reader="generic", root=folder, options=options, digest="")
        report = Report("the index")
        with timed("read", seconds):
            table = generic.read_manifest(source, report)
    report.raise_if_any()
    files = inventory(table)
    faults = Faults("the index")
    with timed("check", seconds):
        check_table(table, "msp_podcast", faults)
    faults.raise_if_any()
    with timed("digest", seconds):
        content_digest(table, files)
    corpus = AuditedCorpus("msp_podcast", table, files)
    for protocol in (OWN_SPLITS, SPEAKERS_70_30):
        with timed(f"divide by {protocol.name}", seconds):
            bits = set_bits(corpus, stage(protocol))
        with timed(f"audit {protocol.name}", seconds):
            found = find_overlaps(corpus, bits, protocol, "utterance")
        assert not found, found
    for seed in range(_SEEDS):
        audit_folds(corpus, seed, seconds)
    return seconds


def audit_folds(corpus: AuditedCorpus, seed: int, seconds: dict[str, float]) -> None:
    """All folds of a cross-validation, as a sweep asks for them."""
    with timed(f"{SPEAKERS_5_FOLD.name}, all of seed {seed}", seconds):
        for fold in range(SPEAKERS_5_FOLD.folds):
            bits = set_bits(corpus, stage(SPEAKERS_5_FOLD, fold=fold, seed=seed))
            found = find_overlaps(corpus, bits, SPEAKERS_5_FOLD, "utterance")
            assert not found, found


def main() -> None:
    """Print the seconds of each step and whether the goal is met."""
    segments = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    total = sum(measure(segments).values())
    print(f"{'in all':32s} {total:6.1f} s   peak {peak_gib():.2f} GiB   (goal: {GOAL_SECONDS} s, {GOAL_GIB} GiB)")
    sys.exit(total > GOAL_SECONDS or peak_gib() > GOAL_GIB)


if __name__ == "__main__":
    main()
