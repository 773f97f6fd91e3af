"""Contract of trainables/subjects.py: a subject's score follows from its segments' by a stated rule; both levels are reported."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.trainables.fake_context import FakeContext
from tests.trainables.tiny_segments import FEATURES, write_segments
from trainables.chance import ChanceClassifier
from trainables.errors import UserError
from trainables.metrics import PREFIXES, prediction_scores, write_predictions
from trainables.protocols.catalogue import OWN_SPLITS
from trainables.subjects import mean_probability, subjects_of, vote, write_subjects
from trainables.tasks import TASKS
from trainables.units import Units


def cut(classes_of_speaker, task="depression", stretches=2, segments=3):
    """Segments of speakers s0, s1, ...: so many stretches of each, and so many segments of each stretch."""
    rows = [
        {"unit": f"s{n}.{c}#{k}", "cut_from": f"s{n}.{c}", "speaker": f"s{n}", "truth": truth}
        for n, truth in enumerate(classes_of_speaker)
        for c in range(stretches)
        for k in range(segments)
    ]
    table = pd.DataFrame(rows)
    return Units(table.drop(columns="truth"), (), table["truth"].to_numpy(), TASKS[task])


def drawn(units, seed=0):
    """Probabilities of every class of the units' task."""
    return np.random.default_rng(seed).dirichlet(np.ones(len(units.task.classes)), len(units.truth))


def read(directory, name):
    return pd.read_parquet(directory / f"{name}.parquet")


def test_a_subject_is_the_speaker_where_the_label_is_the_speakers_and_else_the_stretch_it_was_cut_from():
    assert subjects_of(cut([0, 1], segments=1)).tolist() == ["s0", "s0", "s1", "s1"]
    assert subjects_of(cut([0, 1], "emotion4", segments=1)).tolist() == ["s0.0", "s0.1", "s1.0", "s1.1"]


def test_both_rules_are_their_definitions_written_as_a_loop(tmp_path):
    """Five speakers with six segments each: votes of three to three are among them."""
    units = cut([0, 1, 1, 0, 1])
    probabilities = drawn(units)
    write_predictions(tmp_path, units, probabilities)
    mean, voted = read(tmp_path, "predictions_subject"), read(tmp_path, "predictions_vote")
    assert list(mean) == list(voted) == ["unit", "speaker", "truth", "predicted", "p0", "p1"]
    ties = 0
    for number, speaker in enumerate(("s0", "s1", "s2", "s3", "s4")):
        own = [p for p, name in zip(probabilities.tolist(), units.table["speaker"], strict=True) if name == speaker]
        p1 = sum(p[1] for p in own) / len(own)
        votes = sum(p[1] > p[0] for p in own)
        ties += votes == 3
        for row in (mean.loc[number], voted.loc[number]):
            assert (row["unit"], row["speaker"], row["truth"]) == (speaker, speaker, [0, 1, 1, 0, 1][number])
        assert (mean["p1"][number], mean["predicted"][number]) == (pytest.approx(p1), int(p1 > 0.5))
        expected = int(p1 > 0.5) if votes == 3 else int(votes > 3)
        assert (voted["p1"][number], voted["predicted"][number]) == (pytest.approx(votes / 6), expected)
    assert ties, "or the rule for a tie was not asked for"


def test_a_tied_vote_goes_to_the_higher_mean_probability_of_those_that_tie():
    """Class 0 has the highest mean and one vote; 2 and 3 have two votes each, and 3 the higher mean of them."""
    said = [[0.4, 0.0, 0.6, 0.0], [0.4, 0.0, 0.6, 0.0], [0.3, 0.0, 0.0, 0.7], [0.3, 0.0, 0.0, 0.7], [1.0, 0.0, 0.0, 0.0]]
    table = pd.DataFrame(said, columns=["p0", "p1", "p2", "p3"]).assign(
        predicted=[2, 2, 3, 3, 0], subject="s", speaker="s", truth=3
    )
    assert mean_probability(table)["predicted"].tolist() == [0]
    (found,) = vote(table).to_dict("records")
    assert found == {"unit": "s", "speaker": "s", "truth": 3, "predicted": 3, "p0": 0.2, "p1": 0.0, "p2": 0.4, "p3": 0.4}


def test_both_levels_are_reported_and_each_score_is_that_of_its_file(tmp_path):
    units = cut([0, 1, 1, 0], "depression")
    told = write_predictions(tmp_path, units, drawn(units))
    assert json.loads((tmp_path / "metrics.json").read_text()) == told
    of_files = {}
    for name in ("predictions", "predictions_subject", "predictions_vote"):
        of_files |= {f"{PREFIXES[name]}{metric}": value for metric, value in prediction_scores(read(tmp_path, name)).items()}
    assert told == of_files
    assert {"auc", "subject_auc", "vote_auc", "subject_recall_positive"} <= told.keys()
    assert read(tmp_path, "predictions")["subject"].tolist() == subjects_of(units).tolist()


def test_of_a_development_set_the_segments_alone_are_scored(tmp_path):
    units = cut([0, 1])
    told = write_predictions(tmp_path, units, drawn(units), name="predictions_dev")
    assert {name[:4] for name in told} == {"dev_"}
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["metrics.json", "predictions_dev.parquet"]


def test_units_that_were_cut_from_nothing_have_no_subjects(tmp_path):
    whole = cut([0, 1])
    units = Units(whole.table.drop(columns="cut_from"), (), whole.truth, whole.task)
    write_predictions(tmp_path, units, drawn(units))
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["metrics.json", "predictions.parquet"]
    assert "subject" not in read(tmp_path, "predictions")


def test_subjects_of_one_class_alone_are_scored_without_an_area_under_a_curve(tmp_path):
    """A cell of a table may have the depressed alone: of two classes the other may be in no scored segment."""
    units = cut([1, 1])
    told = write_predictions(tmp_path, units, drawn(units))
    assert {"subject_f1_macro", "subject_recall_positive", "vote_uar"} <= told.keys()
    assert not [name for name in told if name.endswith("auc")]


def test_a_subject_of_two_classes_is_refused_and_named(tmp_path):
    table = pd.DataFrame(
        {"unit": ["a", "b"], "speaker": "s7", "subject": "s7", "truth": [0, 1], "predicted": 0, "p0": 1.0, "p1": 0.0}
    )
    with pytest.raises(UserError, match="segments of one subject have several classes: 's7'"):
        write_subjects(tmp_path, table)
    assert not list(tmp_path.iterdir())


def test_whatever_stage_scores_segments_scores_subjects(tmp_path):
    """Its own code knows nothing of subjects."""
    results = write_segments(tmp_path / "features")
    stage = ChanceClassifier(features=FEATURES, strategy="most_frequent", protocol=OWN_SPLITS)
    stage.run(FakeContext(tmp_path / "out", results))
    subjects = read(tmp_path / "out", "predictions_subject")
    assert subjects[["unit", "truth"]].to_dict("list") == {"unit": ["s6", "s7"], "truth": [0, 1]}
    assert subjects.equals(read(tmp_path / "out", "predictions_vote").astype(subjects.dtypes.to_dict())), (
        "of guesses that all agree"
    )
