"""Attention-residual network on any labelled speech: happy against sad, by speaker, beside the classical algorithms.

    python -m orchestrator.sweep cbam_own_speech --corpora corpora.toml

Ours, for whoever has no corpus of depression: any emotion corpus can play ``iemocap``. Every speaker is scored once, in five folds
by speaker. What is cut into several segments is put together again by its recording, because an emotion is not its speaker's.
"""

from typing import Any

from search_spaces._cbam import ALGORITHMS
from search_spaces.study import Chain, study
from search_spaces.table import Column, Row, TableSpec
from trainables.chance import ChanceClassifier
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.mfcc_segments import MfccSegments
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.resnet_classifier import ResnetClassifier
from trainables.segment_baseline import SegmentBaseline

SPEECH = MfccSegments(corpus="iemocap")


def _folds(kind: type[DividedStage], **settings: Any) -> Chain:
    given = {"features": SPEECH, "task": "happy_sad", "protocol": SPEAKERS_5_FOLD, **settings}
    return lambda seed: CrossValidation(folds=tuple(kind(fold=fold, seed=seed, **given) for fold in range(SPEAKERS_5_FOLD.folds)))


def _network(depth: int, attention: str, title: str) -> tuple[Row, Chain]:
    row = Row(key=f"resnet{depth}_{attention}", label=(title,), params={"depth": depth, "attention": attention})
    return row, _folds(ResnetClassifier, depth=depth, attention=attention)


STUDY = study(
    TableSpec(
        study="cbam_own_speech",
        title="Happy or sad speech by algorithm",
        source="after Speech depression recognition based on attentional residual network, Figure 15",
        row_titles=("Algorithm",),
        rows=(),
        columns=(
            Column(metric="uar", title="UAR", percent=True, higher_is_better=True),
            Column(metric="f1_micro", title="Acc", percent=True, higher_is_better=True),
            Column(metric="auc", title="AUC", percent=True, higher_is_better=True),
            Column(metric="subject_uar", title="UAR by recording", percent=True, higher_is_better=True),
            Column(metric="vote_uar", title="UAR by vote", percent=True, higher_is_better=True),
        ),
        headline="uar",
        baseline="logistic_regression",
    ),
    rows=[
        (Row(key="majority", label=("majority",), compared=False), _folds(ChanceClassifier, strategy="most_frequent")),
        *(
            (Row(key=model, label=(title,), params={"model": model}), _folds(SegmentBaseline, model=model))
            for model, title in ALGORITHMS.items()
        ),
        _network(18, "none", "ResNet18"),
        _network(18, "stages", "ResNet18 + CBAM"),
    ],
    protocol="segments of 4 s; 'by recording' is the mean probability of a recording's segments, 'by vote' their majority",
)
