"""A twin written in its corpus' layout is the same corpus to the corpus' own reader, which is found from the folder alone.

Segments are matched by their sound, so that the layout's names play no part in it. What a layout cannot hold is not compared; the
layouts' docstrings say what that is.
"""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np
import pytest
import soundfile
from torchaudio.datasets import IEMOCAP, LIBRISPEECH

from tests.trainables.corpora.small_twins import small_twin
from trainables.corpora.audio import read_audio
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.reading import Report
from trainables.corpora.registry import open_corpora
from trainables.corpora.twins.layouts import write_layout

if TYPE_CHECKING:
    import pandas as pd

ROUNDING = 0.001  # s; DAIC-WOZ's transcripts have milliseconds


class Case(NamedTuple):
    """What a role's layout keeps of its small twin.

    Attributes:
        labels: Columns that are read back as they were.
        text: What becomes of a transcript.
        cut: Whether every segment gets a file of its own, which then begins with it.
        by: The twin's columns that make one session of the layout.
        names: Labels that are names, which may become other ones, but of the same segments.
    """

    labels: tuple[str, ...]
    text: Callable[[str], str] = str
    cut: bool = False
    by: tuple[str, ...] = ("session",)
    names: tuple[str, ...] = ()


def _in_capitals(text: str) -> str:
    return text.upper().replace(",", "").replace(".", "")


def _unwritten(text: str) -> str:
    return ""


_RATED = ("emotion", "valence", "activation", "dominance")
CASES = {
    "iemocap": Case((*_RATED, "gender"), cut=True, by=("session", "recording")),
    "mosei": Case(("sentiment",)),
    "daic_woz": Case(("depressed", "phq8", "gender")),
    "msp_podcast": Case((*_RATED, "gender"), cut=True),
    "librispeech": Case(("gender",), _in_capitals, cut=True),
    "casia": Case(("emotion", "gender"), _unwritten, cut=True, by=("recording",), names=("prompt",)),
    "sre": Case(("depressed", "bdi_ii", "task", "stimulus", "gender"), names=("prompt",)),
    "mdd": Case(("depressed", "gender")),
}


class Written(NamedTuple):
    """A twin and its tree, as they were opened and read."""

    twin: CorpusSource
    root: Path
    real: CorpusSource
    report: Report
    before: pd.DataFrame
    after: pd.DataFrame


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Written]:
    """A role's small twin, written and read once."""
    return functools.cache(lambda role: write_and_open(role, tmp_path_factory.mktemp(role)))


@pytest.fixture(scope="module", params=CASES)
def written(request: pytest.FixtureRequest, tree: Callable[[str], Written]) -> Written:
    return tree(request.param)


def write_and_open(role: str, home: Path) -> Written:
    twin = small_twin(role)
    write_layout(role, twin, home / "tree")
    spec = home / "corpora.toml"
    spec.write_text(f'{role} = {{ root = "tree" }}\n')
    reports: dict[str, Report] = {}
    real = open_corpora(str(spec), home, [role], reports)[role]
    before, after = twin.manifest(), real.manifest()
    return Written(twin, home / "tree", real, reports[role], before, after.loc[matches(twin, before, real, after)])


def matches(twin: CorpusSource, before: pd.DataFrame, real: CorpusSource, after: pd.DataFrame) -> list[int]:
    """The row of the tree's manifest that sounds like each row of the twin's; all of them are used, and none twice."""
    sounds = [sound(real, row) for row in after.itertuples()]
    found = [
        [index for index, other in enumerate(sounds) if alike(wanted, other)]
        for wanted in (sound(twin, row) for row in before.itertuples())
    ]
    assert all(len(indices) == 1 for indices in found)
    indices = [index for (index,) in found]
    assert sorted(indices) == list(range(len(after)))
    return indices


