"""Contract of trainables/models/speech_encoder.py: transformers' own numbers, with and without padding, and what is frozen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.tiny_weights import write_tiny_bert
from trainables.errors import UserError
from trainables.models.speech_encoder import FOLDER, SpeechEncoder

LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}  # as of the large public models
KINDS = {"hubert": ("hubert", {}), "wavlm": ("wavlm", {}), "hubert-large": ("hubert", LARGE), "wavlm-large": ("wavlm", LARGE)}
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # told in speech_encoder.py
LENGTHS = torch.tensor([40, 1, 23, 39])


@pytest.fixture(scope="module", params=KINDS)
def directory(request, tmp_path_factory):
    architecture, settings = KINDS[request.param]
    return write_tiny_encoder(tmp_path_factory.mktemp(request.param) / "encoder", architecture, **settings)


@pytest.fixture
def encoder(directory):
    return SpeechEncoder.load(directory)


def changed_config(directory: Path, copy: Path, **settings: object) -> Path:
    """A copy of an encoder with other settings."""
    shutil.copytree(directory, copy)
    (copy / "config.json").write_text(json.dumps(json.loads((copy / "config.json").read_text()) | settings))
    return copy


def sound(samples, seed=0):
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def convolved_batch(encoder, filler=0.0):
    frames = torch.randn(4, 40, encoder.convolution_size, generator=torch.Generator().manual_seed(0))
    frames[torch.arange(40) >= LENGTHS[:, None]] = filler
    return frames


def parts(encoder):
    """The frozen parameters and those of the Transformer."""
    ours = {id(parameter) for parameter in encoder.transformer_parameters()}
    return [p for p in encoder.parameters() if id(p) not in ours], encoder.transformer_parameters()


@pytest.mark.parametrize("samples", [400, 719, 720, 8000])
def test_every_layer_is_that_of_transformers_on_the_waveform(directory, encoder, samples):
    whole = AutoModel.from_pretrained(directory).eval()
    with torch.no_grad():
        expected = whole(sound(samples)[None], output_hidden_states=True)
        convolved = encoder.convolve(sound(samples))
        lengths = torch.tensor([len(convolved)])
        last, layers = encoder(convolved[None], lengths), encoder.hidden_layers(convolved[None], lengths)
    assert convolved.shape == (encoder.frames(samples), encoder.convolution_size)
    assert layers.shape == (encoder.layers + 1, 1, len(convolved), encoder.hidden_size)
    torch.testing.assert_close(last, expected.last_hidden_state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layers, torch.stack(expected.hidden_states), rtol=1e-5, atol=1e-5)
    assert (layers[1:] - layers[:-1]).abs().mean() > 0.01  # or any layer would do for any other


@pytest.mark.parametrize("filler", [0.0, 1e3, torch.nan])
def test_an_utterance_in_a_padded_batch_is_what_it_is_alone_whatever_the_padding_holds(encoder, filler):
    convolved = convolved_batch(encoder, filler)
    with torch.no_grad():
        together, layers = encoder(convolved, LENGTHS), encoder.hidden_layers(convolved, LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            own, only = convolved[row : row + 1, :length], LENGTHS[row : row + 1]
            torch.testing.assert_close(together[row, :length], encoder(own, only)[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(layers[:, row, :length], encoder.hidden_layers(own, only)[:, 0], rtol=1e-4, atol=1e-5)
            assert not together[row, length:].any()
            assert not layers[:, row, length:].any()


def test_gradients_of_a_padded_batch_are_those_of_its_utterances_alone(encoder):
    convolved = convolved_batch(encoder, filler=5.0)
    encoder(convolved, LENGTHS).sin().sum().backward()
    together = [parameter.grad.clone() for parameter in encoder.transformer_parameters()]
    encoder.zero_grad()
    for row, length in enumerate(LENGTHS.tolist()):
        encoder(convolved[row : row + 1, :length], LENGTHS[row : row + 1]).sin().sum().backward()
    for expected, parameter in zip(together, encoder.transformer_parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-4)


def test_frames_of_an_utterance_depend_on_all_of_it_and_on_their_distance_in_time(encoder):
    """Else the tests of padding would pass for a Transformer that hears each frame by itself."""
    convolved = convolved_batch(encoder)[:1]
    with torch.no_grad():
        here = encoder(convolved, LENGTHS[:1])
        changed = convolved.clone()
        changed[0, -1] *= -1
        assert (encoder(changed, LENGTHS[:1]) - here)[0, 0].abs().max() > 1e-4
        turned = encoder(convolved.roll(20, dims=1), LENGTHS[:1]).roll(-20, dims=1)
        assert (turned - here)[0, 10].abs().max() > 1e-4


def test_only_the_transformer_learns_and_all_of_it_does(encoder):
    frozen, transformer = parts(encoder)
    encoder.train()
    encoder(convolved_batch(encoder), LENGTHS).square().sum().backward()
    assert not any(parameter.requires_grad for parameter in frozen)
    assert all(parameter.grad is None for parameter in frozen)
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in transformer)
    names = {name.split(".")[1] for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert names == {"encoder"}
    assert not encoder.requires_grad_(True).convolve(sound(1000)).requires_grad  # even for who trains the convolution


def test_in_training_the_frozen_parts_stay_in_evaluation_and_the_transformer_drops_out(directory, tmp_path):
    encoder = SpeechEncoder.load(changed_config(directory, tmp_path / "loud", feat_proj_dropout=0.5, hidden_dropout=0.5))
    assert not encoder.training
    assert not any(module.training for module in encoder.modules())
    assert encoder.train() is encoder
    model, convolved = encoder.model, convolved_batch(encoder)
    assert not any(m.training for part in (model.feature_extractor, model.feature_projection) for m in part.modules())
    assert all(module.training for module in model.encoder.modules())
    assert not torch.equal(encoder(convolved, LENGTHS), encoder(convolved, LENGTHS))
    seen = []
    model.feature_projection.register_forward_hook(lambda module, given, made: seen.append(made))
    encoder(convolved, LENGTHS)
    encoder(convolved, LENGTHS)
    first, second = (made[0] if isinstance(made, tuple) else made for made in seen)
    assert torch.equal(first, second)


def test_every_layer_runs_at_every_training_step_and_nothing_is_masked(directory, tmp_path):
    """Layer drop and SpecAugment of the configuration are off: here they would be certain, and would draw from numpy."""
    sure = {"layerdrop": 1.0, "mask_time_prob": 1.0, "hidden_dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0}
    encoder = SpeechEncoder.load(changed_config(directory, tmp_path / "sure", **sure))
    convolved, state = convolved_batch(encoder), np.random.get_state()[1].tolist()
    with torch.no_grad():
        torch.testing.assert_close(encoder.train()(convolved, LENGTHS), encoder.eval()(convolved, LENGTHS))
    assert np.random.get_state()[1].tolist() == state


def test_in_bfloat16_the_transformer_is_nearly_the_same_and_convolved_features_are_the_same(encoder):
    convolved = convolved_batch(encoder)
    with torch.no_grad():
        exact = encoder(convolved, LENGTHS)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = encoder(convolved, LENGTHS)
            autocast = encoder.convolve(sound(3000))
        assert torch.equal(autocast, encoder.convolve(sound(3000)))
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).square().mean() < 0.01 * exact.square().mean()
    assert not any(row[length:].any() for row, length in zip(rounded, LENGTHS.tolist(), strict=True))


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
@pytest.mark.parametrize("do_normalize", [True, False])
def test_an_utterance_is_normalised_where_and_as_transformers_feature_extractor_does_it(tmp_path, architecture, do_normalize):
    directory = write_tiny_encoder(tmp_path / "encoder", architecture, do_normalize=do_normalize)
    encoder, samples = SpeechEncoder.load(directory), 0.2 + 0.05 * sound(450)
    given = Wav2Vec2FeatureExtractor.from_pretrained(directory)(samples.numpy(), sampling_rate=16000, return_tensors="pt")
    heard = []  # by the first convolution, whose group norm would hide a wrong scale
    encoder.model.feature_extractor.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    convolved = encoder.convolve(samples)
    torch.testing.assert_close(heard[0], given.input_values, rtol=1e-5, atol=1e-5)
    assert torch.equal(heard[0][0], samples) != do_normalize
    with torch.no_grad():
        whole = AutoModel.from_pretrained(directory).eval()
        torch.testing.assert_close(convolved, whole.feature_extractor(given.input_values)[0].T, rtol=1e-4, atol=1e-5)


def test_of_silence_and_of_a_single_sample_there_are_finite_frames(tmp_path):
    encoder = SpeechEncoder.load(write_tiny_encoder(tmp_path / "encoder", "hubert", do_normalize=True))
    for samples in (torch.zeros(1000), torch.ones(1), torch.full((399,), 0.5)):
        assert encoder.convolve(samples).isfinite().all()


@pytest.mark.parametrize("samples", [1, 16, 399])
def test_an_utterance_shorter_than_one_frame_is_followed_by_zeros_up_to_one(encoder, samples):
    short = sound(samples)
    assert encoder.frames(samples) == 1
    assert torch.equal(encoder.convolve(short), encoder.convolve(torch.cat([short, torch.zeros(400 - samples)])))


@pytest.mark.parametrize("seconds", [1, 10])
def test_there_are_50_frames_a_second(encoder, seconds):
    assert encoder.frames(16000 * seconds) == 50 * seconds - 1 == len(encoder.convolve(sound(16000 * seconds)))
    assert all(encoder.frames(n) == len(encoder.convolve(sound(n))) for edge in (400, 720, 1040) for n in range(edge - 2, edge + 2))


def test_what_is_saved_is_loaded_with_the_same_weights_and_by_transformers_too(encoder, tmp_path):
    with torch.no_grad():
        for number, parameter in enumerate(encoder.transformer_parameters()):
            parameter.add_(0.01 * number)
    encoder.save(tmp_path / "first")
    again = SpeechEncoder.load(tmp_path / "first")
    again.save(tmp_path / "second")
    torch.testing.assert_close(again.state_dict(), encoder.state_dict(), rtol=0, atol=0)
    samples, lengths = sound(4000), torch.tensor([12])
    first, second = tmp_path / "first" / FOLDER, tmp_path / "second" / FOLDER
    with torch.no_grad():
        expected = AutoModel.from_pretrained(first).eval()(samples[None]).last_hidden_state
        torch.testing.assert_close(again(again.convolve(samples)[None], lengths), expected, rtol=1e-5, atol=1e-5)
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_result_is_read_beside_the_description_of_the_stage_that_the_store_adds(encoder, tmp_path):
    encoder.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    (tmp_path / "config.json").write_text('{"stage": "trainables.initial_encoder.InitialEncoder"}')
    torch.testing.assert_close(SpeechEncoder.load(tmp_path).state_dict(), encoder.state_dict(), rtol=0, atol=0)


def test_weights_with_the_names_of_the_published_files_lack_nothing_and_are_saved_with_todays(directory, encoder, tmp_path):
    """Published files name the two halves of the positional convolution's weight weight_g and weight_v."""
    tensors = load_file(directory / "model.safetensors")
    halves = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {
        next((name.replace(new, old) for new, old in halves.items() if new in name), name): tensors[name] for name in tensors
    }
    assert {name.rpartition(".")[2] for name in renamed} >= {"weight_g", "weight_v", "masked_spec_embed"}
    old = shutil.copytree(directory, tmp_path / "old")
    save_file(renamed, old / "model.safetensors", metadata={"format": "pt"})
    loaded = SpeechEncoder.load(old)
    torch.testing.assert_close(loaded.state_dict(), encoder.state_dict(), rtol=0, atol=0)
    loaded.save(tmp_path / "new")
    assert load_file(tmp_path / "new" / FOLDER / "model.safetensors").keys() == tensors.keys()


