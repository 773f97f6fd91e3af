"""Log-mel spectrogram, as PANNs' 16 kHz front end and as librosa compute it, at several times librosa's speed."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.errors import UserError
from trainables.features.blocks import FRAMES_PER_BLOCK, FrameBlocks, MelBands

_FLOOR = 1e-10


class LogMel:
    """Log-mel spectrogram in dB: ``[n]`` samples become ``[frames, mels]``, and ``[B, n]`` become ``[B, frames, mels]``.

    The defaults are the front end of PANNs' 16 kHz models (Kong et al. 2020, "PANNs", section III-A, and its code's
    ``Cnn14_16k``), which torchlibrosa computes as ``librosa.feature.melspectrogram`` and ``librosa.power_to_db`` do:

    - ``frames = 1 + n // hop_length``, frame t centred on sample ``t * hop_length``;
    - a periodic Hann window of ``n_fft`` samples, and the power of its spectrum;
    - ``n_mels`` triangular filters on Slaney's mel scale, each of unit area, from ``f_min`` to ``f_max`` Hz;
    - ``10 * log10(max(power, 1e-10))``: reference 1.0, no ``top_db``, so that digital silence is -100 dB.

    Beyond its ends the waveform goes on as its mirror image (``reflect``). A waveform of at most ``n_fft // 2`` samples is
    mirrored again and again, as numpy, and so librosa, does it: a very short utterance yields a frame rather than an error.
    Only an empty waveform is refused.

    The waveform holds samples in [-1, 1]; the result is float32 on the waveform's device, without a gradient. From librosa in
    float64 it differs by 1e-5 dB on average, and the more the further a band is below the loudest of its frame, because float32
    rounds the FFT: on 51 recordings of speech (LibriSpeech, Emo-DB, Urdu) by at most 4e-3 dB down to 60 dB below it, and by
    3e-2 dB at 100 dB below. torchaudio's differs as much. (``librosa.feature.melspectrogram`` pads with zeros unless it is given
    ``pad_mode="reflect"``.)

    On the CPU a clip is computed block by block of its own frames, so its bits are the same alone and in any batch (with one
    number of threads). Buffers are reused from call to call: one object per thread.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 512,
        hop_length: int = 160,
        n_mels: int = 64,
        f_min: float = 50.0,
        f_max: float = 8000.0,
    ) -> None:
        import librosa  # its import takes seconds, and only this line needs it

        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max, norm="slaney")
        self._filters = torch.from_numpy(filters).T.contiguous()  # [bins, mels]
        self._window = torch.hann_window(n_fft, periodic=True)
        self._bands = MelBands(self._filters, bands=4)
        self._blocks = FrameBlocks(n_fft, hop_length)
        bins = n_fft // 2 + 1
        self._frames = torch.empty(FRAMES_PER_BLOCK, n_fft)
        self._squares = torch.empty(FRAMES_PER_BLOCK, bins, 2)
        self._power = torch.empty(FRAMES_PER_BLOCK, bins)

    @torch.no_grad()
    def __call__(self, waveform: Tensor) -> Tensor:
        """Return the log-mel spectrogram, in dB, of ``waveform`` ``[n]`` or ``[B, n]``.

        Raises UserError for a waveform without samples.
        """
        if waveform.ndim not in (1, 2) or not waveform.is_floating_point():
            raise ValueError(f"expected floating-point samples [n] or [B, n], not {waveform.dtype} {list(waveform.shape)}")
        if waveform.shape[-1] == 0:
            raise UserError("found a recording or segment without samples, expected at least one; leave it out of the corpus")
        clips = waveform.float().reshape(-1, waveform.shape[-1])
        with torch.autocast(clips.device.type, enabled=False):  # a mel product in bfloat16 is wrong by several dB
            log_mel = self._blockwise(clips) if clips.device.type == "cpu" else self._batched(clips)
        return log_mel.reshape(*waveform.shape[:-1], *log_mel.shape[1:])

    def _blockwise(self, clips: Tensor) -> Tensor:
        n_frames = 1 + clips.shape[1] // self.hop_length
        log_mel = torch.empty(len(clips), n_frames, self.n_mels)
        heads, tails = _mirrored_ends(clips, self.n_fft // 2)
        for clip, head, tail, rows in zip(clips, heads, tails, log_mel, strict=True):
            for frames, samples in self._blocks.of(clip, head, tail, -(self.n_fft // 2), n_frames):
                self._write_block(samples, rows[frames])
        return log_mel

    def _write_block(self, samples: Tensor, rows: Tensor) -> None:
        """Write the log-mel spectrogram of all whole frames of ``samples`` into ``rows`` ``[frames, mels]``."""
        count = len(rows)
        frames = torch.mul(samples.unfold(0, self.n_fft, self.hop_length), self._window, out=self._frames[:count])
        squares = torch.square(torch.view_as_real(torch.fft.rfft(frames)), out=self._squares[:count])
        power = torch.add(squares[..., 0], squares[..., 1], out=self._power[:count])
        self._bands.write(power, rows)
        _to_db(rows)

    def _batched(self, clips: Tensor) -> Tensor:
        """All clips at once, for devices that want much work per call."""
        head, tail = _mirrored_ends(clips, self.n_fft // 2)
        samples = torch.cat([head, clips, tail], dim=1)
        frames = samples.unfold(1, self.n_fft, self.hop_length) * self._window.to(clips.device)
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1)
        # In float64, which no setting of the device (TF32) rounds.
        mel = (power.double() @ self._filters.to(clips.device, torch.float64)).float()
        return _to_db(mel)


def _mirrored_ends(clips: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """Return the ``pad`` samples before and after each of ``clips`` ``[B, n]``, by reflection at its first and last sample."""
    n = clips.shape[1]
    if n > pad:
        return clips[:, 1 : pad + 1].flip(1), clips[:, n - 1 - pad : n - 1].flip(1)
    period = max(1, 2 * (n - 1))
    inside = torch.arange(-pad, n + pad, device=clips.device).remainder(period)
    line = clips[:, torch.where(inside < n, inside, period - inside)]
    return line[:, :pad], line[:, n + pad :]


def _to_db(power: Tensor) -> Tensor:
    return power.clamp_(min=_FLOOR).log10_().mul_(10.0)
