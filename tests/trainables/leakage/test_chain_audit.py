"""What the stages of a chain have heard before the last one is scored: planted in chains, found, and not found where it is not."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.trainables.leakage.manifests import interviews, inventory, kinds, utterances
from trainables.chance import ChanceClassifier
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.cross_validation import CrossValidation
from trainables.emotion_classifier import EmotionClassifier
from trainables.emotion_reference import EmotionReference
from trainables.leakage.chain import ChainAudit, scored_stages, undivided
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import Protocol
from trainables.protocols.catalogue import CASIA_MIXED_5, HELD_OUT_30, OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier
from trainables.session_probe import SessionProbe
from trainables.stage import Context, Stage

MDD = LogMelFeatures(corpus="mdd", unit="session")
MOSEI = LogMelFeatures(corpus="mosei", unit="utterance")


class Encoder(Stage):
    """An encoder that learns from whatever a test says."""

    label: ClassVar[str] = "planted"
    provides_encoder: ClassVar[bool] = True
    features: LogMelFeatures
    told: bool = True
    fitted: str = "nothing"
    task: str | None = None
    normalised: str = "nothing"
    selected: str = "nothing"
    talkers: str = "subject"

    def run(self, context: Context) -> None:
        """Never run."""

    def exposure(self) -> Exposure | None:
        names = ("features", "fitted", "task", "normalised", "selected", "talkers")
        return Exposure(**{name: getattr(self, name) for name in names}) if self.told else None


def sentences(splits=True):
    """Utterances with a signed score instead of an emotion."""
    table = utterances(splits=splits)
    return table.assign(sentiment=[1.0, -1.0] * (len(table) // 2)).drop(columns=["emotion", "style"])


def audited(target, **places):
    tables = {"mdd": interviews(), "mosei": sentences(splits="mosei_drawn" not in places)}
    corpora = {role: AuditedCorpus(role, table, place=places.get(role, "")) for role, table in tables.items()}
    audit = ChainAudit(corpora)
    return [leak for stage in scored_stages(target) for leak in audit.find(stage)]


def on_sessions(encoder: Stage, **settings) -> SessionClassifier:
    return SessionClassifier(embeddings=SegmentEmbeddings(encoder=encoder, features=MDD), **settings)


PLANTED = {
    "a stage that says nothing": ("undeclared", {"told": False}),
    "selection on the test set": ("selection on test", {"selected": "test"}),
    "statistics of all units": ("normalisation", {"normalised": "all"}),
    "labels of all units": ("supervised on test speakers", {"fitted": "all", "task": "depression"}),
    "labels of training units that nobody can tell apart": (
        "supervised on test speakers",
        {"fitted": "training", "task": "depression"},
    ),
    "the interviewer's questions": ("interviewer heard", {"talkers": "all"}),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, HELD_OUT_30, SPEAKERS_5_FOLD], ids=lambda protocol: protocol.name)
def test_what_a_stage_must_not_learn_from_is_found(name, protocol):
    kind, settings = PLANTED[name]
    assert audited(on_sessions(Encoder(features=MDD), protocol=protocol)) == []
    assert kinds(audited(on_sessions(Encoder(features=MDD, **settings), protocol=protocol))) == {kind}


def test_pretraining_on_a_whole_corpus_without_labels_is_stated():
    references = SegmentEmbeddings(encoder=EmotionReference(features=MOSEI), features=MDD)
    pretraining = ContrastivePretraining(features=MDD, objective="coclr", reference=references)
    found = audited(on_sessions(pretraining))
    assert kinds(found) == set()
    assert {leak.kind: leak.about for leak in found} == dict.fromkeys(
        ("pretraining on test speakers", "normalisation"), "contrastive pretraining"
    )
    other = EmotionClassifier(features=MOSEI, initial=pretraining, task="sentiment", protocol=OWN_SPLITS)
    assert audited(other) == [], "another corpus' speakers, and a reference by the same protocol"


def reference_then_classifier(upstream: Protocol, protocol: Protocol, seed: int = 0) -> EmotionClassifier:
    reference = SegmentEmbeddings(encoder=EmotionReference(features=MOSEI, protocol=upstream), features=MDD)
    pretraining = ContrastivePretraining(features=MDD, objective="coclr", reference=reference)
    return EmotionClassifier(features=MOSEI, initial=pretraining, task="sentiment", protocol=protocol, seed=seed)


@pytest.mark.parametrize("places", [{}, {"mosei_drawn": "yes"}], ids=["own splits", "no splits"])
def test_a_supervised_stage_upstream_is_clean_under_the_same_protocol_and_a_leak_under_another(places):
    assert audited(reference_then_classifier(OWN_SPLITS, OWN_SPLITS, seed=5), **places) == []
    found = audited(reference_then_classifier(OWN_SPLITS, SPEAKERS_70_30, seed=5), **places)
    assert kinds(found) == {"supervised on test speakers"}
    (leak,) = found
    assert (leak.about, leak.severity) == ("emotion reference", "leak")


def test_one_folder_in_two_roles_is_one_corpus():
    """A reference that was trained on the very speakers who are tested under another role's name."""
    iemocap = LogMelFeatures(corpus="mdd", unit="session")
    table = interviews().assign(sentiment=1.0)
    table["sentiment"] -= 2.0 * table["depressed"]
    encoder = EmotionReference(features=LogMelFeatures(corpus="mosei", unit="utterance"))
    target = SessionClassifier(embeddings=SegmentEmbeddings(encoder=encoder, features=iemocap))
    for place, expected in (("here", {"supervised on test speakers"}), ("there", set())):
        corpora = {"mdd": AuditedCorpus("mdd", table, place="here"), "mosei": AuditedCorpus("mosei", table, place=place)}
        assert kinds(ChainAudit(corpora).find(target)) == expected


