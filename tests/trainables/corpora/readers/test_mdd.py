"""The documented manifest of the MDD corpus: turns of subject and interviewer, and one diagnosis a session."""

from __future__ import annotations

from pathlib import Path

from tests.trainables.corpora.readers.open_trees import opened, write_text, write_tone
from trainables.corpora.readers import mdd
from trainables.corpora.reading import Fact


def write_tree(root: Path, header: str = "file_name,start,end,speaker,session,talker,diagnosis") -> Path:
    lines = [header]
    for session, diagnosis in enumerate(("patient", "depressed", "healthy", "control")):
        write_tone(root / f"wav/{session}.wav", 0.5)
        lines.append(f"wav/{session}.wav,0,0.2,doctor-1,{session},Doctor,")
        lines.append(f"wav/{session}.wav,0.2,0.5,s{session},{session},Participant,{diagnosis}")
    write_text(root / "manifest.csv", "\ufeff" + "\r\n".join(lines) + "\r\n")
    return root


def test_turns_get_their_talker_and_their_sessions_diagnosis(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "mdd", write_tree(tmp_path / "mdd"))
    table = source.manifest()
    assert source.reader == "mdd"
    assert table["talker"].tolist() == ["interviewer", "subject"] * 4
    assert table["depressed"].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_the_generic_names_mean_the_same(tmp_path: Path) -> None:
    first = opened(tmp_path, "mdd", write_tree(tmp_path / "mdd"))[0]
    write_tree(tmp_path / "mdd", "path,begin,stop,spk,interview,turn,depressed")
    assert opened(tmp_path, "mdd", tmp_path / "mdd")[0].digest == first.digest


def test_facts_count_the_subjects_of_each_diagnosis_without_interviewers(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "mdd", write_tree(tmp_path / "mdd"))
    assert mdd.facts(source.manifest(), source, 0.0) == [Fact("healthy subjects", 588, 2), Fact("depressed subjects", 545, 2)]
