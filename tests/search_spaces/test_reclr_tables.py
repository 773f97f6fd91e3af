"""The tables of the ReCLR paper as studies: what each changes, and what none may."""

import pytest

from search_spaces.reclr_lambda import CURVE
from search_spaces.reclr_lambda import STUDY as TABLE_1
from search_spaces.reclr_speaker_positives import STUDY as TABLE_2
from search_spaces.scale import SCALES
from search_spaces.study import load_study, study_names
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES
from trainables.errors import UserError
from trainables.stage import from_config, to_config

NAMES = [name for name in study_names() if name.startswith("reclr_") and name != "reclr_search"]
STUDIES = [*map(load_study, NAMES), CURVE]


def pretraining(study, row):
    return study.chains[row](0).embeddings.encoder


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_is_sound(study):
    rows = {row.key: row for row in study.table.rows}
    assert study.table.headline in {column.metric for column in study.table.columns}
    assert rows[study.table.baseline].compared
    assert not rows["chance"].compared
    assert not rows["majority"].compared
    for row in rows.values():
        assert len(row.label) == len(study.table.row_titles)
        assert set(row.published) <= {column.metric for column in study.table.columns}
    assert set(study.roles()) <= set(ROLES) & set(RECIPES)  # every role has a twin


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_chain_of_a_study_can_be_built_at_every_scale_and_rebuilt_from_its_config(study, scale):
    for chain in study.chains.values():
        stage = scale.apply(chain(1))
        assert from_config(to_config(stage)) == stage
        assert stage.seed == 1


def test_table_2_differs_from_table_1_in_the_positives_alone():
    for row in ("simclr", "coclr", "reclr_0.4"):
        one, two = pretraining(TABLE_1, row), pretraining(TABLE_2, row)
        assert two == one.model_copy(update={"same_speaker_positives": False})


@pytest.mark.parametrize(("study", "setting"), [("reclr_top_k", "top_k"), ("reclr_temperature", "temperature")])
def test_a_one_dimensional_sweep_moves_one_setting_and_passes_through_the_papers(study, setting):
    found = load_study(study)
    points = {row.key: pretraining(found, row.key) for row in found.table.rows if row.compared}
    assert len({point.model_copy(update={setting: 5 if setting == "top_k" else 1.0}) for point in points.values()}) == 1
    assert {row.key: row.params[setting] for row in found.table.rows if row.compared} == {
        key: getattr(point, setting) for key, point in points.items()
    }
    assert points[found.table.baseline] == pretraining(TABLE_1, "reclr_0.4")


def test_the_curve_over_lambda_contains_the_table():
    assert {TABLE_1.chains[row](3) for row in ("simclr", "coclr", "reclr_0.2", "reclr_0.4")} <= {
        chain(3) for chain in CURVE.chains.values()
    }
    assert sorted(row.params["lambda_"] for row in CURVE.table.rows if "lambda_" in row.params) == [n / 10 for n in range(11)]


def test_a_study_without_a_curve_says_which_have_one():
    with pytest.raises(UserError, match=r"has no curve; .* reclr_lambda"):
        load_study("reclr_mosei", curve=True)


def test_tables_3_and_4_fine_tune_the_very_encoders_of_table_1():
    for name, rows in (("reclr_iemocap", ("simclr", "coclr", "reclr_0.2", "reclr_0.4")), ("reclr_mosei", ("coclr", "reclr_0.4"))):
        study = load_study(name)
        assert study.chains["random"](0).initial is None
        for row in rows:
            assert study.chains[row](0).initial == pretraining(TABLE_1, row)
