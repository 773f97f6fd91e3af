"""What stage two and direct fine-tuning share, on sound: all stages of their chains run for real."""

import json

import pandas as pd
import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.fake_context import FakeContext
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.registry import open_corpora
from trainables.direct_fine_tuning import DirectFineTuning
from trainables.initial_encoder import InitialEncoder
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.pooled_classifier import PooledClassifier
from trainables.protocols.catalogue import IEMOCAP_5_SESSIONS
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

ENCODER = InitialEncoder(
    architecture="hubert", weights="random", hidden_size=16, layers=1, heads=2, intermediate_size=16, convolution_size=8
)
WHAT = {"utterances": Utterances(corpus="iemocap"), "task": "emotion4", "protocol": IEMOCAP_5_SESSIONS}
CONVOLVED = ConvolutionalFeatures(encoder=ENCODER, utterances=WHAT["utterances"])
TUNED = SupervisedContrastive(encoder=ENCODER, sources=(TrainingSet(**WHAT),), convolved=(CONVOLVED,), epochs=1, batch_size=8)
STAGES = (
    PooledClassifier(tuned=TUNED, convolved=CONVOLVED, epochs=2, **WHAT),
    DirectFineTuning(encoder=ENCODER, convolved=CONVOLVED, epochs=1, **WHAT),
)


class Context(FakeContext):
    """With corpora."""

    def __init__(self, directory, results, corpora):
        super().__init__(directory, results)
        self._corpora = corpora

    def corpus(self, role):
        return self._corpora[role]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return open_corpora(str(write_tiny_corpora(folder / "tiny")), folder, ["iemocap"])


@pytest.fixture(scope="module")
def executor(corpora, tmp_path_factory):
    store = str(tmp_path_factory.mktemp("store"))
    return LocalExecutor(Setting(corpora=corpora, store=store, code=code_version()), lambda *call: None)


@pytest.mark.parametrize("which", STAGES, ids=lambda stage: type(stage).__name__)
def test_what_was_convolved_beforehand_by_the_initial_encoder_is_what_the_stage_itself_would_convolve(
    which, corpora, executor, tmp_path
):
    """The same bytes: stage one, behind stage two, has left the convolution as it was."""
    executor.finish_chain(which)
    store = ArtifactStore(executor.setting.store)
    results = {stage: store.path(executor.setting.fingerprint(stage)) for stage in which.chain()}
    alone = which.model_copy(update={"convolved": None})
    assert executor.setting.fingerprint(alone) == executor.setting.fingerprint(which)
    alone.run(Context(tmp_path / "alone", results, corpora))
    for name in ("predictions.parquet", "metrics.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (results[which] / name).read_bytes(), name
    table = pd.read_parquet(results[which] / "predictions.parquet")
    assert sorted(table["speaker"].unique()) == ["Ses00", "Ses01"], "the first session is tested"
    assert set(json.loads((results[which] / "metrics.json").read_text())) == {"f1_macro", "f1_micro", "uar"}


def test_the_audit_finds_no_leak_and_would_find_a_stage_one_of_another_fold(corpora):
    audit = ChainAudit({"iemocap": AuditedCorpus("iemocap", corpora["iemocap"].manifest())})
    assert [leak for stage in STAGES for leak in audit.find(stage)] == []
    elsewhere = TUNED.with_upstream({"sources.0": TUNED.sources[0].with_upstream({}, fold=1)})
    (leak,) = audit.find(STAGES[0].model_copy(update={"tuned": elsewhere}))
    assert (leak.kind, leak.severity, leak.examples) == ("supervised on test speakers", "leak", ("Ses00", "Ses01"))