def sound(source: CorpusSource, row: Any) -> np.ndarray:
    return read_audio(source.audio_path(row.recording), row.start, row.end)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two spans are one, but for the rounding of their times: some shift of a millisecond or less makes them equal."""
    slack = round(ROUNDING * 16000)
    if abs(len(one) - len(other)) > slack:
        return False
    middle = len(one) // 2
    piece = one[middle - 400 : middle + 400]
    return any(np.array_equal(piece, other[begin : begin + 800]) for begin in range(middle - 400 - slack, middle - 400 + slack + 1))


def test_the_roles_own_reader_is_found_and_leaves_nothing_out(written: Written) -> None:
    assert written.real.reader == written.real.role == written.twin.role
    assert written.report.skipped == {}


def test_speakers_and_sessions_have_other_names_but_the_same_segments(written: Written) -> None:
    by = list(CASES[written.twin.role].by)
    sessions = written.before[by].agg(" ".join, axis=1)
    subjects = (written.before["talker"] == "subject").to_numpy()
    for one, other in (
        (written.before["speaker"][subjects], written.after["speaker"][subjects]),
        (sessions, written.after["session"]),
        *((written.before[name], written.after[name]) for name in CASES[written.twin.role].names),
    ):
        pairs = set(zip(one, other, strict=True))
        assert len(pairs) == one.nunique() == other.nunique()
    assert not set(written.after["speaker"][subjects]) & set(written.after["speaker"][~subjects])


def test_segments_lie_where_they_lay(written: Written) -> None:
    if CASES[written.twin.role].cut:
        lengths = [soundfile.info(written.real.audio_path(name)).duration for name in written.after["recording"]]
        np.testing.assert_allclose(lengths, written.before["end"] - written.before["start"], atol=ROUNDING)
    else:
        for column in ("start", "end"):
            np.testing.assert_allclose(written.after[column], written.before[column], atol=ROUNDING)


def test_talkers_splits_and_texts_are_kept(written: Written) -> None:
    case = CASES[written.twin.role]
    for column in ("talker", "split"):
        assert written.after[column].tolist() == written.before[column].tolist()
    assert written.after["text"].tolist() == [case.text(text) for text in written.before["text"]]


def test_labels_are_kept(written: Written) -> None:
    subjects = (written.before["talker"] == "subject").to_numpy()
    for column in CASES[written.twin.role].labels:
        before, after = written.before[column][subjects], written.after[column][subjects]
        if before.dtype == float:
            np.testing.assert_allclose(after, before, atol=1e-6)
        else:
            assert after.tolist() == before.tolist()


def test_recordings_are_the_twins_sample_for_sample(written: Written) -> None:
    if not CASES[written.twin.role].cut:
        for one, other in {
            (row.recording, other) for row, other in zip(written.before.itertuples(), written.after["recording"], strict=True)
        }:
            before, after = (
                soundfile.read(source.audio_path(name), dtype="int16")
                for source, name in ((written.twin, one), (written.real, other))
            )
            assert after[1] == before[1]
            np.testing.assert_array_equal(after[0], before[0])


def test_iemocaps_raters_lines_agree_with_the_label_and_the_means(tree: Callable[[str], Written]) -> None:
    root = tree("iemocap").root
    for path in root.glob("Session*/dialog/EmoEvaluation/*.txt"):
        for block in path.read_text().strip().split("\n\n")[1:]:
            turn, *lines = block.split("\n")
            label, means = turn.split("\t")[2], [float(mean) for mean in re.findall(r"[\d.]+", turn.split("\t")[3])]
            votes = [line.split("\t")[1][:3].lower() for line in lines if line.startswith("C-")]
            assert set(votes) == {label} if label != "xxx" else len(set(votes)) == len(votes)
            ratings = [[int(digit) for digit in re.findall(r"(?:val|act|dom) +(\d)", line)] for line in lines if line[0] == "A"]
            assert np.mean(ratings, axis=0).tolist() == means


def test_iemocaps_dialogues_are_of_both_who_wore_the_markers(tree: Callable[[str], Written]) -> None:
    """So that a reader that takes the marker's letter for the talker is found out."""
    assert {segment[5] + segment[-4] for segment in tree("iemocap").after["segment"]} == {"FF", "FM", "MF", "MM"}


