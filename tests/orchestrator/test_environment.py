"""What is set before Ray is imported."""

import os

import pytest

from orchestrator.execution.environment import set_environment


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_whoever_has_a_token_shows_it_to_the_cluster_that_is_joined(name, monkeypatch):
    monkeypatch.setattr(os, "environ", {"HOME": os.devnull, name: "somewhere"})
    set_environment("auto")
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_who_has_none_does_not_claim_to_and_what_the_user_set_stands(monkeypatch):
    monkeypatch.setattr(os, "environ", {"HOME": os.devnull})
    set_environment("auto")
    assert "RAY_AUTH_MODE" not in os.environ
    monkeypatch.setattr(os, "environ", {"HOME": os.devnull, "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "some"})
    set_environment("auto")
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
