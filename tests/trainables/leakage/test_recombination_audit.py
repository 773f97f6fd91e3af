"""Fusions and selections before the audit: what they choose or fit on development units, and what is heard behind their members."""

from __future__ import annotations

import pytest

from orchestrator.audit import audit
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.leakage.manifests import interviews, kinds
from tests.trainables.leakage.test_chain_audit import Encoder
from trainables.chance import ChanceClassifier
from trainables.corpora.registry import open_corpora
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.fusion import Fusion
from trainables.leakage.chain import ChainAudit, scored_stages
from trainables.leakage.corpus import AuditedCorpus
from trainables.log_mel_features import LogMelFeatures
from trainables.nested_selection import NestedSelection
from trainables.protocols.catalogue import DAIC_OFFICIAL, DAIC_POOLED_NESTED, HELD_OUT_30, OWN_SPLITS
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier

MDD = LogMelFeatures(corpus="mdd", unit="session")
SPLITS = ("train",) * 4 + ("dev",) * 2 + ("test",) * 2
FITTED = ("weighted", "stacking")


def members(**settings):
    settings = {"protocol": DAIC_OFFICIAL, **settings}
    return tuple(ChanceClassifier(features=MDD, strategy=strategy, **settings) for strategy in ("uniform", "most_frequent"))


def audited(target):
    table = interviews(40)
    corpus = AuditedCorpus("mdd", table.assign(split=[SPLITS[int(name[1:]) % 8] for name in table["session"]]))
    chains = ChainAudit({"mdd": corpus})
    return [leak for stage in scored_stages(target) for leak in chains.find(stage)]


@pytest.mark.parametrize("rule", ["majority_vote", "mean_probability", *FITTED])
def test_weights_that_are_fitted_on_development_units_are_clean_where_test_units_are_scored(rule):
    assert audited(Fusion(members=members(), rule=rule)) == []
    assert audited(Fusion(members=members(protocol=DAIC_POOLED_NESTED, inner=2), rule=rule)) == []


@pytest.mark.parametrize("protocol", [DAIC_OFFICIAL, HELD_OUT_30, DAIC_POOLED_NESTED], ids=lambda protocol: protocol.name)
def test_a_choice_by_development_units_or_inner_folds_is_clean_and_so_are_the_stages_that_are_compared(protocol):
    weighted = Fusion(members=members(), rule="weighted")
    candidates = (*members(), weighted) if protocol is not HELD_OUT_30 else members()
    stage = NestedSelection(members=candidates, protocol=protocol)
    target = CrossValidation(folds=tuple(stage.with_upstream({}, fold=n) for n in range(5))) if protocol.folds > 1 else stage
    assert len(scored_stages(target)) == protocol.folds
    assert audited(target) == []
    assert stage.exposure().selected == ("dev" if protocol == DAIC_OFFICIAL else "train")


def test_scored_on_the_development_set_that_decides_is_stated():
    for stage in (
        *(Fusion(members=members(scored_on="dev"), rule=rule) for rule in FITTED),
        NestedSelection(members=members(scored_on="dev")),
    ):
        (found,) = audited(stage)
        assert (found.kind, found.severity, found.about) == ("selection on what is scored", "stated", stage.label)
    assert audited(Fusion(members=members(scored_on="dev"), rule="majority_vote")) == []


def test_weights_of_a_member_that_were_fitted_on_the_very_units_that_are_scored_are_a_leak():
    weighted = Fusion(members=members(scored_on="dev"), rule="weighted")
    target = Fusion(members=(weighted, members()[0]), rule="majority_vote", scored_on="dev")
    (found,) = audited(target)
    assert (found.kind, found.severity, found.about, found.count) == ("supervised on test speakers", "leak", "fusion", 10)


@pytest.mark.parametrize("kind", [Fusion, NestedSelection])
def test_what_stands_behind_a_member_is_found_through_it(kind):
    encoder = Encoder(features=MDD, fitted="training", task="depression")
    planted = SessionClassifier(embeddings=SegmentEmbeddings(encoder=encoder, features=MDD), protocol=DAIC_OFFICIAL)
    settings = {"rule": "mean_probability"} if kind is Fusion else {}
    assert kinds(audited(kind(members=(members()[0], planted), **settings))) == {"supervised on test speakers"}


def test_the_audit_before_a_sweep_goes_through_all_inner_folds_and_tells_an_impossible_one_once(tmp_path):
    corpora = open_corpora(str(write_tiny_corpora(tmp_path / "corpora")), tmp_path, ["mdd"])
    for protocol in (OWN_SPLITS, HELD_OUT_30):
        assert audit([NestedSelection(members=members(), protocol=protocol)], corpora, tmp_path).leaks == ()
    nested = DAIC_POOLED_NESTED.model_copy(update={"folds": 2, "inner_folds": 40})
    stages = [NestedSelection(members=members(), protocol=nested, seed=seed) for seed in range(2)]
    with pytest.raises(UserError) as caught:
        audit(stages, corpora, tmp_path)
    (message,) = caught.value.messages
    assert message.startswith("mdd, daic-pooled-nested, in 2 of 2 divisions: ")
    assert "needs at least 40 speakers for its inner folds" in message
