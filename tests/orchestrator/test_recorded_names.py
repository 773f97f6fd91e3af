"""The name under which a sweep is recorded: one for each question, and the command can be told from it."""

import pytest

from orchestrator.records import command_words, recorded_name, sweep_command


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "reclr_lambda"),
        ({"curve": True}, "reclr_lambda --curve"),
        ({"controls": True}, "reclr_lambda --controls"),
        ({"protocol": "daic-official"}, "reclr_lambda --protocol daic-official"),
        (
            {"curve": True, "controls": True, "protocol": "speakers-5-fold"},
            "reclr_lambda --curve --controls --protocol speakers-5-fold",
        ),
    ],
)
def test_a_recorded_name_is_a_folders_name_and_gives_the_command_back(asked, words):
    name = recorded_name("reclr_lambda", **asked)
    assert not set(name) & set('/\\ :*?"<>|')
    assert command_words(name) == words
    assert sweep_command(name) == f"python -m orchestrator.sweep {words}"


def test_every_question_has_a_name_of_its_own():
    asked = [(curve, controls, protocol) for curve in (0, 1) for controls in (0, 1) for protocol in (None, "a", "b")]
    assert len({recorded_name("study", *words) for words in asked}) == len(asked)
