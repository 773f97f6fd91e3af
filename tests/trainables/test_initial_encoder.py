"""Contract of trainables/initial_encoder.py: public or random weights in one form, and how to get those that are not here."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, HubertConfig, WavLMConfig

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.tiny_weights import write_tiny_bert
from tests.trainables.fake_context import FakeContext
from tests.trainables.spoken_corpora import finished
from trainables.errors import UserError
from trainables.identity import fingerprint, identity_of, weights_key
from trainables.initial_encoder import PUBLIC, InitialEncoder
from trainables.leakage.exposure import Exposure
from trainables.models.speech_encoder import FOLDER, SpeechEncoder
from trainables.pretrained import find_all_weights, find_weights
from trainables.stage import from_config, to_config

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
SMALL = {"hidden_size": 32, "layers": 2, "heads": 4, "intermediate_size": 48, "convolution_size": 8}
HALVES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def run(stage: InitialEncoder, directory: Path, weights: Path | None = None) -> Path:
    context = FakeContext(directory, {})
    context.pretrained = lambda name: weights
    stage.run(context)
    return directory / FOLDER


def random(architecture: str = "hubert", **settings: object) -> InitialEncoder:
    return InitialEncoder(architecture=architecture, weights="random", **{**SMALL, **settings})


def as_published(directory: Path, copy: Path) -> Path:
    """As the public models lie on Hugging Face: a ``.bin``, with old names of the positional convolution's halves."""
    shutil.copytree(directory, copy)
    tensors = load_file(copy / "model.safetensors")
    renamed = {
        next((name.replace(new, old) for new, old in HALVES.items() if new in name), name): tensors[name] for name in tensors
    }
    torch.save(renamed, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    return copy


@pytest.mark.parametrize(
    ("architecture", "name"), [("hubert", "facebook/hubert-base-ls960"), ("wavlm", "microsoft/wavlm-base-plus")]
)
def test_the_papers_weights_are_the_default_and_of_twelve_layers(architecture, name):
    stage = InitialEncoder(architecture=architecture)
    assert stage.pretrained() == {"weights": name}
    assert stage.layers == 12
    assert InitialEncoder(architecture=architecture, weights="my/own").pretrained() == {"weights": "my/own"}
    assert random(architecture).pretrained() == {}


def test_weights_decide_the_identity_by_their_digest_and_never_by_their_name():
    digests = {
        weights_key(name): digest * 16 for name, digest in (("microsoft/wavlm-base-plus", "a"), ("a/copy", "a"), ("my/own", "b"))
    }
    public, copy, own = (InitialEncoder(architecture="wavlm", weights=name) for name in ("public", "a/copy", "my/own"))
    assert identity_of(public, digests)["pretrained"] == {"weights": "a" * 16}
    assert fingerprint(public, digests) == fingerprint(copy, digests) != fingerprint(own, digests)
    assert (
        len({fingerprint(random(**settings), {}) for settings in ({}, {"seed": 1}, {"layers": 3}, {"architecture": "wavlm"})}) == 4
    )


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_where_neither_a_folder_nor_a_network_has_the_public_weights_it_is_told_how_to_get_them(
    tmp_path, monkeypatch, architecture
):
    """The published files are .bin: without the conversion that is told, a user who has fetched them would be refused them."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    stage, name = InitialEncoder(architecture=architecture), PUBLIC[architecture]
    leaf = name.split("/")[1]
    with pytest.raises(UserError, match="HF_HUB_OFFLINE") as caught:
        find_all_weights(stage.pretrained().values(), {})
    for part in (
        f"hf download {name} --local-dir weights/{leaf}",
        "no .safetensors",
        f"save_pretrained('weights/{leaf}')",
        f'[pretrained] with the line "{name}"',
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_what_is_told_leads_from_the_published_files_to_the_same_encoder(tmp_path, architecture):
    tiny = write_tiny_encoder(tmp_path / "tiny", architecture, do_normalize=architecture == "hubert")
    copy, name = as_published(tiny, tmp_path / "published"), PUBLIC[architecture]
    with pytest.raises(UserError, match=r"\.bin alone, which would be unpickled") as caught:
        find_weights(name, {name: str(copy)})
    exec(re.search(r'python -c "(.*)"`', str(caught.value))[1], {})
    stage = InitialEncoder(architecture=architecture, layers=2)
    made = finished({}, stage, tmp_path / "store", weights={name: find_weights(name, {name: str(copy)})}) / FOLDER
    expected, found = load_file(tiny / "model.safetensors"), load_file(made / "model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert json.loads((made / "preprocessor_config.json").read_text())["do_normalize"] == (architecture == "hubert")


def test_the_result_has_one_form_whatever_the_weights_were_stored_as(tmp_path):
    tiny = write_tiny_encoder(tmp_path / "tiny", "wavlm")
    stage = InitialEncoder(architecture="wavlm", weights="w", layers=2)
    plain = run(stage, tmp_path / "plain", tiny)
    tensors = load_file(tiny / "model.safetensors")
    copy = shutil.copytree(tiny, tmp_path / "copy")
    with_head = {f"wavlm.{name}": tensor for name, tensor in tensors.items()} | {"lm_head.weight": torch.ones(3, 16)}
    save_file(with_head, copy / "model.safetensors", metadata={"format": "pt"})
    (copy / "README.md").write_text("a card")
    other = run(stage, tmp_path / "other", copy)
    assert sorted(path.name for path in other.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (plain / name).read_bytes() == (other / name).read_bytes(), name
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(plain / "model.safetensors").items())


def test_weights_of_another_architecture_or_size_are_refused_with_what_was_found_and_expected(tmp_path):
    tiny, bert = write_tiny_encoder(tmp_path / "tiny", "wavlm"), write_tiny_bert(tmp_path / "bert")
    with pytest.raises(UserError, match=r"tiny: found a wavlm of 2 layers, expected a hubert of 2;.*'w'"):
        run(InitialEncoder(architecture="hubert", weights="w", layers=2), tmp_path / "out", tiny)
    with pytest.raises(UserError, match="found a wavlm of 2 layers, expected a wavlm of 12"):
        run(InitialEncoder(architecture="wavlm", weights="w"), tmp_path / "out", tiny)
    with pytest.raises(UserError, match="found a bert"):
        run(InitialEncoder(architecture="wavlm", weights="w"), tmp_path / "out", bert)
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "settings", [{"seed": 1}, {"hidden_size": 64, "heads": 2}, {"convolution_size": 8}, {"convolution_norm": "layer"}]
)
def test_of_weights_that_are_not_random_no_size_and_no_seed_can_be_set(settings):
    with pytest.raises(ValidationError, match=f"{', '.join(settings)}: the weights 'public' have their own"):
        InitialEncoder(architecture="hubert", **settings)


@pytest.mark.parametrize("settings", [{"hidden_size": 40}, {"hidden_size": 32, "heads": 3}])
def test_random_weights_have_a_shape_that_can_be_made(settings):
    with pytest.raises(ValidationError, match="multiple"):
        random(**settings)


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_random_weights_are_the_public_configuration_but_for_the_sizes_that_are_set(tmp_path, architecture):
    directory = run(random(architecture), tmp_path / "out")
    found = AutoConfig.from_pretrained(directory).to_diff_dict()
    public = {"hubert": HubertConfig, "wavlm": WavLMConfig}[architecture]().to_diff_dict()
    differing = {name for name in found.keys() | public.keys() if found.get(name) != public.get(name)}
    # the last three say what transformers wrote; layer drop is off (SpeechEncoder)
    sizes = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim", "output_hidden_size"}
    assert sizes - {"output_hidden_size"} <= differing <= sizes | {"layerdrop", "architectures", "dtype", "transformers_version"}
    encoder = SpeechEncoder.load(directory)
    assert (encoder.architecture, encoder.convolution_size, encoder.hidden_size, encoder.layers) == (architecture, 8, 32, 2)
    assert encoder.frames(16000) == 49
    normalised = json.loads((directory / "preprocessor_config.json").read_text())["do_normalize"]
    assert normalised == (architecture == "hubert")
    metrics = json.loads((directory.parent / "metrics.json").read_text())
    stored = {name: tensor.numel() for name, tensor in load_file(directory / "model.safetensors").items()}
    assert metrics["parameters"] == sum(stored.values())
    assert metrics["transformer_parameters"] == sum(size for name, size in stored.items() if name.startswith("encoder."))
    assert (metrics["layers"], metrics["hidden_size"], metrics["convolution_size"]) == (2, 32, 8)


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_a_norm_of_each_frame_hears_how_loud_sound_is_and_one_over_time_does_not(tmp_path, architecture):
    noise = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    differences = {}
    for norm in ("group", "layer"):
        encoder = SpeechEncoder.load(run(random(architecture, convolution_norm=norm), tmp_path / norm))
        convolved, louder = encoder.convolve(noise), encoder.convolve(2 * noise)
        differences[norm] = ((louder - convolved).square().mean() / convolved.var()).item()
    assert differences["group"] < 1e-3 < 1e-2 < differences["layer"]


def test_the_choice_of_a_norm_leaves_the_identity_of_encoders_without_it_alone():
    assert "convolution_norm" not in identity_of(random(), {})["settings"]
    assert (
        "convolution_norm" not in identity_of(InitialEncoder(architecture="wavlm"), {weights_key(PUBLIC["wavlm"]): "a"})["settings"]
    )
    assert fingerprint(random(), {}) != fingerprint(random(convolution_norm="layer"), {})
    assert from_config(to_config(random(convolution_norm="layer"))) == random(convolution_norm="layer")


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_the_seed_controls_the_random_weights_and_no_other_draw(tmp_path, architecture):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = run(random(architecture), tmp_path / "first")
    assert torch.equal(torch.rand(3), expected)
    again, other = run(random(architecture), tmp_path / "again"), run(random(architecture, seed=1), tmp_path / "other")
    for name in FILES:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    one, two = (load_file(directory / "model.safetensors") for directory in (first, other))
    assert not torch.equal(one["encoder.layers.0.attention.q_proj.weight"], two["encoder.layers.0.attention.q_proj.weight"])
    assert not torch.equal(one["feature_extractor.conv_layers.0.conv.weight"], two["feature_extractor.conv_layers.0.conv.weight"])


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_the_seed_controls_the_biases_of_convolutions_too(tmp_path, architecture):
    first, again, other = (
        load_file(run(random(architecture, convolution_norm="layer", seed=seed), tmp_path / name) / "model.safetensors")
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    for number, bound in enumerate(((1 / 10) ** 0.5, *[(1 / 24) ** 0.5] * 4, *[(1 / 16) ** 0.5] * 2)):  # 1 / values a filter hears
        name = f"feature_extractor.conv_layers.{number}.conv.bias"
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
        assert 0 < first[name].abs().max() <= bound


def test_nothing_of_any_corpus_is_learnt():
    assert InitialEncoder(architecture="wavlm").exposure() == Exposure()
