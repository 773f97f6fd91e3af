"""Contract of trainables/speech_crops.py."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from trainables.corpora.corpus import CorpusSource
from trainables.errors import UserError
from trainables.masked_units import samples_of
from trainables.speech_crops import Crop, SpeechCrops

RATE = 16000
SECONDS = {"long.wav": 8.0, "crop.wav": 2.0, "short.wav": 1.3, "tiny.wav": 0.3, "part.wav": 3.0}
FRAMES, GRAIN = 99, 20  # crops of 2 s; below 0.4 s an utterance is left out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Recordings whose samples count upwards, so that a crop shows where it is from."""
    root = tmp_path_factory.mktemp("corpus")
    for name, seconds in SECONDS.items():
        ramp = np.arange(int(seconds * RATE)) / (10 * RATE)
        soundfile.write(root / name, ramp, RATE, subtype="FLOAT")
    return CorpusSource(role="mdd", name="ramps", reader="generic", root=str(root), digest="0")


@pytest.fixture(scope="module")
def table():
    rows = [{"recording": name, "start": 0.0, "seconds": seconds} for name, seconds in SECONDS.items()]
    rows[-1] |= {"start": 1.0, "seconds": 2.0}  # an utterance in a longer recording
    return pd.DataFrame(rows)


def crops_of(corpus, table, batch_size=2, seed=0, **changes):
    settings = {"frames": FRAMES, "grain": GRAIN} | changes
    return SpeechCrops(table, corpus, settings["frames"], settings["grain"], batch_size, seed)


def epoch_of(crops, number=0):
    return [crop for step in range(crops.steps_per_epoch) for crop in crops[number * crops.steps_per_epoch + step]]


def test_an_utterance_is_cropped_once_per_epoch_for_every_crops_length_that_it_lasts(corpus, table):
    crops = crops_of(corpus, table, batch_size=1)
    assert Counter(crop.path.name for crop in epoch_of(crops)) == {"long.wav": 4, "crop.wav": 1, "short.wav": 1, "part.wav": 1}
    assert crops.steps_per_epoch == 7


def test_utterances_below_the_grain_are_left_out_and_counted(corpus, table):
    crops = crops_of(corpus, table)
    assert (crops.utterances, crops.too_short) == (4, 1)


def test_shorter_utterances_are_cropped_to_a_multiple_of_the_grain_and_never_padded(corpus, table):
    frames = {crop.path.name: crop.frames for epoch in range(5) for crop in epoch_of(crops_of(corpus, table), epoch)}
    assert frames == {"long.wav": 99, "crop.wav": 99, "short.wav": 60, "part.wav": 99}


def test_a_crop_is_the_sound_that_lies_there_inside_its_utterance(corpus, table):
    crops = crops_of(corpus, table)
    first = {name: (1.0 if name == "part.wav" else 0.0) for name in SECONDS}
    for epoch in range(8):
        for crop in epoch_of(crops, epoch):
            samples = crop.read()
            assert len(samples) == samples_of(crop.frames)
            begin = round(crop.start * RATE)
            expected = torch.arange(begin, begin + len(samples)) / (10 * RATE)
            torch.testing.assert_close(samples, expected, rtol=0, atol=1e-6)
            assert begin >= first[crop.path.name] * RATE
            assert begin + len(samples) <= SECONDS[crop.path.name] * RATE


def test_crops_lie_anywhere_in_an_utterance(corpus, table):
    crops = crops_of(corpus, table[:1], batch_size=4)
    starts = np.array([crop.start for epoch in range(100) for crop in epoch_of(crops, epoch)])
    counts, _ = np.histogram(starts, bins=4, range=(0, 8 - 2))
    assert counts.min() > 70
    assert starts.max() > 5.9


def test_crops_depend_on_seed_and_step_alone(corpus, table):
    one, other = crops_of(corpus, table), crops_of(corpus, table)
    backwards = [other[step] for step in reversed(range(9))]
    assert [one[step] for step in range(9)] == backwards[::-1]
    assert [crops_of(corpus, table, seed=1)[step] for step in range(9)] != backwards[::-1]


def test_an_utterance_is_cropped_elsewhere_in_the_next_epoch(corpus, table):
    crops = crops_of(corpus, table[:1], batch_size=4)
    assert not {crop.start for crop in crops[0]} & {crop.start for crop in crops[1]}


def test_another_sample_rate_gives_as_many_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 3 * 44100), 44100)
    for frames in (20, 33, 99):
        for start in (0.0, 0.1234, 0.987654):
            assert len(Crop(tmp_path / "a.wav", start, frames).read()) == samples_of(frames)


def test_what_a_manifest_claims_beyond_the_files_end_is_silence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(RATE, 0.5), RATE)
    samples = Crop(tmp_path / "a.wav", 0.64, 19).read()  # ends 21 ms after the file
    assert samples[:5760].eq(0.5).all()
    assert samples[5760:].eq(0).all()
    assert len(samples) == samples_of(19) > 5760


def test_too_little_speech_for_a_batch_is_refused_with_what_to_do(corpus, table):
    with pytest.raises(UserError, match=r"batch_size 8 is more than the 7 crops .*1 of 5 utterances are below 0\.4 s.*lower"):
        crops_of(corpus, table, batch_size=8)
