"""ReCLR, Table 1: how the pretraining objective and λ change depression detection on MDD.

    python -m orchestrator.sweep reclr_lambda

The paper pretrains on the whole corpus (audio and speaker identities, no labels) and then splits it ten times; so each objective is
pretrained once here, and ten seeds of the classifier share it.
"""

from search_spaces.study import Chain, study
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.chance import ChanceClassifier
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.crnn import CrnnClassifier
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier

mdd = LogMelFeatures(corpus="mdd", unit="session")
mosei = LogMelFeatures(corpus="mosei", unit="utterance")
references = SegmentEmbeddings(encoder=EmotionReference(features=mosei), features=mdd)

simclr = ContrastivePretraining(features=mdd, objective="simclr")
coclr = ContrastivePretraining(features=mdd, objective="coclr", reference=references)


def reclr(lambda_: float) -> ContrastivePretraining:
    """ReCLR with weight λ of the reference-enhanced loss (equation 6)."""
    return ContrastivePretraining(features=mdd, objective="reclr", lambda_=lambda_, reference=references)


def fixed(pretraining: ContrastivePretraining) -> Chain:
    """Frozen Cnn10, LSTM on its segment embeddings."""
    embeddings = SegmentEmbeddings(encoder=pretraining, features=mdd)
    return lambda seed: SessionClassifier(embeddings=embeddings, seed=seed)


def tuned(initial: ContrastivePretraining | None) -> Chain:
    """Cnn10 and LSTM trained whole."""
    return lambda seed: CrnnClassifier(features=mdd, initial=initial, seed=seed)


def guesses(strategy: str) -> Chain:
    """No listening at all."""
    return lambda seed: ChanceClassifier(features=mdd, strategy=strategy, seed=seed)


def row(key: str, cnn10: str, method: str, macro: Published | None = None, micro: Published | None = None, **params) -> Row:
    """A row of Table 1."""
    published = {name: number for name, number in (("f1_macro", macro), ("f1_micro", micro)) if number}
    return Row(key=key, label=(cnn10, method), params={"cnn10": cnn10, "method": method, **params}, published=published)


def printed(mean: float, std: float | None = None) -> Published:
    """A number of Table 1, in percent."""
    return Published(mean=mean, std=std)


# fmt: off
ROWS = [
    (row("chance", "none", "chance"), guesses("uniform")),
    (row("majority", "none", "majority"), guesses("most_frequent")),
    (row("simclr", "fixed", "SimCLR", printed(76.56, 2.11), printed(76.59, 2.11)), fixed(simclr)),
    (row("coclr", "fixed", "CoCLR", printed(76.63, 1.95), printed(76.65, 1.95), lambda_=0.0), fixed(coclr)),
    (row("reclr_0.2", "fixed", "ReCLR (λ = 0.2)", printed(77.64, 2.58), printed(77.68, 2.59), lambda_=0.2), fixed(reclr(0.2))),
    (row("reclr_0.4", "fixed", "ReCLR (λ = 0.4)", printed(77.90, 2.56), printed(77.94, 2.56), lambda_=0.4), fixed(reclr(0.4))),
    (row("crnn_random", "tuning", "Random", printed(69.83), printed(70.59)), tuned(None)),
    (row("crnn_coclr", "tuning", "CoCLR-pretrained", printed(74.7), printed(74.7)), tuned(coclr)),
]
# fmt: on

STUDY = study(
    TableSpec(
        study="reclr_lambda",
        title="Depression detection on MDD by pretraining objective",
        source="ReCLR, Table 1",
        row_titles=("Cnn10", "Method"),
        rows=(),
        columns=(
            Column(metric="f1_macro", title="F1 macro", percent=True, higher_is_better=True),
            Column(metric="f1_micro", title="F1 micro", percent=True, higher_is_better=True),
        ),
        headline="f1_macro",
    ),
    rows=ROWS,
    protocol=(
        "70/30 split by speaker, stratified, drawn by seed; one reference model and one pretraining per objective, whose own "
        "variation the intervals do not cover; pretraining hears all speakers, without labels, and centres the references"
    ),
)
