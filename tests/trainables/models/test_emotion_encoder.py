"""Contract of trainables/models/emotion_encoder.py."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils.rnn import pad_sequence

from tests.tiny_speech_encoders import write_tiny_encoder
from trainables.errors import UserError
from trainables.features.buckets import buckets
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder
from trainables.speech_inputs import SpeechChunk

SAMPLES = (16000, 7000, 15500, 720, 8100, 16400, 7777)
"""Of utterances of 2 to 50 frames, which need several buckets."""


@pytest.fixture(params=["hubert", "wavlm"])
def model(request, tmp_path):
    """In evaluation mode (dropout would differ from run to run), with a pooling that prefers some steps."""
    model = EmotionEncoder(SpeechEncoder.load(write_tiny_encoder(tmp_path / "tiny", request.param)))
    torch.nn.init.normal_(model.pooling.weight, generator=torch.Generator().manual_seed(0))
    return model.eval()


def utterances(model):
    """Convolved features of sounds of noise."""
    generator = torch.Generator().manual_seed(0)
    return [model.encoder.convolve(0.1 * torch.randn(samples, generator=generator)) for samples in SAMPLES]


def chunk_of(found, places):
    lengths = torch.tensor([len(found[place]) for place in places])
    return SpeechChunk(places, pad_sequence([found[place] for place in places], batch_first=True), lengths)


def in_buckets(found):
    return [chunk_of(found, places) for places in buckets(torch.tensor(list(map(len, found))))]


def one_by_one(found):
    return [chunk_of(found, torch.tensor([place])) for place in range(len(found))]


def gradients(model, chunks):
    """Of every parameter that is trained, for a loss that all values of all utterances bear on differently."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    pooled = model(chunks)
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad((pooled * weights).sum() + pooled.square().sum(), trained)


def test_a_batch_in_buckets_gives_what_its_utterances_give_one_by_one_in_the_order_of_the_batch(model):
    found = utterances(model)
    chunks = in_buckets(found)
    assert 1 < len(chunks) < len(found)
    alone = torch.cat([model([chunk._replace(places=torch.tensor([0]))]) for chunk in one_by_one(found)])
    assert alone.std(dim=0).min() > 0.01  # they can be told apart
    torch.testing.assert_close(model(chunks), alone, rtol=1e-5, atol=1e-5)


def test_one_padded_batch_of_short_and_long_gives_what_the_utterances_give_one_by_one(model):
    found = utterances(model)
    padded = [chunk_of(found, torch.arange(len(found)))]
    torch.testing.assert_close(model(padded), model(one_by_one(found)), rtol=1e-5, atol=1e-5)


def test_the_gradients_of_a_batch_in_buckets_are_those_of_its_utterances_one_by_one(model):
    """Of every parameter, in float64: so no gradient is small enough to hide a difference in rounding."""
    found = [frames.double() for frames in utterances(model)]
    batched, alone = (gradients(model.double(), chunks) for chunks in (in_buckets(found), one_by_one(found)))
    for left, right in zip(batched, alone, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)


def test_the_transformer_and_the_pooling_are_trained_and_nothing_else(model):
    trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
    assert trained == {*model.encoder.transformer_parameters(), model.pooling.weight}


def test_what_is_loaded_gives_the_same_bits_as_what_was_saved(model, tmp_path):
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    chunks = in_buckets(utterances(model))
    assert torch.equal(EmotionEncoder.load(tmp_path / "saved").eval()(chunks), model(chunks))


@pytest.mark.parametrize("damage", ["missing", "cut short", "of another size", "of another name"])
def test_a_pooling_that_cannot_be_read_is_told_with_what_to_do(model, tmp_path, damage):
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    file = tmp_path / "saved" / "pooling.safetensors"
    match damage:
        case "missing":
            file.unlink()
        case "cut short":
            file.write_bytes(file.read_bytes()[:-3])
        case "of another size":
            save_file({"weight": torch.zeros(3)}, file)
        case "of another name":
            save_file({"W_c": torch.zeros(16)}, file)
    with pytest.raises(UserError, match=r"(?s)pooling\.safetensors: expected .* 16 values.*run its stage again"):
        EmotionEncoder.load(tmp_path / "saved")


def test_a_missing_encoder_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing_here"):
        EmotionEncoder.load(tmp_path / "nothing_here")
