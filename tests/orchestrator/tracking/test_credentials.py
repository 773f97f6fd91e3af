"""Credentials are shown nowhere: not in what is printed, and not in links."""

from __future__ import annotations

import pytest

from orchestrator.tracking.credentials import public_address, tracking_environment, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:s3cret@host:5000/x", "http://ann:***@host:5000/x"),
        ("postgresql+psycopg2://ann:s3/cr@et@host/db", "postgresql+psycopg2://ann:***@host/db"),
        ("postgresql://host/db?user=ann&password=s3cret&x=1", "postgresql://host/db?user=ann&password=***&x=1"),
        ("cannot reach 'http://ann:s3cret@host': timed out", "cannot reach 'http://ann:***@host': timed out"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
    ],
)
def test_a_password_in_an_address_is_not_printed(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_secret_of_the_environment_is_not_printed_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abcdef123")
    monkeypatch.setenv("PGPASSWORD", "hunter22")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:pa%24s5@host/db")
    told = "header Bearer abcdef123, FATAL hunter22, connect(password='pa$s5'), pa%24s5"
    assert without_secrets(told) == "header Bearer ***, FATAL ***, connect(password='***'), ***"


def test_a_switch_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TOKEN_CHECK", "true")
    assert without_secrets("this is true") == "this is true"


def test_what_is_handed_to_the_tracker_is_what_mlflow_and_its_stores_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "REQUESTS_CA_BUNDLE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "x1y2z3")
    handed = tracking_environment()
    assert {"MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "REQUESTS_CA_BUNDLE"} <= handed.keys()
    assert not {"RAY_AUTH_TOKEN", "PATH", "HOME"} & handed.keys()


def test_a_link_has_neither_name_nor_password() -> None:
    assert public_address("https://ann:s3cret@mlflow.example:5000/lab/") == "https://mlflow.example:5000/lab"
