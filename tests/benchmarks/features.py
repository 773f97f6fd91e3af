"""Features of 5 s segments: ours beside librosa, torchaudio and kaldi-native-fbank, CPU time of one thread.

Log-mel, once with the sound in memory, and once from disk to disk: recordings are read, cut, transformed and written as one float16
array. All have windows of 32 ms every 10 ms and 64 mel bands from 50 to 8000 Hz. librosa, torchaudio's MelSpectrogram and ours
compute the same, so their difference from librosa in float64 is given; Kaldi's banks are of another shape (HTK's mel scale, natural
logarithm).

Kaldi's filterbank (FBK), 40 bands, windows of 25 ms every 10 ms, a clip at a time, in memory: the difference is from torchaudio in
float64. And with deltas from disk to disk, each recording being one turn.

python tests/benchmarks/features.py [--speech DIR] [--minutes N] [--rounds N] [--json PATH]     needs the extra 'benchmarks'
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import kaldi_native_fbank
import librosa
import numpy as np
import soundfile
import torch
import torchaudio
from _ratio import Goal, Row, interleaved, one_thread, report, rows

from trainables.corpora.audio import read_audio, read_header
from trainables.features.filterbank import Filterbank
from trainables.features.frames import FrameWriter
from trainables.features.log_mel import LogMel
from trainables.features.shards import FeatureShard, FeatureWriter
from trainables.filterbank_features import FilterbankFeatures
from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import keep_freed_memory

RATE, SAMPLES, FRAMES, MELS, BANDS = 16000, 80000, 500, 64, 40
OURS = "ours"
MOST = 0.05  # dB; reached only in bands some 80 dB below their frame's loudest, where any FFT in float32 rounds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, metavar="DIR", help="recordings below DIR instead of ones made here")
    parser.add_argument("--minutes", type=float, default=5.0, help="how much of them to take (default 5)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each variant is timed (default 7)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    return parser.parse_args()


def _make_recordings(folder: Path, minutes: float) -> list[Path]:
    """Voiced-like tones in noise, 4 to 16 s each, half of them WAV and half FLAC, 16 bits."""
    generator, files, seconds = np.random.default_rng(0), [], 0.0
    while seconds < minutes * 60:
        time = np.arange(int(generator.uniform(4, 16) * RATE)) / RATE
        pitch = generator.uniform(80, 280)
        tones = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 28)) / 6
        sound = (tones + 0.003 * generator.standard_normal(len(time))).clip(-1, 1)
        files.append(folder / f"{len(files)}{('.wav', '.flac')[len(files) % 2]}")
        soundfile.write(files[-1], sound, RATE, subtype="PCM_16")
        seconds += len(time) / RATE
    return files


def _find_recordings(folder: Path, minutes: float) -> list[Path]:
    """The first recordings below ``folder`` that last so long together, spread over its subfolders."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac"))
    if not found:
        sys.exit(f"no .wav or .flac below {folder}")
    chosen, seconds = [], 0.0
    for file in sorted(found, key=lambda path: (found.index(path) % 37, path)):
        if seconds < minutes * 60:
            chosen.append(file)
            seconds += read_header(file).seconds
    return chosen


def _segments(samples: np.ndarray) -> torch.Tensor:
    """5 s segments ``[n, samples]`` as the stage cuts them: a last piece of a second or more is padded with silence."""
    pieces = [samples[start : start + SAMPLES] for start in range(0, len(samples), SAMPLES)]
    if len(pieces) > 1 and len(pieces[-1]) < RATE:
        pieces.pop()
    return torch.from_numpy(np.stack([np.pad(piece, (0, SAMPLES - len(piece))) for piece in pieces]))


def _by_librosa(clip: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=512, hop_length=160, n_mels=MELS, fmin=50, fmax=8000, pad_mode="reflect"
    )
    return librosa.power_to_db(power, top_db=None).T[:FRAMES]


