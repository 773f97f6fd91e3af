"""A twin written in its corpus' layout appears whole or not at all, and never on top of anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.trainables.corpora.small_twins import small_twin
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.layouts import LAYOUTS, write_layout
from trainables.corpora.twins.layouts.iemocap import official_name
from trainables.corpora.twins.layouts.iemocap import write as write_iemocap
from trainables.corpora.twins.layouts.parts import renamed
from trainables.corpora.twins.reader import twin_source
from trainables.corpora.twins.recipe import IemocapRecipe
from trainables.errors import UserError

RECIPE = IemocapRecipe(sessions=2, dialogues=2, turns=(3, 4))


@pytest.fixture(scope="module")
def dialogues() -> CorpusSource:
    return small_twin("iemocap")


def test_every_role_has_a_layout() -> None:
    assert set(LAYOUTS) == set(ROLES)


def test_recordings_are_counted_as_they_are_made_and_as_they_are_written(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    new = twin_source("iemocap", tmp_path / "home", RECIPE)
    write_layout("iemocap", new, tmp_path / "out", lambda done, total: heard.append((done, total)))
    assert heard == 2 * [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_empty_folder_is_filled_and_parents_are_made(dialogues: CorpusSource, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "new" / "deep"):
        write_layout("iemocap", dialogues, out)
        assert {path.name for path in out.iterdir()} == {"Session1", "Session2"}


@pytest.mark.parametrize("there", ["folder", "file"])
def test_what_is_there_already_is_left_alone(dialogues: CorpusSource, tmp_path: Path, there: str) -> None:
    out = tmp_path / "out"
    if there == "folder":
        out.mkdir()
    kept = out / "thesis.txt" if there == "folder" else out
    kept.write_text("years of work")
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        write_layout("iemocap", dialogues, out)
    assert kept.read_text() == "years of work"


def test_what_fails_half_way_leaves_nothing(dialogues: CorpusSource, tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_layout("iemocap", dialogues, tmp_path / "out", fail)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_is_told(dialogues: CorpusSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_layout("iemocap", dialogues, tmp_path / "file" / "out")


def test_a_role_without_layout_is_refused(dialogues: CorpusSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no layout is known for the role 'music'"):
        write_layout("music", dialogues, tmp_path / "out")


def test_the_same_twin_gives_the_same_bytes(dialogues: CorpusSource, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_iemocap(dialogues, tmp_path / name, None)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def test_the_largest_twins_dialogues_have_iemocaps_names_none_twice() -> None:
    largest = IemocapRecipe.model_fields["dialogues"].metadata[1].le
    names = [
        official_name(f"Ses05_{style}{number:02d}")[1] for style in ("impro", "script") for number in range(1, largest // 2 + 1)
    ]
    official = r"Ses0[1-5][MF]_(?:impro|script)0\d[ab]?(?:_\d[b]?)?"  # of the release
    assert all(re.fullmatch(official, name) for name in names)
    assert len(set(names)) == len(names) == 50


def test_a_twin_with_more_than_a_layout_has_names_for_is_refused() -> None:
    assert renamed(["b", "a", "b"], ("x", "y"), "videos") == {"a": "x", "b": "y"}
    with pytest.raises(UserError, match="names for 2 videos, the twin has 3; ask for a smaller twin"):
        renamed(["b", "a", "c"], ("x", "y"), "videos")
