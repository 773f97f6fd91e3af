"""Faults are told at once, and can be taken over one by one."""

from __future__ import annotations

import copy

import pytest

from trainables.errors import Faults, UserError


def test_the_faults_of_one_input_join_anothers_without_a_second_heading() -> None:
    inner, outer = Faults("the corpora"), Faults("the command")
    inner.add("mdd: root is missing")
    inner.add("mosei: root is missing")
    with pytest.raises(UserError) as caught:
        inner.raise_if_any()
    for message in (*caught.value.messages, *UserError("no such study").messages):
        outer.add(message)
    with pytest.raises(UserError) as caught:
        outer.raise_if_any()
    assert str(caught.value) == (
        "3 faults in the command:\n  - mdd: root is missing\n  - mosei: root is missing\n  - no such study"
    )


def test_a_copied_error_as_it_comes_from_another_process_still_has_its_messages() -> None:
    error = copy.copy(UserError("2 faults in x", ("a", "b")))
    assert (str(error), error.messages) == ("2 faults in x", ("a", "b"))


def test_a_file_name_that_is_no_text_is_told_by_its_escapes_so_that_a_terminal_takes_it() -> None:
    faults = Faults("a corpus")
    faults.add("\udcff.wav: cannot be read")
    assert faults.messages == ["\\xff.wav: cannot be read"]
    assert str(UserError("\udcff.wav")) == "\\xff.wav"
