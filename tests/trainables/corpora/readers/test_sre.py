"""The documented manifest of the SRE corpus: its words, what is derived from them, and what contradicts the paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.open_trees import opened, refused, write_text, write_tone
from trainables.corpora.readers import mdd, sre
from trainables.corpora.reading import Fact

HEADER = "file_name,speaker,subject_type,task,emotional_valence,gender,bdi_ii,material\n"


def write_tree(root: Path, rows: list[str], header: str = HEADER) -> Path:
    write_text(root / "manifest.csv", header + "".join(row + "\n" for row in rows))
    for row in rows:
        write_tone(root / row.split(",")[0], rate=44100)
    return root


def rows(depressed: str = "depressed", healthy: str = "healthy") -> list[str]:
    return [
        f"{who}_{task[:3]}_{valence}.wav,{who},{depressed if who[0] == 'd' else healthy},{task},{valence},{gender},{score},m1"
        for who, gender, score in (("d1", "female", "17"), ("d2", "male", "14"), ("h1", "male", "4"), ("h2", "female", ""))
        for task, valence in (("vocabulary reading", "positive"), ("interview", "negative"))
    ]


def test_the_documented_columns_become_the_manifests(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "sre", write_tree(tmp_path / "sre", rows()))
    table = source.manifest().set_index("recording")
    assert source.reader == "sre"
    first = table.loc["d1_voc_positive.wav"]
    assert first[["depressed", "task", "stimulus", "gender", "bdi_ii", "style", "prompt", "session"]].tolist() == [
        1,
        "vocabulary reading",
        "positive",
        "female",
        17.0,
        "scripted",
        "m1",
        "d1",
    ]
    assert table.loc["h2_int_negative.wav", "style"] == "improvised"
    assert table["bdi_ii"].isna().sum() == 2


@pytest.mark.parametrize("words", [("patient", "control"), ("1", "0"), ("Depression", "HEALTHY")])
def test_all_documented_words_for_a_subjects_type_mean_the_same(tmp_path: Path, words: tuple[str, str]) -> None:
    table = opened(tmp_path, "sre", write_tree(tmp_path / "sre", rows(*words)))[0].manifest()
    assert table.groupby("speaker")["depressed"].first().tolist() == [1, 1, 0, 0]


def test_short_and_otherwise_spelt_words_are_understood_and_others_are_faults_that_a_map_mends(tmp_path: Path) -> None:
    changed = [row.replace("vocabulary reading", "Vocabulary_Reading").replace(",interview,", ",chat,") for row in rows()]
    root = write_tree(tmp_path / "sre", [row.replace(",female,", ",F,") for row in changed])
    message = refused(tmp_path, "sre", root)
    assert "task must be one of vocabulary reading, essay reading, interview, picture description; found 'chat'" in message
    table = opened(tmp_path, "sre", root, 'task = { chat = "interview" }')[0].manifest()
    assert set(table["task"]) == {"vocabulary reading", "interview"}
    assert set(table["gender"]) == {"female", "male"}


def test_a_score_that_contradicts_the_group_changes_or_is_impossible_is_a_fault(tmp_path: Path) -> None:
    found = [row.replace(",17,", ",13,") for row in rows()]
    found[-1] = found[-1].replace("female,,", "female,64,")
    found[-2] = found[-2].replace("female,,", "female,5,")
    message = refused(tmp_path, "sre", write_tree(tmp_path / "sre", found))
    assert "goes with depressed and a lower one with healthy; not so for speakers 'd1', 'h2'" in message
    assert "bdi_ii must be from 0 to 63; it is not for speakers 'h2'" in message
    assert "bdi_ii must be one value a speaker; it is not for 'h2'" in message


def test_facts_are_those_of_the_papers_tables(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "sre", write_tree(tmp_path / "sre", rows()))
    facts = {fact.name: fact for fact in sre.facts(source.manifest(), source, 9.5)}
    assert facts["depressed subjects"] == Fact("depressed subjects", 25, 2)
    assert (facts["healthy women"].expected, facts["healthy women"].found) == (13, 1)
    assert (facts["mean BDI-II of the depressed"].expected, facts["mean BDI-II of the depressed"].found) == (16.52, 15.5)
    assert facts["samples (subject and task) of the healthy"] == Fact("samples (subject and task) of the healthy", 100, 4)
    assert facts["hours"].holds  # 96 samples of 3.25 min and 100 of 2.67 min are 9.65 h


@pytest.mark.parametrize(("role", "reader"), [("sre", sre), ("mdd", mdd)])
def test_the_example_in_the_documentation_is_a_manifest(tmp_path: Path, role: str, reader: object) -> None:
    lines = re.findall(r"^    (\S*(?:file_name|[.]wav).*)$", str(reader.__doc__), flags=re.MULTILINE)
    header, *examples = [line for line in lines if "," in line]
    assert len(examples) == 4
    root = write_tree(tmp_path / role, examples, header + "\n")
    for path in root.rglob("*.wav"):
        write_tone(path, 10.0, rate=8000)
    message = refused(tmp_path, role, root)  # two subjects are too few for a split, and that is all that is wrong
    assert "2 faults" in message
    assert "needs at least 2 depressed speakers (depressed = 1), found 1" in message
    assert "needs at least 2 healthy speakers (depressed = 0), found 1" in message