def copied(changed=()):
    """MOSEI's role filled by a folder with byte for byte the recordings of MDD's, under other names of people and files."""
    here = interviews()
    there = here.assign(
        speaker="x" + here["speaker"], recording="copy-" + here["recording"], sentiment=1.0 - 2.0 * here["depressed"]
    )
    files = {f"copy-{name}": file for name, file in inventory(here).items()}
    for number in changed:
        name = f"copy-s{number:02d}.wav"
        files[name] = files[name].model_copy(update={"content": f"another recording {number}"})
    tables = {"mdd": (here, inventory(here), "/one"), "mosei": (there, files, "/two")}
    return ChainAudit({role: AuditedCorpus(role, *facts) for role, facts in tables.items()})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"fitted": "all"}, ("pretraining on test recordings", "stated")),
        ({"fitted": "all", "task": "sentiment"}, ("supervised on test recordings", "leak")),
        ({"fitted": "training", "task": "sentiment"}, ("supervised on test recordings", "leak")),
        ({"normalised": "all"}, ("normalisation", "leak")),
    ],
)
def test_a_copy_of_the_scored_recordings_in_another_folder_is_found(settings, expected):
    target = on_sessions(Encoder(features=LogMelFeatures(corpus="mosei", unit="session"), **settings))
    (found,) = copied().find(target)
    assert (found.kind, found.severity) == expected
    assert copied(changed=range(16)).find(target) == [], "other recordings, so nobody knows who they are"
    audit = copied()
    scored = audit.bits(target) & 4 > 0
    tested = sorted(set(interviews().loc[scored, "session"]))
    one = copied(changed=[number for number in range(16) if f"s{number:02d}" != tested[0]])
    (found,) = one.find(target)
    wanted = 4 if "normalised" in settings else 1
    assert found.count == wanted, "its four segments, or the one recording"


def test_a_copy_of_recordings_that_nobody_is_scored_on_is_no_finding():
    target = on_sessions(Encoder(features=LogMelFeatures(corpus="mosei", unit="session"), fitted="all", task="sentiment"))
    scored = copied().bits(target) & 4 > 0
    tested = {int(name[1:]) for name in interviews().loc[scored, "session"]}
    assert tested
    assert copied(changed=tested).find(target) == []


def test_a_stage_that_is_scored_on_the_development_set_it_selects_on_says_so():
    features = LogMelFeatures(corpus="mosei", unit="utterance")
    searched = EmotionClassifier(features=features, task="sentiment", protocol=OWN_SPLITS, scored_on="dev")
    (found,) = audited(searched)
    assert (found.kind, found.severity) == ("selection on what is scored", "stated")
    assert audited(EmotionClassifier(features=features, task="sentiment", protocol=OWN_SPLITS)) == []


def test_a_last_stage_that_is_not_divided_is_a_leak_for_nobody_knows_whom_it_is_scored_on():
    probe = SessionProbe(embeddings=SegmentEmbeddings(encoder=Encoder(features=MDD), features=MDD), protocol=HELD_OUT_30)
    assert scored_stages(probe) == ()
    found = undivided(probe)
    assert (found.kind, found.severity, found.about) == ("undeclared", "leak", "SessionProbe")


def test_where_speakers_are_mixed_by_name_only_scored_units_count():
    chance = {"features": MOSEI, "strategy": "uniform", "task": "sentiment", "protocol": CASIA_MIXED_5}
    folds = CrossValidation(folds=tuple(ChanceClassifier(fold=fold, **chance) for fold in range(5)))
    assert len(scored_stages(folds)) == 5
    assert audited(folds) == []
    mixed = EmotionReference(features=MOSEI, protocol=CASIA_MIXED_5, fold=1)
    for fold, expected in ((1, set()), (2, {"supervised on test speakers"})):
        initial = ContrastivePretraining(features=MDD, objective="coclr", reference=SegmentEmbeddings(encoder=mixed, features=MDD))
        target = EmotionClassifier(features=MOSEI, initial=initial, task="sentiment", protocol=CASIA_MIXED_5, fold=fold)
        assert kinds(audited(target)) == expected


def test_without_its_corpus_a_chain_is_still_asked_what_it_selects_on():
    target = on_sessions(Encoder(features=MDD, selected="test", normalised="all", fitted="all"))
    assert kinds(ChainAudit({}).find(target)) == {"selection on test"}
