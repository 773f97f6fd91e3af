"""Studies whose rows compare two divisions: what captions say of them, and the same studies under one protocol."""

from __future__ import annotations

import pytest

from search_spaces.study import Chain, Study, study
from search_spaces.table import Bars, Column, Curve, Panel, Row, TableSpec
from trainables.chance import ChanceClassifier
from trainables.cross_validation import CrossValidation
from trainables.mfcc_segments import MfccSegments
from trainables.protocols import restricted
from trainables.protocols.catalogue import (
    CASIA_MIXED_5,
    IEMOCAP_MIXED_5,
    OWN_SPLITS,
    SEGMENTS_70_30,
    SPEAKERS_5_FOLD,
    SPEAKERS_70_30,
)
from trainables.split_comparison import SplitComparison

VALENCES = ("positive", "neutral", "negative")


def side(protocol, seed, stimulus, **settings):
    settings = {"protocol": restricted(protocol, stimulus=stimulus), "seed": seed, **settings}
    return ChanceClassifier(features=MfccSegments(corpus="sre"), strategy="uniform", **settings)


def compared(stimulus: str) -> Chain:
    return lambda seed: SplitComparison(clean=side(SPEAKERS_70_30, seed, stimulus), mixed=side(SEGMENTS_70_30, seed, stimulus))


def column(metric: str, **settings) -> Column:
    return Column(**{"metric": metric, "title": metric, "percent": True, "higher_is_better": True, **settings})


GAP = column("mixed_f1_micro", title="gap", minus="f1_micro", higher_is_better=None, bounded=False)
COLUMNS = (column("f1_micro"), column("mixed_f1_micro", title="mixed"), GAP)
STUDY = study(
    TableSpec(study="toy", title="Toy", source="nowhere", row_titles=("valence",), rows=(), columns=COLUMNS, headline="f1_micro"),
    [(Row(key=each, label=(each,)), compared(each)) for each in VALENCES],
    "chance",
)


def keys(of: Study) -> list[str]:
    return [each.key for each in of.table.columns]


def test_a_caption_names_both_protocols_once_each_whatever_their_rows_are_restricted_to() -> None:
    assert STUDY.protocols() == (SPEAKERS_70_30, SEGMENTS_70_30)
    said = STUDY.divided_by()
    for protocol, columns in ((SPEAKERS_70_30, ""), (SEGMENTS_70_30, ", in mixed alone")):
        assert said.count(f"{protocol.name} ({protocol.digest}){columns}: {protocol.sentence}") == said.count(protocol.name) == 1


def test_protocols_that_decide_the_same_are_told_by_both_their_names() -> None:
    alike = (IEMOCAP_MIXED_5, CASIA_MIXED_5)
    rows = [(Row(key=protocol.name, label=("x",)), lambda seed, protocol=protocol: side(protocol, seed, "x")) for protocol in alike]
    assert study(STUDY.table, rows, "").divided_by().count("-mixed-5-fold (c7623af1): ") == 2


def test_under_folds_by_speaker_every_row_is_a_cross_validation_of_its_own_units() -> None:
    under = STUDY.under(SPEAKERS_5_FOLD)
    for stimulus in VALENCES:
        folds = tuple(side(SPEAKERS_5_FOLD, 3, stimulus, fold=fold) for fold in range(5))
        assert under.chains[stimulus](3) == CrossValidation(folds=folds)
    assert under.protocols() == (SPEAKERS_5_FOLD,)


@pytest.mark.parametrize("protocol", [SEGMENTS_70_30, SPEAKERS_70_30], ids=lambda protocol: protocol.name)
def test_either_protocol_can_be_had_alone(protocol) -> None:
    under = STUDY.under(protocol)
    assert {stimulus: under.chains[stimulus](3) for stimulus in VALENCES} == {each: side(protocol, 3, each) for each in VALENCES}
    assert under.protocols() == (protocol,)


def test_columns_of_the_other_side_are_left_out_with_a_remark_and_so_are_gaps() -> None:
    for protocol in (SPEAKERS_5_FOLD, SEGMENTS_70_30, OWN_SPLITS):
        under = STUDY.under(protocol)
        assert keys(under) == ["f1_micro"]
        assert under.protocol == f"chance; no mixed, gap: every row is divided by {protocol.name} alone"
    assert keys(STUDY) == ["f1_micro", "mixed_f1_micro", "mixed_f1_micro_minus_f1_micro"]


def test_columns_of_a_development_set_are_left_out_by_a_remark_of_their_own() -> None:
    dev = column("dev_f1_micro", title="dev")
    both = study(
        STUDY.table.model_copy(update={"columns": (*COLUMNS, dev)}),
        [*zip(STUDY.table.rows, STUDY.chains.values(), strict=True)],
        "",
    )
    reason = "has no scores of a development set beside others"
    told = f"no mixed, gap: every row is divided by speakers-5-fold alone; no dev: speakers-5-fold {reason}"
    assert (keys(both.under(SPEAKERS_5_FOLD)), both.under(SPEAKERS_5_FOLD).protocol) == (["f1_micro"], told)
    assert keys(both.under(OWN_SPLITS)) == ["f1_micro", "dev_f1_micro"]


def test_pictures_of_a_table_are_drawn_of_the_columns_that_are_left() -> None:
    panel = Panel(value="x", title="x")
    drawn = STUDY.table.model_copy(
        update={
            "curve": Curve(parameter="p", title="p", columns=("f1_micro", "mixed_f1_micro")),
            "bars": Bars(
                picture="a", group="b", bar="c", panel="d", panels=(panel,), columns=("f1_micro", GAP.key), test="f1_micro"
            ),
        }
    )
    left = drawn.without(COLUMNS[1:])
    assert (left.curve.columns, left.bars.columns) == (("f1_micro",), ("f1_micro",))
    only = drawn.model_copy(update={"curve": Curve(parameter="p", title="p", columns=("mixed_f1_micro",))}).without(COLUMNS[1:])
    assert only.curve is None
    tested = drawn.bars.model_copy(update={"test": "mixed_f1_micro"})
    assert drawn.model_copy(update={"bars": tested}).without(COLUMNS[1:]).bars is None
    with pytest.raises(ValueError, match="headline 'f1_micro' cannot be left out"):
        drawn.without(COLUMNS[:1])
