"""Reading a table: every value as text, whatever the file, with the line named where it is broken."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.corpora.tables import read_table
from trainables.errors import UserError

CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5) | st.sampled_from(
    ["007", "-1", 'a "b"', "x, y", "1\n2"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_a_spreadsheet_writes_is_read_as_pythons_csv_reads_it(tmp_path: Path, rows: list[list[str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["one", "two"], *rows])
    (tmp_path / "t.csv").write_text(buffer.getvalue(), encoding="utf-8-sig", newline="")
    expected = [row for row in csv.reader(io.StringIO(buffer.getvalue(), newline="")) if any(cell.strip() for cell in row)][1:]
    assert read_table(tmp_path / "t.csv").to_numpy().tolist() == expected


def test_numbers_in_parquet_become_the_words_of_the_same_csv(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [7, 8], "score": [1.0, None], "start": [0.1, 12.25], "name": ["007", None]})
    table.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").to_dict("list") == {
        "id": ["7", "8"],
        "score": ["1", ""],
        "start": ["0.1", "12.25"],
        "name": ["007", ""],
    }


def test_json_lines_may_leave_fields_out(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": "1"}\n\n{"b": 2.50}\n{"a": null, "b": "x"}\n')
    assert read_table(tmp_path / "t.jsonl").to_dict("list") == {"a": ["1", "", ""], "b": ["", "2.50", "x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n\n3\n4,5,6\n", "row 3 has 1 cells, the header 2; quote cells that hold ','"),
        (b"a,b\n" + b"1,2\n" * 9999 + "é,2\n".encode("latin-1"), "not UTF-8 text (byte 40000)"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (b"a;a\n1;2\n", "several columns have one name: 'a'"),
    ],
)
def test_a_broken_table_is_a_fault_that_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.csv") as caught:
        read_table(tmp_path / "t.csv")
    assert message in str(caught.value)


def test_rows_without_a_single_cell_are_left_out_and_numbered_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"a\tb\r\n1\t2\r\n\t\r\n \t \r\n3\t4")
    assert read_table(tmp_path / "t.tsv").to_numpy().tolist() == [["1", "2"], ["3", "4"]]