def _kaldi_options() -> kaldi_native_fbank.FbankOptions:
    """Kaldi's filterbank without dither, a frame every 10 ms of the sound."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.frame_opts.snip_edges = RATE, 0.0, False
    options.mel_opts.num_bins = BANDS
    return options


def _native(clip: np.ndarray, options: kaldi_native_fbank.FbankOptions) -> np.ndarray:
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, clip)
    bank.input_finished()
    return np.stack([bank.get_frame(number) for number in range(FRAMES)])


def _kaldi_native(clip: np.ndarray) -> np.ndarray:
    options = _kaldi_options()
    options.frame_opts.frame_length_ms, options.frame_opts.window_type, options.frame_opts.preemph_coeff = 32.0, "hanning", 0.0
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = MELS, 50.0, 8000.0
    return _native(clip, options)


def _torchaudio_kaldi(clip: torch.Tensor) -> torch.Tensor:
    return torchaudio.compliance.kaldi.fbank(
        clip[None], sample_frequency=RATE, frame_length=32.0, num_mel_bins=MELS, low_freq=50.0, high_freq=8000.0,
        window_type="hanning", preemphasis_coefficient=0.0, snip_edges=False,
    )  # fmt: skip


def _transforms() -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Segments ``[n, samples]`` to features ``[n, frames, mels]``; librosa first, ours last."""
    log_mel = LogMel()
    mel = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=512, hop_length=160, n_mels=MELS, f_min=50.0, f_max=8000.0, norm="slaney", mel_scale="slaney"
    )
    to_db = torchaudio.transforms.AmplitudeToDB(top_db=None)

    def spectrograms(clips: torch.Tensor) -> torch.Tensor:
        return to_db(mel(clips)).transpose(-1, -2)[..., :FRAMES, :]

    return {
        "librosa": lambda clips: torch.from_numpy(np.stack([_by_librosa(clip) for clip in clips.numpy()])),
        "torchaudio MelSpectrogram, a recording at once": spectrograms,
        "torchaudio MelSpectrogram, clip by clip": lambda clips: torch.stack([spectrograms(clip) for clip in clips]),
        "torchaudio kaldi.fbank": lambda clips: torch.stack([_torchaudio_kaldi(clip) for clip in clips]),
        "kaldi-native-fbank": lambda clips: torch.from_numpy(np.stack([_kaldi_native(clip) for clip in clips.numpy()])),
        OURS: lambda clips: log_mel(clips)[:, :FRAMES],
    }


def _filterbanks() -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """One clip ``[samples]`` to Kaldi's filterbank ``[frames, bands]``; torchaudio first, ours last."""
    options = _kaldi_options()
    return {
        "torchaudio kaldi.fbank": _torchaudio_filterbank,
        "kaldi-native-fbank": lambda clip: torch.from_numpy(_native(clip.numpy(), options)),
        OURS: Filterbank(),
    }


def _torchaudio_filterbank(clip: torch.Tensor) -> torch.Tensor:
    return torchaudio.compliance.kaldi.fbank(clip[None], sample_frequency=RATE, num_mel_bins=BANDS, snip_edges=False)


def _difference(found: Iterator[torch.Tensor], exact: list[torch.Tensor], unit: str = "dB") -> dict[str, float]:
    errors = torch.cat([(ours - theirs).abs().flatten() for ours, theirs in zip(found, exact, strict=True)])
    return {f"max {unit}": float(errors.max()), f"mean {unit}": float(errors.mean())}


class Place:
    """Stands for the corpus and the context of a part of the stage's work: recordings where they are, a folder for the features."""

    name = "benchmark"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def corpus(self, role: str) -> Place:
        return self

    def prepare(self) -> None:
        pass

    def tick(self, fraction: float) -> None:
        pass

    def audio_path(self, recording: str) -> Path:
        return Path(recording)


def _to_disk(transform: Callable[[torch.Tensor], torch.Tensor], files: list[Path], folder: Path) -> None:
    """What anyone would write around the transform."""
    with FeatureWriter(folder, FRAMES, MELS, "float16") as writer:
        for file in files:
            for row in transform(_segments(read_audio(file, sample_rate=RATE))):
                writer.append(row)


def _table(seconds: dict[str, list[float]], figures: dict[str, dict[str, float]], audio: float) -> list[Row]:
    """Ratios to librosa, with how many times as fast as the sound each variant is."""
    return [replace(row, figures={"x real time": audio / row.seconds} | row.figures) for row in rows(seconds, figures)]


def _goal(table: list[Row], where: str) -> Goal:
    *others, ours = table
    fastest = max(others, key=lambda row: row.ratio)
    return Goal(f"{where}: not slower than the fastest other, {fastest.name} ({ours.ratio / fastest.ratio:.2f} x)",
                ours.ratio >= fastest.ratio)  # fmt: skip


