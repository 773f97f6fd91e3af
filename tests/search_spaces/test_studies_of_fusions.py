"""A study of fusions under another protocol: members follow, weights get an inner fold, a selection goes through all of them."""

import pytest

from search_spaces.study import load_study, study
from search_spaces.table import Row
from tests.divided_toys import Told
from trainables.errors import UserError
from trainables.fusion import Fusion
from trainables.nested_selection import NestedSelection
from trainables.protocols.catalogue import DAIC_DEV_AS_TEST, DAIC_OFFICIAL, DAIC_POOLED_NESTED, SPEAKERS_5_FOLD

PARTS = (Told(name="a", protocol=DAIC_OFFICIAL), Told(name="b", protocol=DAIC_OFFICIAL))


def toy(**chains):
    spec = load_study("reclr_lambda").table.model_copy(update={"study": "toy", "row_titles": ("row",), "baseline": None})
    return study(spec, [(Row(key=key, label=(key,)), chain) for key, chain in chains.items()], "")


FUSIONS = toy(
    vote=lambda seed: Fusion(members=PARTS, rule="majority_vote", seed=seed),
    weighted=lambda seed: Fusion(members=PARTS, rule="weighted", seed=seed),
    chosen=lambda seed: NestedSelection(members=PARTS, seed=seed),
)


@pytest.mark.parametrize("protocol", [DAIC_POOLED_NESTED, SPEAKERS_5_FOLD], ids=lambda protocol: protocol.name)
def test_members_follow_a_protocol_with_folds_and_only_what_fits_weights_keeps_an_inner_fold(protocol):
    for key, inner in (("vote", None), ("weighted", 0), ("chosen", None)):
        folds = FUSIONS.under(protocol).chains[key](3).folds
        assert [stage.fold for stage in folds] == list(range(5))
        division = {(m.protocol, m.seed, m.inner, m.fold == stage.fold) for stage in folds for m in (stage, *stage.members)}
        assert division == {(protocol, 3, inner, True)}
    back = FUSIONS.under(protocol).under(DAIC_OFFICIAL)
    assert all(back.chains[key](3) == FUSIONS.chains[key](3) for key in FUSIONS.chains)


def test_weights_have_nothing_to_be_fitted_on_where_the_development_set_is_the_test_set():
    with pytest.raises(UserError) as caught:
        FUSIONS.under(DAIC_DEV_AS_TEST)
    assert [message.split("'")[1] for message in caught.value.messages] == ["weighted", "chosen"], "not of a vote"


def test_weights_and_choices_are_no_choice_of_an_epoch():
    assert not FUSIONS.selects()


def test_columns_of_development_scores_are_left_out_where_a_protocol_has_none_and_the_remarks_say_so():
    own = load_study("climate_fusion")
    crossed = own.under(DAIC_POOLED_NESTED)
    assert [column.key for column in crossed.table.columns] == ["f1_positive"]
    assert (
        "no F1 dev, max F1 dev, F1 test at max dev, gap: daic-pooled-nested has no scores of a development set" in crossed.protocol
    )
    assert own.under(DAIC_OFFICIAL).table == own.table
    assert own.under(DAIC_OFFICIAL).protocol == own.protocol


def test_a_row_that_a_protocol_cannot_give_is_named():
    with pytest.raises(UserError, match="row 'weighted' cannot be had under 'daic-dev-as-test'"):
        FUSIONS.under(DAIC_DEV_AS_TEST)
