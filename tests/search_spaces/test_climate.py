"""The studies of Climate and Weather: what they share, what they never repeat, and the paper's numbers."""

from __future__ import annotations

import math

import pytest

from search_spaces import climate_emotion_analysis, climate_emotion_features, climate_emotion_models, climate_fusion
from search_spaces.scale import SCALES
from search_spaces.study import load_study
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES
from trainables.emotion_model import EmotionModel
from trainables.fusion import Fusion
from trainables.seed_batch import SeedBatch
from trainables.stage import from_config, to_config

NAMES = ("climate_emotion_models", "climate_emotion_features", "climate_fusion", "climate_emotion_analysis")
DEPRESSED, DEV = 12, 35  # of DAIC-WOZ's development participants


def stages(study, kind, seeds=range(20), scale="paper"):
    return {
        stage
        for seed in seeds
        for chain in study.chains.values()
        for stage in SCALES[scale].apply(chain(seed)).chain()
        if isinstance(stage, kind)
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_chain_can_be_built_at_every_scale_and_rebuilt_from_its_config(name, scale):
    for chain in load_study(name).chains.values():
        for seed in (0, 19):
            stage = SCALES[scale].apply(chain(seed))
            assert from_config(to_config(stage)) == stage


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_sound(name):
    study = load_study(name)
    rows, keys = {row.key: row for row in study.table.rows}, {column.key for column in study.table.columns}
    assert study.table.headline in keys
    for row in rows.values():
        assert len(row.label) == len(study.table.row_titles)
        assert set(row.published) <= keys
        assert row.against is None or rows[row.against].params["corpus"] == row.params["corpus"]
    assert set(study.roles()) <= set(ROLES) & set(RECIPES)  # every role has a twin


def test_every_maximum_that_the_paper_prints_is_an_f1_of_the_depressed_class():
    """So F1 is that of class 1, on the development participants; 20/23 = 0.8696 is printed as 0.869, cut and not rounded."""
    hits_and_calls = [(hits, calls) for hits in range(1, DEPRESSED + 1) for calls in range(hits, hits + DEV - DEPRESSED + 1)]
    scores = [1000 * 2 * hits / (DEPRESSED + calls) for hits, calls in hits_and_calls]
    specs = (climate_emotion_features.STUDY.table, climate_fusion.STUDY.table)
    printed = {row.key: row.published["dev_f1_positive_max"].mean for spec in specs for row in spec.rows if row.published}
    assert len(printed) == 10
    cut = {key for key, value in printed.items() if round(10 * value) not in map(round, scores)}
    assert cut == {"majority_vote"}
    assert round(10 * printed["majority_vote"]) in map(math.floor, scores)


def test_twenty_seeds_are_one_training_job_a_row():
    batches = stages(climate_emotion_features.STUDY, SeedBatch)
    assert len(batches) == 6
    assert len(stages(climate_emotion_features.STUDY, SeedBatch, seeds=range(40))) == 12


def test_no_fusion_repeats_a_training():
    """Three modalities and the joined features: four jobs, whatever is recombined and chosen."""
    study = climate_fusion.STUDY
    assert len(stages(study, SeedBatch)) == 4
    modalities = {stage for key in ("audio", "text", "emotion") for stage in study.chains[key](0).chain()}
    for rule in climate_fusion.RULES_OF_FUSION:
        (own,) = set(study.chains[rule](0).chain()) - modalities
        assert isinstance(own, Fusion)


def test_the_studies_share_the_emotion_models():
    """The analysis' first seed, the features' six sources and the fusion's emotion modality are models of Table 1."""
    of_table_1 = stages(climate_emotion_models.STUDY, EmotionModel, [0])
    assert len(of_table_1) == 3 * 5 + 3
    for study in (climate_emotion_features.STUDY, climate_emotion_analysis.STUDY):
        models = stages(study, EmotionModel, [0])
        assert (len(models), models <= of_table_1) == (6, True)
    assert len(stages(climate_fusion.STUDY, EmotionModel) & of_table_1) == 1


def test_the_paper_and_the_clean_rule_are_columns_of_one_training():
    for study in (climate_emotion_features.STUDY, climate_fusion.STUDY):
        keys = [column.key for column in study.table.columns]
        assert len(set(keys)) == len(keys) == 5
        assert keys[:4] == ["dev_f1_positive", "dev_f1_positive_max", "f1_positive", "f1_positive_at_best"]
