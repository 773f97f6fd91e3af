"""Log-mel spectrogram of 32 clips of 5 s: LogMel against librosa, CPU time of one thread.

python tests/benchmarks/log_mel.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import sys

import librosa
import numpy as np
import torch
from _ratio import Goal, arguments, interleaved, one_thread, report, rows

from trainables.features.log_mel import LogMel
from trainables.numerics import keep_freed_memory

GOAL = 3.5


def _clips() -> torch.Tensor:
    """Voiced-like harmonic tones in noise, rounded to 16 bits, ``[32, 80000]``."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.arange(80000) / 16000 * 2 * torch.pi
    pitch = 80 + 200 * torch.rand(32, 1, generator=generator)
    tones = sum(torch.sin(pitch * k * phase) / k for k in range(1, 28)) / 4
    noise = 0.003 * torch.randn(32, 80000, generator=generator)
    return ((tones + noise) * 32767).round().clamp(-32768, 32767) / 32768


def _by_librosa(clip: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=clip, sr=16000, n_fft=512, hop_length=160, n_mels=64, fmin=50, fmax=8000, pad_mode="reflect"
    )
    return librosa.power_to_db(power, top_db=None).T


def main() -> int:
    """Time, compare with librosa in float64, report."""
    options = arguments(__doc__, rounds=9)
    keep_freed_memory()
    clips, log_mel = _clips(), LogMel()
    one_thread()
    exact = torch.from_numpy(np.stack([_by_librosa(clip.astype(np.float64)) for clip in clips.numpy()]))
    variants = {
        "librosa, clip by clip": lambda: np.stack([_by_librosa(clip) for clip in clips.numpy()]),
        "LogMel, clip by clip": lambda: torch.stack([log_mel(clip) for clip in clips]),
        "LogMel, one batch": lambda: log_mel(clips),
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
        Goal("error at most 1e-5 dB on average", batch.figures["mean dB"] <= 1e-5),
    ]
    return report("log-mel, 32 clips of 5 s", {"": table}, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