def test_weights_of_a_model_with_a_head_are_read_without_it(tmp_path):
    from transformers import HubertConfig, HubertForCTC

    directory = write_tiny_encoder(tmp_path / "base", "hubert")
    config = HubertConfig.from_pretrained(directory)
    HubertForCTC(config).save_pretrained(tmp_path / "head")
    (tmp_path / "head" / "preprocessor_config.json").write_bytes((directory / "preprocessor_config.json").read_bytes())
    tensors = load_file(tmp_path / "head" / "model.safetensors")
    state = SpeechEncoder.load(tmp_path / "head").state_dict()
    assert state
    assert all(torch.equal(value, tensors[name.replace("model.", "hubert.", 1)]) for name, value in state.items())


def test_weights_in_half_precision_are_computed_with_in_float32(directory, tmp_path):
    encoder = SpeechEncoder.load(directory)
    encoder.model.half()
    encoder.save(tmp_path / "half")
    assert {value.dtype for value in load_file(tmp_path / "half" / FOLDER / "model.safetensors").values()} == {torch.float16}
    assert {value.dtype for value in SpeechEncoder.load(tmp_path / "half").state_dict().values()} == {torch.float32}


def test_other_architectures_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="found a bert, expected hubert or wavlm"):
        SpeechEncoder.load(write_tiny_bert(tmp_path / "bert"))


@pytest.mark.parametrize(
    ("architecture", "setting"), [("hubert", "conv_pos_batch_norm"), ("wavlm", "add_adapter")], ids=["batch norm", "adapter"]
)
def test_parts_that_are_not_read_are_refused(tmp_path, architecture, setting):
    with pytest.raises(UserError, match=f"config.json has {setting}"):
        SpeechEncoder.load(write_tiny_encoder(tmp_path / "encoder", architecture, **{setting: True}))


def test_sound_of_another_rate_and_a_lacking_preprocessor_config_are_told(tmp_path):
    directory = write_tiny_encoder(tmp_path / "encoder", "wavlm")
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(directory)
    with pytest.raises(UserError, match="sound at 8000 Hz, expected 16000"):
        SpeechEncoder.load(directory)
    for content in (b"{", b"[1]"):
        (directory / "preprocessor_config.json").write_bytes(content)
        with pytest.raises(UserError, match=r"preprocessor_config\.json"):
            SpeechEncoder.load(directory)
    (directory / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=r"preprocessor_config\.json.*fetch all files"):
        SpeechEncoder.load(directory)
