"""A cross-validation is its folds put together: each a stage of its own, each unit scored once."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from search_spaces import reclr_iemocap, reclr_mosei
from search_spaces.reclr_lambda import STUDY
from search_spaces.scale import find_scale
from tests.trainables.fake_context import FakeContext
from trainables.chance import ChanceClassifier
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.identity import fingerprint, identity_of
from trainables.log_mel_features import LogMelFeatures
from trainables.metrics import classification_scores
from trainables.protocols.catalogue import (
    CASIA_4_SPEAKERS,
    DAIC_OFFICIAL,
    IEMOCAP_5_SESSIONS,
    MSP_PODCAST_TEST1,
    OWN_SPLITS,
    SPEAKERS_5_FOLD,
)
from trainables.stage import from_config, to_config

FEATURES = LogMelFeatures(corpus="mdd", unit="session")
DIGESTS = {"mdd": "a", "mosei": "b"}


def fold(number, **settings):
    chosen = {"strategy": "uniform", "protocol": SPEAKERS_5_FOLD, **settings}
    return ChanceClassifier(features=FEATURES, fold=number, **chosen)


WHOLE = CrossValidation(folds=tuple(fold(number) for number in range(5)))


def write_sessions(folder):
    folder.mkdir()
    names = [f"s{number:02d}" for number in range(20)]
    table = pd.DataFrame({"unit": names, "position": 0, "seconds": 5.0, "speaker": names, "session": names, "split": ""})
    table.assign(depressed=[number % 2 for number in range(20)]).to_parquet(folder / "segments.parquet", index=False)
    return folder


def test_every_unit_is_scored_once_and_the_scores_are_those_of_all_predictions_together(tmp_path):
    results = {FEATURES: write_sessions(tmp_path / "features")}
    for stage in WHOLE.folds:
        stage.run(FakeContext(tmp_path / str(stage.fold), results))
        results[stage] = tmp_path / str(stage.fold)
    WHOLE.run(FakeContext(tmp_path / "whole", results))
    found = pd.read_parquet(tmp_path / "whole" / "predictions.parquet")
    assert sorted(found["unit"]) == [f"s{number:02d}" for number in range(20)]
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert classification_scores(found["truth"].to_numpy(), found["predicted"].to_numpy()).items() <= metrics.items()
    each = [json.loads((results[stage] / "metrics.json").read_text())["uar"] for stage in WHOLE.folds]
    assert metrics["uar_fold_mean"] == pytest.approx(np.mean(each))


def test_attributes_and_the_positive_class_are_scored_of_all_folds_together_and_development_sets_are_not(tmp_path):
    results, errors = {}, []
    for stage in WHOLE.folds:
        results[stage] = tmp_path / str(stage.fold)
        results[stage].mkdir()
        units, error = [f"s{stage.fold}{number}" for number in range(stage.fold + 1)], 0.5 * stage.fold
        table = pd.DataFrame({"unit": units, "speaker": units, "truth": 1, "predicted": stage.fold % 2, "p0": 0.5, "p1": 0.5})
        table = table.assign(valence=3.0, valence_predicted=3.0 - error)
        errors += [error] * len(units)
        # There is no metrics.json: a fold's may be older than a metric.
        for name in ("predictions", "predictions_dev"):
            table.to_parquet(results[stage] / f"{name}.parquet", index=False)
    WHOLE.run(FakeContext(tmp_path / "whole", results))
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["mae_valence"] == pytest.approx(np.mean(errors))
    assert metrics["mae_valence_fold_mean"] == pytest.approx(1.0)
    assert metrics["f1_positive"] == pytest.approx(2 * 6 / (2 * 6 + 9)), "6 of 15 are found, and nobody is called positive wrongly"
    assert not [name for name in metrics if name.startswith("dev_")]
    assert not (tmp_path / "whole" / "predictions_dev.parquet").exists()


def of_segments(folder, parts):
    """Results of folds with these speakers' segments each, (speaker, truth, probability of class 1)."""
    results = {}
    for stage, rows in zip(WHOLE.folds, parts, strict=True):
        results[stage] = folder / str(stage.fold)
        results[stage].mkdir()
        table = pd.DataFrame(rows, columns=["speaker", "truth", "p1"])
        table = table.assign(unit=[f"{stage.fold}#{number}" for number in range(len(table))], subject=table["speaker"])
        table = table.assign(predicted=(table["p1"] > 0.5).astype(int), p0=1 - table["p1"])
        table.to_parquet(results[stage] / "predictions.parquet", index=False)
    return results


