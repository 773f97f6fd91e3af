"""Contract of trainables/models/masked_prediction.py."""

import numpy as np
import pytest
import torch

from tests.tiny_speech_encoders import write_tiny_encoder
from trainables.masked_units import samples_of
from trainables.models.masked_prediction import MaskedCrops, MaskedPrediction
from trainables.models.speech_encoder import SpeechEncoder

UNITS, FRAMES = 5, 30


@pytest.fixture(params=["hubert", "wavlm"])
def network(request, tmp_path):
    write_tiny_encoder(tmp_path, request.param)
    torch.manual_seed(0)
    return MaskedPrediction(SpeechEncoder.load(tmp_path).model, torch.randn(UNITS, 39), masked_weight=1.0).eval()


def crops(batch=2, frames=FRAMES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    masked = torch.zeros(batch, frames, dtype=torch.bool)
    masked[:, 4:14] = True
    masked[0, 20:25] = True
    samples = torch.randn(batch, samples_of(frames), generator=generator) * 0.1
    return MaskedCrops(samples, torch.randint(UNITS, (batch, frames), generator=generator), masked)


def loop(network, given):
    """Cross entropies of the masked and of the heard frames, and number of masked frames told right, from the encoder's parts."""
    encoder, sums, hits = network.encoder, {True: 0.0, False: 0.0}, 0
    for samples, units, masked in zip(*given, strict=True):
        projected = encoder.feature_projection(encoder.feature_extractor(samples[None]).transpose(1, 2))
        hidden = (projected[0] if isinstance(projected, tuple) else projected).clone()
        for frame in masked.nonzero().flatten():
            hidden[0, frame] = encoder.masked_spec_embed
        output = encoder.encoder(hidden).last_hidden_state[0]
        for frame in range(len(units)):
            told = network.projection(output[frame]).detach().numpy()
            codes = network.codes.detach().numpy()
            scores = codes @ told / np.linalg.norm(codes, axis=1) / np.linalg.norm(told) / 0.1
            sums[bool(masked[frame])] += np.log(np.exp(scores).sum()) - scores[units[frame]]
            hits += int(masked[frame] and scores.argmax() == units[frame])
    return sums[True], sums[False], hits


@pytest.mark.parametrize("masked_weight", [1.0, 0.5, 0.3])
def test_the_loss_is_the_weighted_cross_entropy_of_cosines_over_the_temperature(network, masked_weight):
    given, network.masked_weight = crops(), masked_weight
    loss, right = network([given])
    masked, heard, hits = loop(network, given)
    assert loss.item() == pytest.approx(masked_weight * masked + (1 - masked_weight) * heard, rel=1e-4)
    assert right.item() == hits


def test_what_is_masked_is_not_heard_and_at_weight_1_what_is_heard_does_not_count(network):
    given = crops(batch=1)
    other_units = given.units.clone()
    other_units[~given.masked] = 0
    loss = network([given])[0]
    assert network([given._replace(units=other_units)])[0] == loss
    network.encoder.feature_extractor.register_forward_hook(lambda *call: call[-1].masked_fill(given.masked[:, None], 7.0))
    assert network([given])[0] == loss


def test_crops_of_several_lengths_are_summed_and_each_counts_as_if_alone(network):
    short, long = crops(), crops(batch=3, frames=47, seed=1)
    together, hits = network([short, long])
    assert together.item() == pytest.approx(sum(network([part])[0].item() for part in (short, long)), rel=1e-5)
    assert hits == sum(network([part])[1] for part in (short, long))


def test_all_of_the_encoder_is_trained_convolution_and_mask_included(network):
    network([crops()])[0].backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.encoder.feature_extractor.parameters())


def test_training_mode_masks_only_what_it_is_told_to(network):
    """transformers' own SpecAugment and layer drop are off: without dropout training mode computes the same."""
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    expected = network([crops()])[0].item()
    assert [network.train()([crops()])[0].item() for _ in range(8)] == pytest.approx([expected] * 8, rel=1e-5)


def test_a_frames_unit_is_the_centre_nearest_to_its_cepstra(network):
    from trainables.masked_units import cepstra

    samples = crops().samples[0]
    frames = cepstra(samples)
    network.centres = frames[[3, 9, 17, 21, 28]]
    assert network.units(samples)[[3, 9, 17, 21, 28]].tolist() == [0, 1, 2, 3, 4]
