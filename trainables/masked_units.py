"""What masked prediction predicts, k-means units of cepstra, and which frames are masked (Hsu et al. 2021, "HuBERT").

Frame t of HuBERT's and WavLM's convolutional encoders hears the samples from ``t * HOP`` to ``t * HOP + WINDOW``. Kaldi's cepstra
have frames of the same 25 ms every 10 ms, so every second one of them hears exactly what a frame of the encoder hears.
"""

from __future__ import annotations

import numpy as np
import torch

from trainables.features.filterbank import deltas

RATE, HOP, WINDOW = 16000, 320, 400
"""Samples per second, from frame to frame of the encoder, and in one."""

CEPSTRA = 39
"""Values of a frame: 13 cepstral coefficients with their first and second derivatives."""


def samples_of(frames: int) -> int:
    """Samples of which the encoder makes so many frames, and no sample more."""
    return WINDOW + (frames - 1) * HOP


def cepstra(samples: torch.Tensor) -> torch.Tensor:
    """MFCC with derivatives of ``samples`` ``[n]`` in [-1, 1], one per frame of the encoder: float32 ``[frames, 39]``.

    HuBERT's (section IV-B: '39-dimensional MFCC features, which are 13 coefficients with the first and the second-order
    derivatives') as its code computes them: Kaldi's, without energy and without dither, the derivatives over frames of 10 ms.
    They are of the sound as it is recorded, also where the encoder's input is normalised.

    Args:
        samples: At least :data:`WINDOW` of them.
    """
    from torchaudio.compliance.kaldi import mfcc

    static = mfcc(samples[None], sample_frequency=float(RATE), use_energy=False)
    first = deltas(static)
    return torch.cat([static, first, deltas(first)], dim=1)[::2]


def fit_units(frames: np.ndarray, clusters: int, seed: int) -> torch.Tensor:
    """Centres of k-means, float32 ``[clusters, D]``.

    HuBERT's settings (section IV-B: mini-batches of 10,000 frames, k-means++, the best of 20 random starts) and, where the paper is
    silent, its code's: at most 100 passes, given up after 100 mini-batches without improvement, no cluster put elsewhere.

    Args:
        frames: Float32 ``[n, D]``, at least one per cluster.
        clusters: How many.
        seed: Of the starts and the mini-batches, 0 to 2 ** 32 - 1.
    """
    from sklearn.cluster import MiniBatchKMeans

    means = MiniBatchKMeans(
        clusters,
        batch_size=10_000,
        n_init=20,
        max_iter=100,
        max_no_improvement=100,
        tol=0.0,
        reassignment_ratio=0.0,
        random_state=seed,
    )
    return torch.from_numpy(means.fit(frames).cluster_centers_.astype(np.float32))


def nearest_unit(frames: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """The number of the centre nearest to each frame, int64 ``[n]``.

    Args:
        frames: ``[n, D]``.
        centres: ``[clusters, D]``.
    """
    return torch.cdist(frames, centres).argmin(dim=1)


def masked_spans(frames: int, probability: float, span: int, generator: torch.Generator) -> torch.Tensor:
    """Which frames are masked: spans that may overlap, BoolTensor ``[frames]`` with at least one of them.

    HuBERT, section II-B: 'p% of the timesteps are randomly selected as start indices, and spans of l steps are masked'. As in its
    code ``probability * frames`` is rounded up or down at random, so that it is right on average; begins are distinct, and every
    span lies wholly inside.

    Args:
        frames: At least ``span``.
        probability: Begins per frame, p.
        span: Frames of a span, l.
        generator: Draws everything, on the CPU.
    """
    places = frames - span + 1
    begins = int(probability * frames + torch.rand((), generator=generator, dtype=torch.float64).item())
    chosen = torch.randperm(places, generator=generator)[: max(1, begins)]
    masked = torch.zeros(frames, dtype=torch.bool)
    masked[(chosen[:, None] + torch.arange(span)).flatten()] = True
    return masked