def test_a_subject_whose_segments_are_in_several_folds_is_scored_once_by_all_of_them(tmp_path):
    parts = [[("a", 0, 0.1), ("b", 1, 0.9)], [("a", 0, 0.6)], [("b", 1, 0.4), ("a", 0, 0.7)], [("b", 1, 0.8)], [("b", 1, 0.3)]]
    WHOLE.run(FakeContext(tmp_path / "whole", of_segments(tmp_path, parts)))
    subjects, votes = (pd.read_parquet(tmp_path / "whole" / f"predictions_{name}.parquet") for name in ("subject", "vote"))
    assert subjects[["unit", "truth", "predicted"]].to_dict("list") == {"unit": ["a", "b"], "truth": [0, 1], "predicted": [0, 1]}
    assert subjects["p1"].tolist() == pytest.approx([1.4 / 3, 2.4 / 4])
    assert votes["p1"].tolist() == pytest.approx([2 / 3, 2 / 4])
    assert votes["predicted"].tolist() == [1, 1]
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert (metrics["subject_f1_micro"], metrics["vote_f1_micro"], metrics["f1_micro"]) == (1.0, 0.5, 3 / 7)
    assert not [name for name in metrics if name.startswith(("subject_", "vote_")) and name.endswith("_fold_mean")]


def test_a_score_that_some_fold_does_not_have_has_no_mean_over_folds(tmp_path):
    """Folds of one speaker have one class each, and no area under a curve; all of them together have one."""
    parts = [[(f"s{fold}", fold % 2, 0.4 + 0.05 * fold)] for fold in range(5)]
    WHOLE.run(FakeContext(tmp_path / "whole", of_segments(tmp_path, parts)))
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["auc"] == pytest.approx(0.5), "0.45 and 0.55 among 0.4, 0.5 and 0.6"
    assert "auc_fold_mean" not in metrics
    assert "recall_positive_fold_mean" in metrics


def test_a_unit_that_two_folds_have_scored_is_refused(tmp_path):
    results = {FEATURES: write_sessions(tmp_path / "features")}
    WHOLE.folds[0].run(FakeContext(tmp_path / "0", results))
    with pytest.raises(UserError, match=r"16 units were scored in several folds, such as 's\d\d'"):
        WHOLE.run(FakeContext(tmp_path / "whole", results | dict.fromkeys(WHOLE.folds, tmp_path / "0")))


def test_folds_that_are_missing_doubled_or_unlike_are_refused():
    for folds, told in (
        ([fold(0), fold(1)], r"folds \[0, 1\]: protocol 'speakers-5-fold' has \[0, 1, 2, 3, 4\]"),
        ([fold(0), fold(0), fold(2), fold(3), fold(4)], "folds"),
        ([*WHOLE.folds[:4], fold(4, seed=1)], "alike but for their fold"),
    ):
        with pytest.raises(ValidationError, match=told):
            CrossValidation(folds=tuple(folds))


def test_its_folds_are_upstream_stages_and_it_survives_json():
    assert WHOLE.upstream() == {f"folds.{number}": fold(number) for number in range(5)}
    assert len(list(WHOLE.chain())) == 7
    assert from_config(json.loads(json.dumps(to_config(WHOLE)))) == WHOLE
    assert identity_of(WHOLE, DIGESTS)["upstream"]["folds.3"] == fingerprint(fold(3), DIGESTS)


def test_protocols_that_decide_the_same_are_one_computation_and_others_are_not():
    names = [fingerprint(fold(0, protocol=protocol), DIGESTS) for protocol in (MSP_PODCAST_TEST1, DAIC_OFFICIAL)]
    assert names[0] == names[1]
    assert fold(0, protocol=MSP_PODCAST_TEST1) == fold(0, protocol=DAIC_OFFICIAL)
    assert fingerprint(fold(0, protocol=CASIA_4_SPEAKERS), DIGESTS) != names[0]


def test_a_study_under_another_protocol_asks_the_same_with_that_protocol_in_every_row():
    study = STUDY.under(SPEAKERS_5_FOLD)
    assert set(study.protocols()) == {SPEAKERS_5_FOLD}
    for row, chain in study.chains.items():
        last = chain(2)
        assert isinstance(last, CrossValidation)
        assert [stage.fold for stage in last.folds] == list(range(5))
        assert last.folds[1].with_upstream({}, protocol=STUDY.chains[row](2).protocol, fold=0) == STUDY.chains[row](2)
    assert set(STUDY.under(OWN_SPLITS).protocols()) == {OWN_SPLITS}
    scaled = find_scale("smoke").apply(study.chains["simclr"](0))
    assert {stage.hidden_size for stage in scaled.folds} == {4}, "a scale reaches the folds"


def test_what_selects_an_epoch_does_so_on_an_inner_fold_and_what_selects_nothing_trains_on_all():
    chains = reclr_iemocap.STUDY.under(IEMOCAP_5_SESSIONS).chains
    assert {(stage.inner, stage.exposure().selected) for stage in chains["chance"](0).folds} == {(None, "nothing")}
    assert {(stage.inner, stage.exposure().selected) for stage in chains["random"](0).folds} == {(0, "dev")}
    assert reclr_iemocap.STUDY.under(IEMOCAP_5_SESSIONS).selects()
    assert not reclr_iemocap.STUDY.selects()


def test_another_protocol_is_refused_where_a_stage_upstream_has_learnt_from_the_same_speakers():
    with pytest.raises(UserError, match="the emotion reference behind row 'coclr' is trained on mosei by 'own-splits'"):
        reclr_mosei.STUDY.under(SPEAKERS_5_FOLD).chains["coclr"](0)
    assert reclr_mosei.STUDY.under(OWN_SPLITS).chains["coclr"](0) == reclr_mosei.STUDY.chains["coclr"](0)
