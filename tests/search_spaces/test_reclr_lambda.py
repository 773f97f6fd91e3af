"""Table 1 as a study: its rows, what they share, and what a smaller scale may change."""

import pytest

from search_spaces.reclr_lambda import STUDY
from search_spaces.scale import SCALES, Scale, find_scale
from search_spaces.search import find_search
from search_spaces.study import load_study, study_names
from trainables.errors import UserError
from trainables.identity import fingerprint

DIGESTS = {"mdd": "a", "mosei": "b"}


def stages(scale, seeds):
    chains = [scale.apply(chain(seed)) for seed in range(seeds) for chain in STUDY.chains.values()]
    return {fingerprint(stage, DIGESTS): stage for last in chains for stage in last.chain()}


def test_the_rows_are_those_of_table_1_with_chance_and_majority():
    assert list(STUDY.chains) == [
        "chance", "majority", "simclr", "coclr", "reclr_0.2", "reclr_0.4", "crnn_random", "crnn_coclr",
    ]  # fmt: skip
    published = {row.key: row.published["f1_macro"].mean for row in STUDY.table.rows if row.published}
    assert published == {
        "simclr": 76.56, "coclr": 76.63, "reclr_0.2": 77.64, "reclr_0.4": 77.90, "crnn_random": 69.83, "crnn_coclr": 74.7,
    }  # fmt: skip


def test_ten_seeds_share_four_pretrainings_one_reference_and_two_feature_sets():
    kinds = [type(stage).__name__ for stage in stages(find_scale("paper"), 10).values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "LogMelFeatures": 2,
        "EmotionReference": 1,
        "ContrastivePretraining": 4,
        "SegmentEmbeddings": 5,
        "SessionClassifier": 40,
        "CrnnClassifier": 20,
        "ChanceClassifier": 20,
    }


def test_the_objectives_differ_in_nothing_else():
    rows = [STUDY.chains[key](0).embeddings.encoder.settings() for key in ("coclr", "reclr_0.2", "reclr_0.4")]
    differing = {name for name in rows[0] if len({repr(row[name]) for row in rows}) > 1}
    assert differing == {"objective", "lambda_"}


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_a_scale_changes_defaults_and_never_the_question(scale):
    for row in ("simclr", "coclr", "reclr_0.2", "reclr_0.4"):
        full, small = (scaled.embeddings.encoder for scaled in (STUDY.chains[row](0), scale.apply(STUDY.chains[row](0))))
        for name in ("objective", "lambda_", "top_k", "temperature", "same_speaker_positives", "seed"):
            assert getattr(small, name) == getattr(full, name)


def test_what_a_study_sets_itself_no_overlay_can_touch():
    overlay = Scale("x", 1, {"SessionClassifier": {"seed": 99, "hidden_size": 3}})
    stage = overlay.apply(STUDY.chains["simclr"](5))
    assert (stage.seed, stage.hidden_size) == (5, 3)


def test_golden_fingerprints():
    """If a string moves, every cached result of that stage is invalidated: raise its version on purpose, then mend this test."""
    paper = find_scale("paper")
    assert {key: fingerprint(paper.apply(STUDY.chains[key](3)), DIGESTS) for key in GOLDEN} == GOLDEN


GOLDEN = {
    "majority": "ChanceClassifier/seed=3,strategy=most_frequent-5f1ea197e703",
    "simclr": "SessionClassifier/seed=3-517a6c2ef540",
    "reclr_0.4": "SessionClassifier/seed=3-496854dd170e",
    "crnn_coclr": "CrnnClassifier/seed=3-bb528963efd8",
}


def test_every_study_can_be_loaded_and_an_unknown_one_is_told_with_the_nearest():
    assert "reclr_lambda" in study_names()
    assert all((find_search(name) or load_study(name)).name == name for name in study_names())
    with pytest.raises(UserError, match="Did you mean 'reclr_lambda'"):
        load_study("reclr_lamda")
    with pytest.raises(UserError, match="did you mean 'paper'"):
        find_scale("papr")