def test_torchaudio_reads_iemocaps_turns_and_labels(tree: Callable[[str], Written], tmp_path: Path) -> None:
    written = tree("iemocap")
    (tmp_path / "IEMOCAP").symlink_to(written.root)  # it wants a folder of this name
    dataset = IEMOCAP(tmp_path)
    found = {dataset.get_metadata(index)[2]: dataset.get_metadata(index)[3] for index in range(len(dataset))}
    agreed = written.after[written.after["emotion"].isin(("neu", "hap", "ang", "sad", "exc", "fru"))]  # it has no others
    assert found == dict(zip(agreed["segment"], agreed["emotion"], strict=True))


def test_torchaudio_reads_librispeechs_utterances_and_texts(tree: Callable[[str], Written], tmp_path: Path) -> None:
    written = tree("librispeech")
    (tmp_path / "LibriSpeech").symlink_to(written.root)
    found = {}
    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        dataset = LIBRISPEECH(tmp_path, subset)
        for path, _, text, *numbers in map(dataset.get_metadata, range(len(dataset))):
            assert [int(number) for number in Path(path).stem.split("-")] == numbers
            found[path.removeprefix("LibriSpeech/")] = text
    assert found == dict(zip(written.after["recording"], written.after["text"], strict=True))


def test_moseis_labels_are_a_computational_sequence_that_is_not_in_time(tree: Callable[[str], Written]) -> None:
    root = tree("mosei").root
    with h5py.File(root / "CMU_MOSEI_Labels.csd") as file:
        (labels,) = file.values()
        metadata = {key: json.loads(value[0]) for key, value in labels["metadata"].items()}
        assert metadata["root name"] == labels.name.removeprefix("/") == "All Labels"
        assert len(metadata["dimension names"]) == 7
        for video, data in labels["data"].items():
            lines = (root / f"Raw/Transcript/Segmented/Combined/{video}.txt").read_text().splitlines()
            times = [tuple(map(float, line.split("___")[2:4])) for line in lines]
            assert data["features"].shape == (len(times), 7)
            assert times == sorted(times)
            assert sorted(times) == sorted(map(tuple, data["intervals"][:])) != list(map(tuple, data["intervals"][:]))


def test_daics_tables_hold_items_that_add_up_and_no_answers_of_the_test(tree: Callable[[str], Written]) -> None:
    root = tree("daic_woz").root
    tables = {path.name: list(csv.DictReader(path.open())) for path in root.glob("*.csv")}
    people = tables["train_split_Depression_AVEC2017.csv"] + tables["dev_split_Depression_AVEC2017.csv"]
    for row in people:
        items = [int(value) for name, value in row.items() if name not in ("PHQ8_Binary", "PHQ8_Score") and "PHQ8" in name]
        assert (len(items), sum(items)) == (8, int(row["PHQ8_Score"]))
        assert max(items) <= 3
    asked, answered = tables["test_split_Depression_AVEC2017.csv"], tables["full_test_split.csv"]
    assert set(asked[0]) == {"participant_ID", "Gender"}
    assert [row["participant_ID"] for row in asked] == [row["Participant_ID"] for row in answered]
    assert len(people) + len(asked) == len(list(root.glob("*_P")))


def test_ellies_lines_have_an_identifier_after_session_363_alone(tree: Callable[[str], Written]) -> None:
    kinds = set()
    for path in tree("daic_woz").root.glob("*_P/*_TRANSCRIPT.csv"):
        rows = list(csv.DictReader(path.open(), delimiter="\t", quoting=csv.QUOTE_NONE))
        said = [row["value"] for row in rows if row["speaker"] == "Ellie"]
        late = int(path.name[:3]) > 363
        kinds.add(late)
        assert all(bool(re.fullmatch(r"\w+ \(.+\)", text)) == late for text in said)
    assert kinds == {False, True}