def _filterbanks_to_disk(files: list[Path], place: Place) -> dict[str, Callable[[], object]]:
    """What anyone would write around torchaudio, and the stage's own part."""
    stage = FilterbankFeatures(corpus="mdd", unit="utterance")
    turns = [(str(file), 0.0, read_header(file).seconds) for file in files]

    def theirs() -> None:
        with FrameWriter(place.directory, stage.dimensions, stage.storage) as writer:
            for file in files:
                bank = _torchaudio_filterbank(torch.from_numpy(read_audio(file, sample_rate=RATE)))
                writer.append(torch.cat([bank, torchaudio.functional.compute_deltas(bank.T).T], dim=1))

    return {"torchaudio kaldi.fbank, compute_deltas": theirs, OURS: lambda: stage.run_part(turns, place)}


def _compare_filterbanks(sound: list[torch.Tensor], audio: float, rounds: int) -> tuple[list[Row], list[Goal]]:
    clips = [clip for segments in sound for clip in segments]
    exact = [_torchaudio_filterbank(clip.double()) for clip in clips]
    banks = _filterbanks()
    figures = {name: _difference(map(bank, clips), exact, "nat") for name, bank in banks.items()}
    timed = {name: lambda run=run: [run(clip).shape for clip in clips] for name, run in banks.items()}
    table = _table(interleaved(timed, rounds, "cpu"), figures, audio)
    ours = table[-1]
    return table, [
        Goal(f"FBK: at least 1.8 x torchaudio's kaldi.fbank ({ours.ratio:.2f} x)", ours.ratio >= 1.8),
        Goal("FBK: at most 3e-3 nat from torchaudio in float64", ours.figures["max nat"] <= 3e-3),
        Goal("FBK: at most 2e-6 nat from it on average", ours.figures["mean nat"] <= 2e-6),
    ]


def main() -> int:
    """Compare with librosa and torchaudio in float64, time, report."""
    options = _options()
    keep_freed_memory()
    one_thread()
    transforms = _transforms()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _find_recordings(options.speech, options.minutes) if options.speech else _make_recordings(folder, options.minutes)
        sound = [_segments(read_audio(file, sample_rate=RATE)) for file in files]
        audio = sum(read_header(file).seconds for file in files)
        exact = [torch.from_numpy(np.stack([_by_librosa(clip) for clip in clips.double().numpy()])) for clips in sound]
        figures = {name: _difference(map(transform, sound), exact) for name, transform in transforms.items() if "kaldi" not in name}
        in_memory = {name: lambda run=run: [run(clips).shape for clips in sound] for name, run in transforms.items()}
        memory = _table(interleaved(in_memory, options.rounds, "cpu"), figures, audio)
        stage, place = LogMelFeatures(corpus="mdd", unit="utterance"), Place(folder)
        work = [[(str(file), 0.0, None)] for file in files]
        on_disk = {name: lambda run=run: _to_disk(run, files, folder) for name, run in transforms.items() if name != OURS}
        on_disk |= {OURS: lambda: stage.run_part(work, place)}
        seconds = interleaved(on_disk, options.rounds, "cpu")
        stage.run_part(work, place)
        stored = FeatureShard(folder).gather(torch.arange(len(FeatureShard(folder)))).split([len(clips) for clips in sound])
        disk = _table(seconds, {OURS: _difference(iter(stored), exact)}, audio)
        banks, bank_goals = _compare_filterbanks(sound, audio, options.rounds)
        stored_banks = _table(interleaved(_filterbanks_to_disk(files, place), options.rounds, "cpu"), {}, audio)
    goals = [
        Goal(f"at most {MOST} dB from librosa in float64", figures[OURS]["max dB"] <= MOST),
        Goal("at most 1e-5 dB from it on average", figures[OURS]["mean dB"] <= 1e-5),
        Goal(f"as float16 at most 1/32 dB more ({MOST + 1 / 32:.3f} dB)", disk[-1].figures["max dB"] <= MOST + 1 / 32),
        _goal(memory, "log-mel in memory"),
        _goal(disk, "log-mel from disk to disk"),
        *bank_goals,
        _goal(stored_banks, "FBK from disk to disk"),
    ]
    tables = {
        "log-mel in memory": memory,
        "log-mel from disk to disk": disk,
        "FBK in memory": banks,
        "FBK with deltas from disk to disk": stored_banks,
    }
    title = f"features of {len(files)} recordings, {audio / 60:.0f} min in segments of 5 s"
    return report(title, tables, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
