"""However a corpus is damaged, opening and checking it ends with a corpus or with faults in words; never with a bare traceback.

The ordinary suite tries some cases of every layout, the same each time; ``pytest -m slow tests/trainables/corpora/fuzz -s`` tries
:data:`CASES` of each, new ones each time, and prints how many of them were refused and accepted.
"""

from __future__ import annotations

import datetime
import itertools
import json
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.corpora_report import show_checkup
from tests.trainables.corpora.fuzz.damages import Damage, damages, do
from tests.trainables.corpora.fuzz.healthy import LAYOUTS, Layout
from trainables.corpora import checkup
from trainables.corpora.corpus import READERS, reader_module
from trainables.corpora.reading import Report, describe_notes, describe_skips
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError

CASES = 150
QUICK_CASES = 4
TOTAL: Counter[str] = Counter()


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every layout, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("healthy")

    class Trees(dict):
        def __missing__(self, name: str) -> Path:
            self[name] = folder / name.replace(" ", "_")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # audformat's of its own use of pandas
                LAYOUTS[name].write(self[name])
            return self[name]

    return Trees()


MANIFESTS = (
    "",
    ".",
    "..",
    "../corpora.toml",
    "{tree}",
    "{tree}/{table}",
    "{link}/{table}",
    "{link}",
    "{table}/x",
    "a\0b",
    "x" * 300,
)
"""What stands in ``manifest``: {tree} is the root, {link} a link to it, {table} one of its files."""


def write_spec(home: Path, layout: Layout, detect: bool, skip_damaged: bool, manifest: str | None) -> Path:
    reader = "" if detect else f'reader = "{layout.reader}"\n'
    skip = "skip_damaged = true\n" if skip_damaged else ""
    settings = layout.settings
    if manifest is not None:
        (home / "link").symlink_to("tree")
        table = next((path.name for path in sorted((home / "tree").glob("*.*")) if path.is_file()), "x")
        named = manifest.format(tree=home / "tree", link=home / "link", table=table)
        others = [line for line in settings.splitlines() if not line.startswith("manifest")]
        settings = "\n".join([f"manifest = {json.dumps(named)}", *others])
    (home / "corpora.toml").write_text(f'[{layout.role}]\nroot = "tree"\n{reader}{skip}{settings}\n')
    return home / "corpora.toml"


def faults_of(
    home: Path, layout: Layout, skip_damaged: bool = False, by_command: bool = False, manifest: str | None = None
) -> list[str]:
    """Open the corpus as a sweep does, or check it as the command does; why it is refused, in words, or nothing if it is not."""
    spec = write_spec(home, layout, layout.reader in ("generic", layout.role), skip_damaged, manifest)
    if by_command:
        found = checkup.check(checkup.asked(layout.role, None, None, spec), home / "results", decode=True)
        show_checkup(Console(file=(home / "out.txt").open("w", encoding="utf-8")), found, partial=True)
        messages, accepted = found.report.messages, found.sound(partial=True)
    else:
        reports: dict[str, Report] = {}
        try:
            source = open_corpora(str(spec), home / "results", [layout.role], reports)[layout.role]
            assert len(source.manifest()) > 0
            messages, accepted = [], True
        except UserError as error:
            messages, accepted = list(error.messages), False
        describe_skips(reports[layout.role])
        describe_notes(reports[layout.role])
    assert accepted != bool(messages)
    for message in messages:
        assert len(message) > 10
        message.encode()  # a terminal takes it
    return messages


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_accepted_before_it_is_damaged(name: str, trees: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(trees[name], tmp_path / "tree")
    assert faults_of(tmp_path, LAYOUTS[name], by_command=True) == []


def test_every_reader_is_tried() -> None:
    assert {layout.reader for layout in LAYOUTS.values()} == set(READERS) - {"twin"}


def fuzz(name: str, healthy: Path, folder: Path, cases: int, derandomize: bool) -> Counter[str]:
    """Try damaged copies of a tree; how many were accepted and refused."""
    outcomes: Counter[str] = Counter()
    numbers: Iterator[int] = itertools.count()

    @settings(
        max_examples=cases,
        derandomize=derandomize,
        database=None,
        deadline=datetime.timedelta(seconds=30),  # nothing hangs
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(done=damages(), skip_damaged=st.booleans(), by_command=st.booleans(), manifest=st.none() | st.sampled_from(MANIFESTS))
    def one(done: list[Damage], skip_damaged: bool, by_command: bool, manifest: str | None) -> None:
        if "manifest" not in reader_module(LAYOUTS[name].reader).SETTINGS:
            manifest = None
        home = folder / str(next(numbers))
        shutil.copytree(healthy, home / "tree")
        names: set[str] = set()
        for damage in done:
            note(repr(damage))
            names = do(damage, home / "tree")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages about what they were given
            messages = faults_of(home, LAYOUTS[name], skip_damaged, by_command, manifest)
        outcomes["refused" if messages else "accepted"] += 1
        if len(done) == 1 and names and messages and manifest is None:
            # What a role needs is of the corpus as a whole; rows are told by the names that the damaged table gives them.
            names |= {str(home / "tree"), "the role", "segment names must be unique", "is empty in"}
            assert any(name in message for name in names for message in messages), messages
        shutil.rmtree(home)

    one()
    return outcomes


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_damaged_corpus_is_read_or_refused_in_words(name: str, trees: dict[str, Path], tmp_path: Path) -> None:
    outcomes = fuzz(name, trees[name], tmp_path, QUICK_CASES, derandomize=True)
    assert outcomes.total() == QUICK_CASES


def test_the_slow_run_tries_two_thousand_damaged_corpora() -> None:
    assert CASES * len(LAYOUTS) >= 2000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LAYOUTS)
def test_thousands_of_damaged_corpora_are_read_or_refused_in_words(
    name: str, trees: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = fuzz(name, trees[name], tmp_path, CASES, derandomize=False)
    TOTAL.update(outcomes)
    with capsys.disabled():
        print(
            f"\n{name}: {outcomes.total()} cases, {outcomes['refused']} refused, {outcomes['accepted']} accepted; "
            f"in all so far {TOTAL.total()}, {TOTAL['refused']} and {TOTAL['accepted']}"
        )
    assert outcomes.total() >= CASES
    assert outcomes["refused"] > 0
    assert outcomes["accepted"] > 0
