"""What all readers of official layouts share: finding the layout, listing files, and tables as text."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from trainables.corpora.readers._files import find_below, read_rows, read_text, visible
from trainables.errors import UserError


def test_a_layout_is_looked_for_in_the_folder_its_parent_and_its_visible_children_in_this_order(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    for name in (".hidden", "b", "a"):
        (folder / name).mkdir(parents=True)
    seen: list[Path] = []
    assert find_below(folder, lambda path: bool(seen.append(path))) is None
    assert seen == [folder, tmp_path, folder / "a", folder / "b"]
    assert find_below(folder, lambda path: path.name in ("a", "b")) == folder / "a"


@pytest.mark.parametrize("error", [PermissionError(), UserError("damaged")])
def test_a_folder_that_cannot_be_read_does_not_look_right(tmp_path: Path, error: Exception) -> None:
    def looks_right(path: Path) -> bool:
        if path == tmp_path:
            raise error
        return True

    assert find_below(tmp_path, looks_right) == tmp_path.parent


def test_what_macos_leaves_is_not_listed(tmp_path: Path) -> None:
    for name in ("b.wav", "._b.wav", "a.wav", ".DS_Store", "a.txt"):
        (tmp_path / name).write_bytes(b"")
    assert visible(tmp_path, "*.wav") == [tmp_path / "a.wav", tmp_path / "b.wav"]
    assert visible(tmp_path / "nowhere") == []


def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv: cannot be read \(No such file"):
        read_text(tmp_path / "labels.csv")


def test_cells_are_text_and_blank_lines_marks_and_bytes_of_other_encodings_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b'\xef\xbb\xbf id ;Text\r\n\r\n007;"a;\nb"\r\n ; \n-x;caf\xe9\r\n')
    table = read_rows(path, ";")
    assert table.to_dict("list") == {"id": ["007", "-x"], "Text": ["a;\nb", "caf\ufffd"]}


def test_without_quoting_a_quotation_mark_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a\tb\n1\t"so\n2\tno"\n')
    assert read_rows(path, "\t", csv.QUOTE_NONE)["b"].tolist() == ['"so', 'no"']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b,a\n1,2,3\n", "several columns have one name: 'a'"),
        ("a,b\n\n1,2\n1,2,3\n", "line 4 has 3 cells, the header 2"),
        ("a,b\n1\n", "line 2 has 1 cells, the header 2"),
        ("a,b\n1," + "x" * 200_000, "line 2 cannot be read"),
    ],
)
def test_a_damaged_table_is_refused_with_its_name_and_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=f"labels.csv: {message}"):
        read_rows(path)


def test_cells_may_be_missing_at_the_end_of_a_row_where_the_reader_says_so(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a,b\n1\n2,3\n")
    assert read_rows(path, short_rows=True)["b"].tolist() == ["", "3"]
