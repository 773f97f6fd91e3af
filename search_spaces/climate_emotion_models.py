"""Climate and Weather, Table 1: emotion models on IEMOCAP (a) and CMU-MOSEI (b), by modality.

    python -m orchestrator.sweep climate_emotion_models

IEMOCAP: leave one of the five sessions out, the field's usual protocol (the paper does not say how it divides). MOSEI: the corpus'
own splits. Each corpus' A+T row is the baseline of its other two.
"""

from search_spaces._climate import SOURCES, TITLES, Corpus, Modality, emotion_model, inputs
from search_spaces.study import Chain, study
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.chance import ChanceClassifier
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.protocols.catalogue import IEMOCAP_5_SESSIONS, OWN_SPLITS

METRICS = ("f1_micro", "uar", "mae_valence", "mae_activation", "mae_dominance", "f1_positive")

# WA, UA, MAE of valence, activation and dominance; Acc2, F1.
PUBLISHED = {
    ("iemocap", "A"): (64.88, 66.56, 0.6182, 0.4729, 0.6225, None),
    ("iemocap", "T"): (73.26, 73.50, 0.4848, 0.5113, 0.6161, None),
    ("iemocap", "A+T"): (77.18, 77.87, 0.4501, 0.4404, 0.559, None),
    ("mosei", "A"): (72.39, None, None, None, None, 80.60),
    ("mosei", "T"): (79.09, None, None, None, None, 83.14),
    ("mosei", "A+T"): (79.53, None, None, None, None, 83.61),
}


def scored(corpus: Corpus, modality: Modality) -> Chain:
    """An emotion model on utterances that it was not trained on: of IEMOCAP all folds together."""
    if corpus == "mosei":
        return lambda seed: emotion_model(corpus, modality, seed)
    return lambda seed: folds(*(emotion_model(corpus, modality, seed, fold) for fold in range(IEMOCAP_5_SESSIONS.folds)))


def folds(*stages: DividedStage) -> CrossValidation:
    """The folds' predictions put together."""
    return CrossValidation(folds=stages)


def majority(corpus: Corpus) -> Chain:
    """Always the commonest class of the training utterances."""
    features = inputs(corpus, "T")["sentences"]

    def guess(seed: int, **settings: object) -> ChanceClassifier:
        return ChanceClassifier(features=features, strategy="most_frequent", seed=seed, **settings)

    if corpus == "mosei":
        return lambda seed: guess(seed, task="sentiment", protocol=OWN_SPLITS)
    division = {"task": "emotion4", "protocol": IEMOCAP_5_SESSIONS}
    return lambda seed: folds(*(guess(seed, fold=fold, **division) for fold in range(IEMOCAP_5_SESSIONS.folds)))


def key(corpus: Corpus, modality: Modality) -> str:
    """The row's key."""
    return f"{corpus}_{modality.replace('+', '_').lower()}"


def _row(corpus: Corpus, modality: Modality) -> Row:
    numbers = dict(zip(METRICS, PUBLISHED[corpus, modality], strict=True))
    return Row(
        key=key(corpus, modality),
        label=(TITLES[corpus], modality),
        params={"corpus": corpus, "modality": modality},
        published={name: Published(mean=number) for name, number in numbers.items() if number is not None},
        compared=modality != "A+T",
        against=key(corpus, "A+T") if modality != "A+T" else None,
    )


def _majority_row(corpus: Corpus) -> Row:
    label = (TITLES[corpus], "majority")
    return Row(key=f"{corpus}_majority", label=label, params={"corpus": corpus}, compared=False, against=key(corpus, "A+T"))


ROWS = [
    row
    for corpus in ("iemocap", "mosei")
    for row in (
        (_majority_row(corpus), majority(corpus)),
        *((_row(corpus, modality), scored(corpus, modality)) for each, modality in SOURCES if each == corpus),
    )
]


def _error(attribute: str) -> Column:
    return Column(metric=f"mae_{attribute}", title=f"MAE {attribute}", percent=False, higher_is_better=False, decimals=4)


STUDY = study(
    TableSpec(
        study="climate_emotion_models",
        title="Emotion recognition on IEMOCAP (4 classes, attributes) and CMU-MOSEI (binary sentiment) by modality",
        source="Climate and Weather, Table 1",
        row_titles=("Corpus", "Mod."),
        rows=(),
        columns=(
            Column(metric="f1_micro", title="WA / Acc2", percent=True, higher_is_better=True),
            Column(metric="uar", title="UA", percent=True, higher_is_better=True),
            _error("valence"),
            _error("activation"),
            _error("dominance"),
            Column(metric="f1_positive", title="F1", percent=True, higher_is_better=True),
        ),
        headline="f1_micro",
    ),
    rows=ROWS,
    protocol=(
        "IEMOCAP: angry, happy (with excited), sad, neutral, predictions of the five folds scored together; MOSEI: score 0 left "
        "out, F1 is that of positive sentiment; the paper does not say how often its numbers were run"
    ),
)
