"""The search of ReCLR's settings: every point is possible at every scale, and no trial reads a test speaker's label."""

from __future__ import annotations

import itertools
import random

import pytest

from search_spaces._reclr import coclr
from search_spaces.reclr_search import PAPER, SEARCH, SPACE
from search_spaces.scale import SCALES, find_scale
from search_spaces.search import Real, Search, Whole
from trainables.chance import ChanceClassifier
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.identity import fingerprint
from trainables.protocols.catalogue import HELD_OUT_30
from trainables.session_classifier import SessionClassifier
from trainables.session_probe import SessionProbe

DIGESTS = {"mdd": "a", "mosei": "b"}
FOUND = PAPER | {"lambda_": 0.7, "top_k": 9, "mask_time_width": 30}


def corners():
    """Both ends of every range, in random combinations, each end at least once."""
    ends = [{name: getattr(kind, end) for name, kind in SPACE.items()} for end in ("low", "high")]
    draw = random.Random(0)
    return ends + [{name: draw.choice(ends)[name] for name in SPACE} for _ in range(20)]


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_every_corner_of_the_space_is_a_valid_search_at_every_scale(scale):
    for point in corners():
        for stage in SEARCH.stages(point, scale, (0, 1)):
            if isinstance(stage, ContrastivePretraining):
                assert 0 <= stage.momentum < 1
                found = {name: getattr(stage, name) for name in SPACE if name != "key_step"}
                assert found == {name: value for name, value in point.items() if name != "key_step"}


@pytest.mark.parametrize(("scale", "rungs"), [("paper", (50, 100, 200)), ("demo", (1, 2, 4)), ("smoke", (1, 2))])
def test_the_rungs_are_distinct_epochs_at_every_scale(scale, rungs):
    assert SEARCH.rung_epochs(find_scale(scale)) == rungs
    ladder = SEARCH.ladder(FOUND, find_scale(scale))
    assert [stage.last_epoch for stage in ladder] == list(rungs)
    assert all(later.resume == earlier for earlier, later in itertools.pairwise(ladder))


def test_a_searched_setting_is_the_points_and_no_scale_changes_it():
    """Demo scale has a momentum of its own."""
    whole = SEARCH.ladder(FOUND | {"key_step": 0.002}, find_scale("demo"))[-1]
    assert (whole.momentum, whole.width) == (1 - 0.002, 8)


def test_the_papers_point_is_the_papers_pretraining():
    scale = find_scale("paper")
    assert scale.apply(SEARCH.pretraining(PAPER)) == SEARCH.study(PAPER).chains["paper"](0).embeddings.encoder


def test_no_stage_of_a_trial_scores_or_reads_the_labels_of_test_speakers():
    scored = [stage for stage in SEARCH.stages(FOUND, find_scale("demo"), (0, 1, 2)) if isinstance(stage, SessionClassifier)]
    assert [(stage.scored_on, stage.protocol) for stage in scored] == [("dev", HELD_OUT_30)] * 3
    probes = [stage for stage in SEARCH.stages(FOUND, find_scale("demo"), (0,)) if isinstance(stage, SessionProbe)]
    assert [stage.protocol for stage in probes] == [HELD_OUT_30] * 3
    labelled = {SessionClassifier, SessionProbe, ChanceClassifier}
    assert {type(stage).__name__ for stage in SEARCH.stages(FOUND, find_scale("demo"), (0,)) if type(stage) not in labelled} == {
        "LogMelFeatures", "EmotionReference", "SegmentEmbeddings", "ContrastivePretraining",
    }  # fmt: skip


def test_the_table_scores_every_row_on_the_same_held_out_speakers_and_tests_against_the_paper():
    study = SEARCH.study(FOUND)
    assert list(study.chains) == ["chance", "majority", "coclr", "paper", "found"]
    assert (study.table.baseline, study.name) == ("paper", SEARCH.name)
    for chain in study.chains.values():
        assert {(chain(seed).protocol, chain(seed).scored_on, chain(seed).seed) for seed in (0, 1)} == {
            (HELD_OUT_30, "test", 0), (HELD_OUT_30, "test", 1),
        }  # fmt: skip
    assert {name: study.table.rows[-1].params[name] for name in FOUND} == FOUND


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_the_papers_row_is_the_point_that_the_search_tried_first_and_coclr_differs_from_it_in_lambda_alone(scale):
    tried, chains = SEARCH.ladder(PAPER, scale)[-1], SEARCH.study(FOUND).chains
    paper, coclr = (scale.apply(chains[row](0)).embeddings.encoder for row in ("paper", "coclr"))
    assert fingerprint(paper, DIGESTS) == fingerprint(tried, DIGESTS)
    assert {name for name, value in paper if getattr(coclr, name) != value} <= {"objective", "lambda_"}


def test_at_the_papers_scale_coclr_is_that_of_table_1():
    assert SEARCH.study(FOUND).chains["coclr"](0).embeddings.encoder == coclr()


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_the_table_takes_over_the_encoder_that_the_search_trained(scale):
    searched = SEARCH.ladder(FOUND, scale)[-1]
    tested = scale.apply(SEARCH.study(FOUND).chains["found"](0)).embeddings.encoder
    assert searched.resume is not None
    assert fingerprint(searched, DIGESTS) == fingerprint(tested, DIGESTS)


def test_the_roles_are_those_of_search_and_table():
    assert SEARCH.roles() == ("mdd", "mosei")


@pytest.mark.parametrize(
    ("kind", "ends"),
    [(Real, {"low": 1.0, "high": 1.0}), (Real, {"low": 0.0, "high": 1.0, "log": True}), (Whole, {"low": 3, "high": 2})],
)
def test_a_range_that_is_none_is_refused(kind, ends):
    with pytest.raises(ValueError, match="range"):
        kind(**ends)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": (0.5, 0.25, 1.0)}, "rising fractions that end with 1"),
        ({"paper": {"lambda_": 0.4}}, "the paper's point has"),
        ({"trials": {"paper": 60}}, "no number of trials at scale demo, smoke"),
    ],
)
def test_a_search_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Search(**{**vars(SEARCH), **changes})
