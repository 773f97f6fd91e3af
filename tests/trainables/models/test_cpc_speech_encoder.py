"""Contract of trainables/models/cpc_speech_encoder.py: a CPC network's own numbers in a speech encoder's interface."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.spoken_corpora import CORPUS, finished, open_spoken, write_spoken_corpora
from trainables.corpora.audio import read_audio
from trainables.errors import UserError
from trainables.features.frames import FrameTable
from trainables.filterbank_features import FilterbankFeatures
from trainables.models.cpc import CpcNetwork, FrameSettings
from trainables.models.cpc_speech_encoder import CpcSpeechEncoder, load_speech_encoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder

STAGES = {
    "the usual": FilterbankFeatures(corpus=CORPUS, unit="utterance", deltas=False, storage="float32"),
    "with derivatives": FilterbankFeatures(corpus=CORPUS, unit="utterance", storage="float32"),
    "every 20 ms at 8 kHz": FilterbankFeatures(
        corpus=CORPUS, unit="utterance", sample_rate=8000, window=200, hop=160, mels=20, deltas=False, storage="float32"
    ),
    "in float16": FilterbankFeatures(corpus=CORPUS, unit="utterance", deltas=False),
}
LENGTHS = torch.tensor([40, 1, 23, 39])


def network(stage=STAGES["the usual"], size=16):
    """Of random weights, with statistics that are not those of any corpus."""
    torch.manual_seed(0)
    network = CpcNetwork(FrameSettings.of(stage), size=size, encoder_layers=2, prediction_steps=3)
    size = network.frames.dimensions
    network.set_statistics(torch.linspace(-6, -2, size), torch.linspace(0.5, 1, size))
    return network.eval()


@pytest.fixture
def encoder():
    return CpcSpeechEncoder(network())


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A corpus whose utterances last 10 to 700 ms, at 8 and at 16 kHz, and where its frames are kept."""
    folder = tmp_path_factory.mktemp("spoken")
    return open_spoken(write_spoken_corpora(folder / "corpora")), folder / "store"


def embeddings(encoder, filler=0.0):
    found = torch.randn(4, 40, encoder.convolution_size, generator=torch.Generator().manual_seed(0))
    found[torch.arange(40) >= LENGTHS[:, None]] = filler
    return found


def state(encoder):
    return {name: value.clone() for name, value in encoder.state_dict().items()}


@pytest.mark.parametrize("name", STAGES)
def test_the_convolved_features_are_what_the_frame_encoder_makes_of_the_filterbank_stages_frames(spoken, name):
    corpora, store = spoken
    directory, encoder = finished(corpora, STAGES[name], store), CpcSpeechEncoder(network(STAGES[name]))
    table, rows = FrameTable(directory), pd.read_parquet(directory / "segments.parquet")
    error = 0.002 if name == "in float16" else 1e-5  # of a frame at most 1/256 nat, in deviations of 0.5 to 1
    for number, row in rows.iterrows():
        path = corpora[CORPUS].audio_path(row["recording"])
        samples = torch.from_numpy(read_audio(path, row["start"], row["end"], encoder.sample_rate))
        with torch.no_grad():
            expected = encoder.network.encode(torch.cat(list(table.blocks(number)))[None])[0]
        found = encoder.convolve(samples)
        assert found.shape == (encoder.frames(len(samples)), encoder.convolution_size)
        torch.testing.assert_close(found, expected, rtol=0, atol=error)
    assert encoder.convolve(torch.randn(8000)).std(dim=0).min() > 5 * error, "frames can be told apart"


def test_there_are_100_frames_a_second_and_at_least_one(encoder):
    assert [encoder.frames(samples) for samples in (1, 16000, 16000 * 7 + 80)] == [1, 100, 701]


def test_under_autocast_the_convolved_features_have_the_same_bits(encoder):
    samples = torch.randn(8000)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder.convolve(samples)
    assert torch.equal(found, encoder.convolve(samples))


@pytest.mark.parametrize("filler", [0.0, 1e3, torch.nan])
def test_an_utterance_in_a_padded_batch_is_what_it_is_alone_whatever_the_padding_holds(encoder, filler):
    convolved = embeddings(encoder, filler)
    with torch.no_grad():
        together, layers = encoder(convolved, LENGTHS), encoder.hidden_layers(convolved, LENGTHS)
        assert layers.shape == (encoder.layers + 1, 4, 40, encoder.hidden_size)
        assert torch.equal(layers[-1], together)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = convolved[row : row + 1, :length]
            torch.testing.assert_close(together[row, :length], encoder.network.contexts(alone)[0][0])
            assert torch.equal(layers[0, row, :length], alone[0])
            assert not layers[:, row, length:].any()


def test_what_the_padding_holds_reaches_no_gradient(encoder):
    def gradients(filler):
        parameters = encoder.transformer_parameters()
        return torch.autograd.grad(encoder(embeddings(encoder, filler), LENGTHS).square().sum(), parameters)

    for left, right in zip(gradients(torch.nan), gradients(0.0), strict=True):
        assert right.abs().max() > 0
        assert torch.equal(left, right)


def test_the_gru_alone_is_trained_and_f_the_statistics_and_the_predictors_stay(encoder):
    before = state(encoder)
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in encoder.transformer_parameters()}
    encoder.train()
    optimizer = torch.optim.Adam(trained, lr=0.1)
    encoder(embeddings(encoder), LENGTHS).square().sum().backward()
    optimizer.step()
    moved = {name for name, value in state(encoder).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("network.recurrence.")}


def test_what_is_saved_is_a_cpc_network_again_and_loads_as_an_encoder_with_the_same_bits(encoder, tmp_path):
    with torch.no_grad():
        for parameter in encoder.transformer_parameters():
            parameter += 0.1
    encoder.save(tmp_path)
    loaded = load_speech_encoder(tmp_path)
    assert isinstance(loaded, CpcSpeechEncoder)
    assert not loaded.training
    assert all(torch.equal(value, state(encoder)[name]) for name, value in state(loaded).items())
    assert torch.equal(CpcNetwork.load(tmp_path).recurrence.bias_hh_l0, encoder.network.recurrence.bias_hh_l0)
    emotional = EmotionEncoder(loaded)
    (tmp_path / "tuned").mkdir()
    emotional.save(tmp_path / "tuned")
    again = EmotionEncoder.load(tmp_path / "tuned")
    assert isinstance(again.encoder, CpcSpeechEncoder)
    assert all(torch.equal(value, state(emotional)[name]) for name, value in state(again).items())


def test_a_directory_of_wavlm_still_loads_as_such(tmp_path):
    assert isinstance(load_speech_encoder(write_tiny_encoder(tmp_path / "tiny", "wavlm")), SpeechEncoder)


@pytest.mark.parametrize("missing", ["cpc.json", "cpc.safetensors"])
def test_a_damaged_network_is_told_by_the_file_that_is_missing(encoder, tmp_path, missing):
    encoder.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match=rf"{missing}.*run its stage again"):
        load_speech_encoder(tmp_path)


def test_a_directory_without_any_encoder_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing_here"):
        load_speech_encoder(tmp_path / "nothing_here")
