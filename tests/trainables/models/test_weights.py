"""Contract of trainables.models.weights."""

from __future__ import annotations

import json

import pytest
import torch

from trainables.errors import UserError
from trainables.models.cnn10 import Cnn10
from trainables.models.weights import load_encoder, save_encoder


@pytest.fixture
def trained():
    torch.manual_seed(0)
    encoder = Cnn10(n_mels=16, width=3, dropout=0.0)
    encoder(torch.randn(2, 32, 16))  # moves the running statistics
    return encoder


def test_a_loaded_encoder_embeds_as_the_saved_one(tmp_path, trained):
    save_encoder(tmp_path, trained)
    loaded = load_encoder(tmp_path)
    x = torch.randn(2, 32, 16)
    assert torch.equal(loaded.eval()(x), trained.eval()(x))


def test_a_loaded_encoder_has_panns_dropout(tmp_path, trained):
    save_encoder(tmp_path, trained)
    loaded = load_encoder(tmp_path)
    assert (loaded.dropout, loaded.head_dropout) == (0.2, 0.5)


def test_the_file_does_not_depend_on_the_memory_layout(tmp_path, trained):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    save_encoder(tmp_path / "a", trained)
    save_encoder(tmp_path / "b", trained.to(memory_format=torch.contiguous_format))
    assert (tmp_path / "a/encoder.safetensors").read_bytes() == (tmp_path / "b/encoder.safetensors").read_bytes()


def test_an_unknown_architecture_is_named(tmp_path, trained):
    save_encoder(tmp_path, trained)
    (tmp_path / "encoder.json").write_text(json.dumps({"architecture": "Cnn14"}))
    with pytest.raises(UserError, match="'Cnn14'"):
        load_encoder(tmp_path)


def test_weights_of_another_width_are_a_clear_error(tmp_path, trained):
    save_encoder(tmp_path, trained)
    (tmp_path / "encoder.json").write_text(json.dumps({"architecture": "Cnn10", "n_mels": 16, "width": 4}))
    with pytest.raises(UserError, match="do not fit"):
        load_encoder(tmp_path)
