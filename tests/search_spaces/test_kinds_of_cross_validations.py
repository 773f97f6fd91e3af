"""A study under another protocol: a cross-validation of a kind of its own stays what it is."""

from __future__ import annotations

import pytest

from search_spaces.study import Study, load_study, study
from search_spaces.table import Row
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.linear_probe import LinearProbe
from trainables.protocols import Protocol
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_4_FOLD, SPEAKERS_5_FOLD
from trainables.representation_map import RepresentationMap
from trainables.turn_statistics import TurnStatistics

FEATURES = TurnStatistics(filterbanks=FilterbankFeatures(corpus="iemocap", unit="utterance"))


def probes(protocol: Protocol, seed: int) -> tuple[LinearProbe, ...]:
    given = {"features": FEATURES, "task": "emotion4", "protocol": protocol, "seed": seed}
    return tuple(LinearProbe(**given, fold=fold) for fold in range(protocol.folds))


def drawn(protocol: Protocol, seed: int) -> RepresentationMap:
    return RepresentationMap(folds=probes(protocol, seed), seed=seed, perplexity=12)


def of(chain: object) -> Study:
    spec = load_study("reclr_lambda").table.model_copy(update={"study": "toy", "row_titles": ("row",), "baseline": None})
    return study(spec, [(Row(key="map", label=("map",)), chain)], "")


STUDY = of(lambda seed: drawn(SPEAKERS_5_FOLD, seed))


def test_a_map_is_a_map_of_the_other_protocols_folds_with_its_own_settings() -> None:
    assert STUDY.under(SPEAKERS_4_FOLD).chains["map"](3) == drawn(SPEAKERS_4_FOLD, 3)
    assert STUDY.under(SPEAKERS_4_FOLD).under(SPEAKERS_5_FOLD).chains["map"](3) == STUDY.chains["map"](3)


def test_a_plain_cross_validation_and_a_single_stage_become_plain_ones() -> None:
    for chain in (
        lambda seed: CrossValidation(folds=probes(SPEAKERS_5_FOLD, seed)),
        lambda seed: probes(SPEAKERS_5_FOLD, seed)[0],
    ):
        assert of(chain).under(SPEAKERS_4_FOLD).chains["map"](3) == CrossValidation(folds=probes(SPEAKERS_4_FOLD, 3))


def test_a_map_under_a_protocol_without_folds_is_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"row 'map' ends with a representation map, .* 'own-splits' has no folds; choose one"):
        STUDY.under(OWN_SPLITS)
    plain = of(lambda seed: CrossValidation(folds=probes(SPEAKERS_5_FOLD, seed)))
    assert isinstance(plain.under(OWN_SPLITS).chains["map"](0), LinearProbe)
