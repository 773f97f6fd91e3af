"""``python -m orchestrator.table``: one table, or all of them with an index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import orchestrator.tracking
from orchestrator.records import RecordedSweep
from orchestrator.table import app
from orchestrator.tables.cells import make_table
from orchestrator.tables.files import table_files
from orchestrator.tables.render import Format, render
from search_spaces.table import Curve
from tests.orchestrator.tables.recorded import TABLE, recorded, trials
from trainables.errors import UserError

FILES = ["table.csv", "table.html", "table.md", "table.png", "table.tex"]


def named(study: str, **changes: object) -> RecordedSweep:
    spec = TABLE.model_copy(update={"study": study, "title": f"The title of {study.replace('_', ' ')}", **changes})
    return recorded(table=spec)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[str, RecordedSweep]:
    """What MLflow has, by study; the reading of it is tested with the tracker."""
    rows = tuple(row.model_copy(update={"params": {"k": number}}) for number, row in enumerate(TABLE.rows))
    there = {"toy": named("toy"), "toy_curve": named("toy_curve", rows=rows, curve=Curve(parameter="k", title="K"))}
    monkeypatch.setattr(orchestrator.tracking, "studies", lambda uri: sorted(there))
    monkeypatch.setattr(orchestrator.tracking, "read_sweep", lambda uri, study: there[study])
    return there


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.terminal])
def test_a_table_is_printed_or_written_in_the_format_asked_for(store, tmp_path: Path, form: Format) -> None:
    expected = render(make_table(store["toy"]), form)
    assert run("toy", "--format", form.value).stdout == expected
    file = tmp_path / "new" / "table"
    outcome = run("toy", "--format", form.value, "--output", file)
    assert (outcome.exit_code, file.read_text()) == (0, expected)
    assert f"written to {file}" in outcome.output


def test_the_curve_of_a_study_is_asked_for_by_an_option(store) -> None:
    assert "The title of toy curve," in run("toy", "--curve", "--format", "markdown").stdout
    assert "The title of toy," in run("toy", "--format", "markdown").stdout


def test_all_writes_every_table_in_all_formats_and_an_index_and_says_so(store, tmp_path: Path) -> None:
    outcome = run("--all", "--results", tmp_path)
    assert outcome.exit_code == 0
    folder = tmp_path / "tables"
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == sorted(
        ["index.html", *(f"toy/{name}" for name in FILES), *(f"toy_curve/{name}" for name in [*FILES, "curve.png"])]
    )
    assert (folder / "toy" / "table.html").read_bytes() == table_files(make_table(store["toy"]))["table.html"]
    assert f"written to {folder}: 12 files, index.html and the tables of: toy, toy_curve" in outcome.output


def test_the_index_has_each_table_with_its_caption_pictures_and_links_to_its_files(store, tmp_path: Path) -> None:
    run("--all", "--output", tmp_path)
    index = (tmp_path / "index.html").read_text()
    for study in ("toy", "toy curve"):
        assert f"The title of {study}</h2>" in index
    assert index.count("80.00 ± 0.00 (3)") == 2
    assert index.count("such numbers are never comparable") == 2
    assert index.count("data:image/png;base64,") == 3
    linked = re.findall(r'href="((?!http|#)[^"]+)"', index)
    assert len(linked) == 11
    assert all((tmp_path / address).is_file() for address in linked)


def test_a_refused_table_is_listed_with_its_reasons_and_changes_the_exit_code(store, tmp_path: Path) -> None:
    spec = store["toy"].sweep.table
    store["toy"] = recorded([t for t in trials() if (t.row, t.seed) not in {("crnn", 0), ("reclr", 2)}], spec)
    outcome = run("--all", "--output", tmp_path)
    assert outcome.exit_code == 1
    index = (tmp_path / "index.html").read_text()
    for reason in ("row 'crnn' lacks seed 0 of 3", "row 'reclr' lacks seed 2 of 3"):
        assert reason in outcome.output
        assert reason.replace("'", "&#x27;") in index
    assert not (tmp_path / "toy").exists()
    assert (tmp_path / "toy_curve" / "table.html").exists()
    assert run("--all", "--output", tmp_path, "--partial").exit_code == 0
    assert "PARTIAL TABLE" in (tmp_path / "toy" / "table.md").read_text()


def test_an_older_table_of_a_study_that_is_refused_is_marked_until_it_is_made_again(store, tmp_path: Path) -> None:
    sound = store["toy"]
    run("--all", "--output", tmp_path)
    older = (tmp_path / "toy" / "table.md").read_bytes()
    store["toy"] = recorded([t for t in trials() if (t.row, t.seed) != ("crnn", 0)], sound.sweep.table)
    run("--all", "--output", tmp_path)
    assert (tmp_path / "toy" / "table.md").read_bytes() == older
    assert "row 'crnn' lacks seed 0 of 3" in (tmp_path / "toy" / "REFUSED.txt").read_text()
    assert not (tmp_path / "toy_curve" / "REFUSED.txt").exists()
    store["toy"] = sound
    run("toy", "--format", "csv", "--output", tmp_path / "toy" / "table.csv")
    assert (tmp_path / "toy" / "REFUSED.txt").exists()  # one format anew leaves the others as old as they are
    run("--all", "--output", tmp_path)
    assert not (tmp_path / "toy" / "REFUSED.txt").exists()


def test_all_made_again_has_the_same_bytes(store, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run("--all", "--output", tmp_path / name)
    files = {path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()}
    assert files
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


def test_nothing_is_written_unless_everything_could_be_made(store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(table):
        if table.spec.study == "toy_curve":
            raise RuntimeError("no picture")
        return {}

    monkeypatch.setattr("orchestrator.tables.index.pictures", broken)
    assert isinstance(run("--all", "--output", tmp_path / "all").exception, RuntimeError)
    assert not (tmp_path / "all").exists()


def test_a_store_without_any_sweep_is_told(store) -> None:
    store.clear()
    outcome = run("--all")
    assert isinstance(outcome.exception, UserError)
    assert "no study has a sweep" in str(outcome.exception)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ([], ["name a study", "--all"]),
        (["toy", "--all"], ["both the study 'toy' and --all are given; leave out one"]),
        (["--all", "--curve", "--format", "csv"], ["leave out --curve", "leave out --format"]),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_to_do(store, arguments, messages) -> None:
    outcome = run(*arguments)
    assert isinstance(outcome.exception, UserError)
    assert all(message in str(outcome.exception) for message in messages)
