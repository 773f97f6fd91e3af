"""Random masking of spectrograms, the one augmentation of ReCLR (section 2.2.1: 'random masking method (mask by 0)')."""

from __future__ import annotations

import torch


def random_mask(
    batch: int,
    frames: int,
    mels: int,
    generator: torch.Generator,
    time_stripes: int,
    time_width: int,
    mel_stripes: int,
    mel_width: int,
) -> torch.Tensor:
    """Which bins of each spectrogram to keep.

    Stripes are drawn for each sample by itself as in PANNs' SpecAugment (torchlibrosa): the width uniform in
    {0, ..., width - 1}, then the begin uniform among all at which the stripe fits (torchlibrosa leaves out the last, so its
    masks never reach the end). Stripes may overlap.

    Args:
        batch: Number of spectrograms, B.
        frames: Length of the time axis, T.
        mels: Length of the mel axis, M.
        generator: Draws everything, on the CPU.
        time_stripes: Stripes along the time axis per spectrogram; 0 masks no frames.
        time_width: Frames that a stripe stays below, 1 to T.
        mel_stripes: Stripes along the mel axis per spectrogram; 0 masks no mel bins.
        mel_width: Mel bins that a stripe stays below, 1 to M.

    Returns:
        BoolTensor ``[B, T, M]``, False where a bin is masked.
    """
    keep_frames = _outside_stripes(batch, frames, generator, time_stripes, time_width)
    keep_mels = _outside_stripes(batch, mels, generator, mel_stripes, mel_width)
    return keep_frames[:, :, None] & keep_mels[:, None, :]


def _outside_stripes(batch: int, length: int, generator: torch.Generator, stripes: int, max_width: int) -> torch.Tensor:
    """False inside any of a sample's stripes, BoolTensor ``[batch, length]``."""
    # In float64 a draw below 1 times a length stays below the length.
    draws = torch.rand(batch, stripes, 2, generator=generator, dtype=torch.float64)
    width = (draws[..., 0] * max_width).long()
    begin = (draws[..., 1] * (length - width + 1)).long()
    position = torch.arange(length)
    inside = (position >= begin[..., None]) & (position < (begin + width)[..., None])
    return ~inside.any(dim=1)
