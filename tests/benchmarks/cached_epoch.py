"""One epoch of 500 clips of 5 s in batches of 64: features from a shard against wav and librosa, wall time, page cache warm.

python tests/benchmarks/cached_epoch.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import librosa
import soundfile
import torch
from _ratio import Goal, arguments, interleaved, one_thread, report, rows

from trainables.features.log_mel import LogMel
from trainables.features.shards import FeatureShard, FeatureWriter
from trainables.numerics import keep_freed_memory, seeded

GOAL = 80
CLIPS, SAMPLES, BATCH = 500, 80000, 64


def _prepare(folder: Path) -> list[Path]:
    """Write the wav files, and their log-mel spectrograms as float16, into ``folder``."""
    log_mel, generator = LogMel(), torch.Generator().manual_seed(seeded(0, "clips"))
    files = [folder / f"{number}.wav" for number in range(CLIPS)]
    with FeatureWriter(folder, 1 + SAMPLES // 160, 64, "float16") as writer:
        for file in files:
            clip = 0.1 * torch.randn(SAMPLES, generator=generator)
            soundfile.write(file, clip.numpy(), 16000, subtype="PCM_16")
            writer.append(log_mel(torch.from_numpy(soundfile.read(file, dtype="float32")[0])))
    return files


def _from_wav(file: Path) -> torch.Tensor:
    samples, rate = soundfile.read(file, dtype="float32")
    power = librosa.feature.melspectrogram(
        y=samples, sr=rate, n_fft=512, hop_length=160, n_mels=64, fmin=50, fmax=8000, pad_mode="reflect"
    )
    return torch.from_numpy(librosa.power_to_db(power, top_db=None).T)


def main() -> int:
    """Check that both give the same features, time, report."""
    options = arguments(__doc__, rounds=5)
    keep_freed_memory()
    one_thread()
    with tempfile.TemporaryDirectory() as name:
        files = _prepare(Path(name))
        shard = FeatureShard(Path(name))
        order = torch.randperm(CLIPS, generator=torch.Generator().manual_seed(seeded(0, "order")))
        loaders = {
            "wav + librosa": lambda batch: torch.stack([_from_wav(files[index]) for index in batch.tolist()]),
            "FeatureShard, float16": shard.gather,
        }
        decoded, cached = (load(order[:BATCH]) for load in loaders.values())
        error = float((decoded - cached).abs().max())
        # Only the shape is kept: as in training, a batch is gone before the next is made.
        variants = {name: lambda load=load: [load(batch).shape for batch in order.split(BATCH)] for name, load in loaders.items()}
        seconds = interleaved(variants, options.rounds, "wall")
    table = rows(seconds, {"FeatureShard, float16": {"max dB": error}})
    goals = [Goal(f"at least {GOAL} x wav + librosa", table[1].ratio >= GOAL), Goal("error at most 0.04 dB", error <= 0.04)]
    return report("epoch of 500 clips of 5 s", {"": table}, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
