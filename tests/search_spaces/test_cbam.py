"""The studies of the attention-residual network: their divisions, what their rows share, and what Table 5 prints."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from search_spaces._cbam import DEPTHS, GENDERS, VALENCES
from search_spaces.cbam_tasks import CELLS, PRINTED, TASKS
from search_spaces.scale import SCALES
from search_spaces.study import load_study, study_names
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES
from trainables.cross_validation import CrossValidation
from trainables.mfcc_segments import MfccSegments
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.resnet_classifier import ResnetClassifier
from trainables.split_comparison import SplitComparison
from trainables.stage import from_config, to_config

NAMES = [name for name in study_names() if name.startswith("cbam")]
COMPARED = [name for name in NAMES if name != "cbam_own_speech"]
PAPER = Path(__file__).parents[3] / "shared" / "papers" / "cbam_resnet.txt"


def last_stages(name, seed=0, scale="paper"):
    return {key: SCALES[scale].apply(chain(seed)) for key, chain in load_study(name).chains.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_chain_can_be_built_at_every_scale_and_rebuilt_from_its_config(name, scale):
    for stage in last_stages(name, seed=1, scale=scale).values():
        assert from_config(to_config(stage)) == stage


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_sound(name):
    study = load_study(name)
    keys = {column.key for column in study.table.columns}
    for row in study.table.rows:
        assert len(row.label) == len(study.table.row_titles)
        assert set(row.published) <= keys
        assert row.against is None or row.against in study.chains
    assert set(study.roles()) <= set(ROLES) & set(RECIPES)  # every role has a twin


@pytest.mark.parametrize("name", COMPARED)
def test_every_row_is_divided_by_speaker_and_as_in_the_paper_with_nothing_else_between_the_two(name):
    for stage in last_stages(name).values():
        assert isinstance(stage, SplitComparison)
        assert (stage.clean.protocol.name, stage.mixed.protocol.name) == ("speakers-70-30", "segments-70-30")
        assert stage.clean.protocol.only == stage.mixed.protocol.only
        assert stage.mixed.with_upstream({}, protocol=stage.clean.protocol) == stage.clean


@pytest.mark.parametrize("name", COMPARED)
def test_a_caption_names_both_divisions_once(name):
    told = load_study(name).divided_by()
    assert told.count("speakers-70-30 (") == told.count("segments-70-30 (") == 1


@pytest.mark.parametrize("name", COMPARED)
def test_a_row_and_what_it_is_compared_with_have_the_same_segments(name):
    """Else the comparison would be of corpora, and is refused when the table is made."""
    study, stages = load_study(name), last_stages(name)
    for row in study.table.rows:
        if opponent := study.table.opponent(row):
            assert stages[row.key].clean.protocol == stages[opponent].clean.protocol


@pytest.mark.parametrize("name", NAMES)
def test_segments_are_cut_once_for_all_rows(name):
    cut = {stage for last in last_stages(name).values() for stage in last.chain() if isinstance(stage, MfccSegments)}
    assert len(cut) == 1


def test_every_cell_of_table_5_is_a_task_and_a_valence():
    stages = last_stages("cbam_tasks")
    for (task, valence), depth in product(CELLS, DEPTHS):
        stage = stages[f"{TASKS[task]}_{valence}_resnet{depth}"].clean
        assert (stage.depth, stage.attention) == (depth, "stages")
        assert dict(stage.protocol.only) == {"task": (task,), "stimulus": (valence,)}


def test_a_study_by_gender_has_every_task_and_every_depth_of_each():
    keys = load_study("cbam_gender").chains.keys()
    for gender in GENDERS:
        assert {f"{gender}_resnet{depth}" for depth in DEPTHS} <= keys
        assert {f"{gender}_{task}_resnet18" for task in TASKS.values()} <= keys


def test_severity_is_asked_by_gender_and_valence():
    stages = last_stages("cbam_severity")
    for gender, valence in product(GENDERS, VALENCES):
        stage = stages[f"{gender}_{valence}_resnet18"].clean
        assert (stage.task, dict(stage.protocol.only)) == ("severity", {"gender": (gender,), "stimulus": (valence,)})


@pytest.mark.parametrize("scale", SCALES)
def test_with_and_without_attention_are_one_network_but_for_it(scale):
    stages = last_stages("cbam_attention", scale=scale)
    for depth in DEPTHS:
        plain = stages[f"resnet{depth}"].clean
        assert isinstance(plain, ResnetClassifier)
        for attention in ("stages", "blocks"):
            assert stages[f"resnet{depth}_{attention}"].clean == plain.with_upstream({}, attention=attention)


def test_another_protocol_keeps_what_a_row_is_about_and_leaves_the_papers_columns_out():
    under = load_study("cbam_gender").under(SPEAKERS_5_FOLD)
    for key, chain in under.chains.items():
        folds = chain(0)
        assert isinstance(folds, CrossValidation)
        assert folds.folds[0].protocol.name == SPEAKERS_5_FOLD.name
        assert dict(folds.folds[0].protocol.only)["gender"] == (key.split("_")[0],)
    assert not any("mixed" in column.key for column in under.table.columns)


@pytest.mark.skipif(not PAPER.exists(), reason="the paper is not part of the project")
def test_published_numbers_are_the_papers():
    printed = PAPER.read_text().partition("Table 5. Model classification")[2]
    metrics = {
        "Accuracy": "f1_micro",
        "Precision": "precision_positive",
        "Recall": "recall_positive",
        "F1 score": "f1_positive",
        "AUC": "auc",
    }
    for depth in DEPTHS:
        _, _, rest = printed.partition(f"ResNet{depth} + CBAM")
        for title, metric in metrics.items():
            line = re.search(rf"^{title} (.+)$", rest, flags=re.MULTILINE).group(1)
            assert tuple(map(float, line.split())) == PRINTED[depth][metric]
