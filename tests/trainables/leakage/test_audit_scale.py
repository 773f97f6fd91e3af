"""The audit and the digest look at whole columns: four times the rows take no more steps of Python."""

import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pytest

from tests.trainables.leakage.manifests import EMOTIONS, interviews, inventory, scored, utterances
from trainables.corpora.inventory import AudioFile, content_digest
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.interviews import find_interview_leaks
from trainables.leakage.overlaps import find_overlaps
from trainables.leakage.sets import manifest_units, set_bits
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30


def large(segments):
    """A manifest of 50 speakers with diagnoses and interviewers, however many segments there are."""
    number = np.arange(segments)
    speaker, asked = number % 50, number % 10 == 0
    table = pd.DataFrame({"segment": number.astype(str), "recording": (number // 5).astype(str), "start": 3.0 * (number % 5)})
    return table.assign(
        end=table["start"] + 2.5,
        speaker=np.where(asked, "ellie", ("p" + pd.Series(speaker.astype(str))).to_numpy()),
        talker=np.where(asked, "interviewer", "subject"),
        session=table["recording"],
        split=np.array(["train", "train", "dev", "test", "test"])[speaker % 5],
        text="we had a look at number " + table["segment"] + " of the old harbour",
        emotion=np.array(EMOTIONS)[number // 50 % 4],
        depressed=1.0 * (speaker % 2),
    )


def steps(table):
    """Calls of Python functions during one whole audit."""
    files = {name: AudioFile.model_construct(size=1, content=name, seconds=20.0) for name in table["recording"].unique()}
    corpus, count = AuditedCorpus("audited", table, files), 0

    def seen(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        bits = set_bits(corpus, scored("emotion4", OWN_SPLITS))
        find_overlaps(corpus, bits, OWN_SPLITS, "utterance")
        find_interview_leaks(corpus)
    finally:
        sys.setprofile(None)
    return count


def test_an_audit_of_four_times_the_rows_takes_no_more_steps_of_python():
    steps(large(1000))  # what is done once in a process
    assert steps(large(50_000)) < 1.1 * steps(large(12_500))


@pytest.mark.parametrize("table", [interviews(), utterances()])
def test_the_digest_is_that_of_the_manifest_and_the_contents_as_one_json_object(table):
    """The plain formulation, by which corpora were named before: their digests must not change."""
    table.loc[table.index[::3], "end"] = np.nan
    table["text"] += ' "ü \u6211 \\'
    files = inventory(table)
    columns = {name: [None if value != value else value for value in table[name].tolist()] for name in table.columns}
    told = {"manifest": columns, "audio": {name: files[name].content for name in sorted(files)}}
    expected = hashlib.blake2b(json.dumps(told, separators=(",", ":")).encode(), digest_size=8).hexdigest()
    assert content_digest(table, files) == expected


def test_the_units_of_a_manifest_are_made_once_for_all_folds_and_seeds(monkeypatch):
    made = []
    monkeypatch.setattr("trainables.leakage.sets.manifest_units", lambda *asked: made.append(asked[1:]) or manifest_units(*asked))
    corpus = AuditedCorpus("audited", large(1000))
    folds = [set_bits(corpus, scored("emotion4", SPEAKERS_5_FOLD, fold=fold, seed=seed)) for seed in range(2) for fold in range(5)]
    assert len(made) == 1
    assert all((sum((bits == 4).astype(int) for bits in folds[5 * seed : 5 * seed + 5]) == corpus.subject).all() for seed in (0, 1))
    set_bits(corpus, scored("emotion5", SPEAKERS_70_30))
    assert len(made) == 2, "another task has other units"


def test_a_drawn_division_of_many_units_is_quick_too():
    table = large(20_000)
    bits = set_bits(AuditedCorpus("audited", table), scored("emotion4", SPEAKERS_70_30))
    assert set(bits[table["talker"] == "subject"]) == {1, 4}
    assert not bits[table["talker"] == "interviewer"].any()
