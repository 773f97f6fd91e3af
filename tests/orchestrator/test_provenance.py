"""Which code computed a result: a digest that moves with what the stage uses, and with nothing else."""

import shutil
from pathlib import Path

import pytest

import trainables
from orchestrator import provenance
from trainables.chance import ChanceClassifier
from trainables.session_classifier import SessionClassifier


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of ``trainables`` that a test may edit; returns the digests of two stages after an edit of a file."""
    copy = tmp_path / "trainables"
    shutil.copytree(Path(trainables.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(trainables, "__file__", str(copy / "__init__.py"))

    def edit(name=None):
        if name:
            (copy / name).write_text((copy / name).read_text() + "\n# edited\n")
        provenance.stage_code.cache_clear()
        provenance.code_version.cache_clear()
        return provenance.stage_code(ChanceClassifier), provenance.stage_code(SessionClassifier), provenance.code_version()

    yield edit
    provenance.stage_code.cache_clear()
    provenance.code_version.cache_clear()


def changed(before, after):
    return [one != other for one, other in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("chance.py", [True, False, True]),
        ("session_classifier.py", [False, True, True]),
        ("models/lstm.py", [False, True, True]),  # imported inside a function, by a module that is imported inside a function
        ("protocols.py", [True, True, True]),
        ("corpora/twins/voices.py", [False, False, True]),  # the recipe is in the corpus' digest
    ],
)
def test_a_stages_code_moves_with_what_it_imports(edited, file, expected):
    assert changed(edited(), edited(file)) == expected
