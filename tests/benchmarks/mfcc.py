"""MFCC of 32 segments of 4 s: Mfcc against librosa in a loop, CPU time of one thread.

python tests/benchmarks/mfcc.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import sys

import librosa
import numpy as np
import torch
from _ratio import Goal, arguments, interleaved, one_thread, report, rows

from trainables.features.mfcc import Mfcc
from trainables.numerics import keep_freed_memory

GOAL = 2.0


def _segments() -> torch.Tensor:
    """Voiced-like harmonic tones in noise, rounded to 16 bits, ``[32, 64000]``; the last second of every fourth one is padding."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.arange(64000) / 16000 * 2 * torch.pi
    pitch = 80 + 200 * torch.rand(32, 1, generator=generator)
    tones = sum(torch.sin(pitch * k * phase) / k for k in range(1, 28)) / 4
    sound = tones + 0.003 * torch.randn(32, 64000, generator=generator)
    sound[::4, 48000:] = 0.0
    return (sound * 32767).round().clamp(-32768, 32767) / 32768


def _by_librosa(segment: np.ndarray) -> np.ndarray:
    return librosa.feature.mfcc(y=segment, sr=16000).T


def main() -> int:
    """Time, compare with librosa in float64, report."""
    options = arguments(__doc__, rounds=9)
    keep_freed_memory()
    segments, mfcc = _segments(), Mfcc()
    one_thread()
    exact = torch.from_numpy(np.stack([_by_librosa(segment.astype(np.float64)) for segment in segments.numpy()]))
    variants = {
        "librosa, segment by segment": lambda: np.stack([_by_librosa(segment) for segment in segments.numpy()]),
        "Mfcc, segment by segment": lambda: torch.cat([mfcc(segment[None]) for segment in segments]),
        "Mfcc, one batch": lambda: mfcc(segments),
    }
    figures = {}
    for name, run in variants.items():
        error = (torch.as_tensor(run()) - exact).abs()
        figures[name] = {"max dB": float(error.max()), "mean dB": float(error.mean())}
    table = rows(interleaved(variants, options.rounds, "cpu"), figures)
    batch = table[-1]
    goals = [
        Goal(f"one batch at least {GOAL} x librosa", batch.ratio >= GOAL),
        Goal("error at most 2e-3 dB", batch.figures["max dB"] <= 2e-3),
        Goal("error at most 1e-4 dB on average", batch.figures["mean dB"] <= 1e-4),
    ]
    return report("MFCC, 32 segments of 4 s", {"": table}, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
