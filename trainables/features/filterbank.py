"""Log-mel filterbank features (FBK) as Kaldi defines them, and their first derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.errors import UserError
from trainables.features.blocks import FRAMES_PER_BLOCK, FrameBlocks, MelBands

_PREEMPHASIS = 0.97
_LOWEST = 20.0  # Hz
_FLOOR = torch.finfo(torch.float32).eps  # Kaldi's: std::numeric_limits<float>::epsilon()


class Filterbank:
    """Log-mel filterbank in nat: ``[n]`` samples become ``[frames, mels]``.

    The defaults are those of Climate and Weather (section 2.1): 40 bands, frames of 25 ms every 10 ms. The paper does not say
    which of the definitions in use it takes; this is Kaldi's ``compute-fbank-feats``, which speech recognition has settled on and
    ``torchaudio.compliance.kaldi.fbank`` repeats. Of each frame:

    - its mean is subtracted, then 0.97 times the sample before (the first sample's own value for the first one);
    - Povey's window (a symmetric Hann window to the power of 0.85), zeros up to the next power of 2, and the power of the spectrum;
    - ``mels`` filters of height 1, triangular on the mel scale ``1127 ln(1 + f / 700)``, from 20 Hz to half the sample rate;
    - ``ln(max(energy, 2 ** -23))``.

    Where Kaldi leaves a choice, we take:

    - **No dither.** It adds noise so that no logarithm is of zero; the floor does that too, and the same sound gives the same bits.
    - **Samples in [-1, 1]**, as the audio is read, where Kaldi takes 16-bit integers: values are Kaldi's less 2 ln 32768 = 20.79, a
      constant that any affine layer absorbs. Only the floor does not move along: it now lies at the energy of noise of about one
      16-bit step, where Kaldi's dither would lie, so digital silence (-15.94) is beside the quietest sound and not 20 nat below.
    - **snip_edges=False**: frame t is centred on sample ``(t + 1/2) * hop`` and there are ``(n + hop // 2) // hop`` of them, the
      waveform being mirrored at its ends (the last sample is repeated; again and again where it is short). With Kaldi's default a
      turn below 25 ms has no frame. Here one below half a hop still has one, so that no turn is lost; only without samples it
      is refused.

    The result is float32, computed in float32. On 52 recordings of speech (LibriSpeech, Emo-DB, Urdu) it differs from torchaudio's
    in float64 by 1e-6 nat on average, and the more the further a band is below the loudest of its frame, because the FFT rounds: by
    at most 2e-4 down to 16 nat (70 dB) below it, and by 3e-3 further down. torchaudio's own in float32 differs as much.

    It is computed on the CPU, block by block of a clip's own frames, so its bits do not depend on what was computed before (with
    one number of threads). Buffers are reused from call to call: one object per thread.

    Args:
        sample_rate: Hz.
        window: Samples of a frame, at least 2.
        hop: Samples from frame to frame.
        mels: Bands, at least 4.
    """

    def __init__(self, sample_rate: int = 16000, window: int = 400, hop: int = 160, mels: int = 40) -> None:
        from torchaudio.compliance.kaldi import get_mel_banks

        self.window, self.hop, self.mels = window, hop, mels
        size = 1 << (window - 1).bit_length()
        bins = size // 2 + 1
        filters, _ = get_mel_banks(mels, size, sample_rate, _LOWEST, sample_rate / 2, 0.0, 0.0, 1.0)
        # Kaldi's filters end before the bin at half the sample rate.
        self._bands = MelBands(torch.nn.functional.pad(filters, (0, 1)).T.contiguous(), bands=2)
        self._shape = torch.hann_window(window, periodic=False, dtype=torch.float64).pow(0.85).float()
        # The window is 0 at its first sample, so what pre-emphasis makes of a frame's first sample is nothing, and pre-emphasis and
        # the frame's mean m can change places: w (x[i] - m - 0.97 (x[i-1] - m)) = w (x[i] - 0.97 x[i-1]) - 0.03 m w.
        self._sum_shape = (1 - _PREEMPHASIS) / window * self._shape
        self._blocks = FrameBlocks(window, hop)
        self._emphasised = torch.zeros((FRAMES_PER_BLOCK - 1) * hop + window)
        self._frames = torch.zeros(FRAMES_PER_BLOCK, size)
        self._spectrum = torch.empty(FRAMES_PER_BLOCK, bins, dtype=torch.complex64)
        self._squares = torch.empty(FRAMES_PER_BLOCK, bins, 2)
        self._power = torch.empty(FRAMES_PER_BLOCK, bins)

    def frames(self, samples: int) -> int:
        """Frames of so many samples."""
        return max(1, (samples + self.hop // 2) // self.hop)

    @torch.no_grad()
    def __call__(self, waveform: Tensor) -> Tensor:
        """Return the filterbank, in nat, of ``waveform`` ``[n]``.

        Raises UserError for a waveform without samples.
        """
        if waveform.ndim != 1 or not waveform.is_floating_point():
            raise ValueError(f"expected floating-point samples [n], not {waveform.dtype} {list(waveform.shape)}")
        if len(waveform) == 0:
            raise UserError("found a recording or segment without samples, expected at least one; leave it out of the corpus")
        clip, count = waveform.float(), self.frames(len(waveform))
        first = self.hop // 2 - self.window // 2
        head, tail = _mirrored_ends(clip, max(0, -first), max(0, first + (count - 1) * self.hop + self.window - len(clip)))
        rows = torch.empty(count, self.mels)
        with torch.autocast("cpu", enabled=False):  # a mel product in bfloat16 is wrong by tenths
            for numbers, samples in self._blocks.of(clip, head, tail, first, count):
                self._write_block(samples, rows[numbers])
        return rows

    def _write_block(self, samples: Tensor, rows: Tensor) -> None:
        """Write the filterbank of all whole frames of ``samples`` into ``rows`` ``[frames, mels]``."""
        count = len(rows)
        emphasised = self._emphasised[: len(samples)]
        torch.sub(samples[1:], samples[:-1], alpha=_PREEMPHASIS, out=emphasised[1:])
        frames = self._frames[:count]
        sums = samples.unfold(0, self.window, self.hop).sum(dim=1, keepdim=True)
        windowed = torch.mul(emphasised.unfold(0, self.window, self.hop), self._shape, out=frames[:, : self.window])
        windowed.addcmul_(sums, self._sum_shape, value=-1)
        spectrum = torch.fft.rfft(frames, out=self._spectrum[:count])
        squares = torch.square(torch.view_as_real(spectrum), out=self._squares[:count])
        power = torch.add(squares[..., 0], squares[..., 1], out=self._power[:count])
        self._bands.write(power, rows)
        rows.clamp_(min=_FLOOR).log_()


def deltas(features: Tensor) -> Tensor:
    """First derivatives over time of ``features`` ``[frames, D]``, per frame, of the same shape.

    The regression over two frames on either side of HTK (The HTK Book 3.4, section 5.9) and Kaldi (``add-deltas``), the first and
    the last frame being repeated: ``sum_k k (x[t+k] - x[t-k]) / (2 sum_k k²)``, k = 1, 2.
    """
    line = torch.cat([features[:1].expand(2, -1), features, features[-1:].expand(2, -1)])
    return ((line[3:-1] - line[1:-3]) + 2 * (line[4:] - line[:-4])) / 10


def _mirrored_ends(clip: Tensor, before: int, after: int) -> tuple[Tensor, Tensor]:
    """The samples before and after ``clip`` ``[n]``, mirrored at its edges: the first and the last sample come twice."""
    n = len(clip)
    if max(before, after) <= n:
        return clip[:before].flip(0), clip[n - after :].flip(0)
    places = torch.cat([torch.arange(-before, 0), torch.arange(n, n + after)]).remainder(2 * n)
    ends = clip[torch.where(places < n, places, 2 * n - 1 - places)]
    return ends[:before], ends[before:]
