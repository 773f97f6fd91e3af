"""The studies of supervised contrastive fine-tuning: what they share, who is tested, and the paper's settings."""

from __future__ import annotations

import pytest

from orchestrator.precomputing import precompute
from search_spaces.scale import SCALES
from search_spaces.study import load_study, study_names
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES
from trainables.cross_validation import CrossValidation
from trainables.direct_fine_tuning import DirectFineTuning
from trainables.errors import UserError
from trainables.identity import fingerprint, weights_key
from trainables.initial_encoder import PUBLIC
from trainables.pooled_classifier import PooledClassifier
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.stage import from_config, to_config
from trainables.supervised_contrastive import SupervisedContrastive

NAMES = [name for name in study_names() if name.startswith("supcon")]
SWEEPS = {"supcon_temperature": "temperature", "supcon_alpha": "alpha", "supcon_margin": "margin"}


def stages(name, kind, seeds=(0,), scale="paper"):
    chains = load_study(name).chains.values()
    return {
        stage for seed in seeds for chain in chains for stage in SCALES[scale].apply(chain(seed)).chain() if isinstance(stage, kind)
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_chain_can_be_built_at_every_scale_and_rebuilt_from_its_config(name, scale):
    for chain in load_study(name).chains.values():
        stage = SCALES[scale].apply(chain(1))
        assert from_config(to_config(stage)) == stage


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_sound(name):
    study = load_study(name)
    rows, keys = {row.key: row for row in study.table.rows}, {column.key for column in study.table.columns}
    assert study.table.headline in keys
    for row in rows.values():
        assert len(row.label) == len(study.table.row_titles)
        assert set(row.published) <= keys
    assert set(study.roles()) <= set(ROLES) & set(RECIPES)  # every role has a twin


def test_stage_one_of_a_fold_serves_both_corpora():
    """Of each encoder five with mixed folds and five by speaker: CASIA's four folds by speaker are among IEMOCAP's five."""
    both = stages("supcon_cross_corpus", SupervisedContrastive)
    assert len(both) == 2 * (5 + 5)
    assert stages("supcon_iemocap", SupervisedContrastive) == both
    assert len(stages("supcon_cross_corpus", PooledClassifier)) == 2 * (5 + 5 + 5 + 4)


@pytest.mark.parametrize("name", NAMES)
def test_stage_one_is_divided_as_the_stage_that_is_scored(name):
    for scored in stages(name, PooledClassifier):
        (own,) = [source for source in scored.tuned.sources if source.utterances == scored.utterances]
        assert (own.protocol, own.fold, own.seed) == (scored.protocol, scored.fold, scored.seed)


def test_the_method_has_the_papers_settings():
    """Section 4.2, and sections 2.2 and 2.3 for the loss."""
    (one,) = {tuple(stage.settings().items()) for stage in stages("supcon_iemocap", SupervisedContrastive)}
    loss = {"temperature": 0.07, "alpha": 0.5, "margin": 0.4}
    training = {"epochs": 50, "batch_size": 32, "learning_rate": 1e-4, "encoder_rate": 0.4, "halve_from": 25, "halve_every": 5}
    assert (loss | training).items() <= dict(one).items()
    two = next(iter(stages("supcon_iemocap", PooledClassifier)))
    assert (two.epochs, two.batch_size, two.learning_rate) == (10, 32, 5e-4)
    direct = next(iter(stages("supcon_iemocap", DirectFineTuning)))
    assert (direct.epochs, direct.batch_size, direct.learning_rate, direct.encoder_rate) == (50, 32, 1e-3, 0.4)


@pytest.mark.parametrize(("name", "setting"), SWEEPS.items())
def test_a_sweep_varies_one_setting_around_the_papers_value(name, setting):
    study, default = load_study(name), SupervisedContrastive.model_fields[setting].default
    rows = {row.key: row.params[setting] for row in study.table.rows if row.compared}
    assert rows[study.table.baseline] == default
    for key, value in rows.items():
        found = {stage for stage in study.chains[key](0).chain() if isinstance(stage, SupervisedContrastive)}
        usual = {stage for stage in study.chains[study.table.baseline](0).chain() if isinstance(stage, SupervisedContrastive)}
        assert {stage.with_upstream({}, **{setting: default}) for stage in found} == usual
        assert {getattr(stage, setting) for stage in found} == {value}


def test_frozen_convolutions_are_computed_once_for_all_trainings_of_an_encoder():
    study = load_study("supcon_cross_corpus")
    targets, made = precompute([chain(0) for chain in study.chains.values()])
    assert all(isinstance(each.stage, ConvolutionalFeatures) for each in made)
    assert len(made) == 2 * 2  # two encoders, two corpora
    trained = {stage for target in targets for stage in target.chain() if isinstance(stage, SupervisedContrastive)}
    assert all(len(stage.convolved) == 2 for stage in trained)
    assert all(isinstance(target, CrossValidation) for target in targets)


@pytest.mark.parametrize("name", ["supcon_iemocap", "supcon_cross_corpus"])
def test_a_table_of_two_divisions_cannot_be_put_under_one(name):
    with pytest.raises(UserError, match="'iemocap_mixed_majority' and 'iemocap_speakers_majority' would be the same"):
        load_study(name).under(SPEAKERS_5_FOLD)


def test_a_sweep_can_be_put_under_another_division_and_stage_one_follows():
    under = load_study("supcon_temperature").under(SPEAKERS_5_FOLD)
    scored = [stage for stage in under.chains["temperature_0.1"](0).chain() if isinstance(stage, PooledClassifier)]
    assert len(scored) == 5
    assert all(stage.tuned.sources[0].protocol == SPEAKERS_5_FOLD for stage in scored)


def test_golden_fingerprints():
    """If a string moves, every cached result of that stage is invalidated: raise its version on purpose, then mend this test."""
    chains = load_study("supcon_cross_corpus").chains
    assert {key: fingerprint(chains[key](3), DIGESTS) for key in GOLDEN} == GOLDEN


DIGESTS = {"iemocap": "a", "casia": "b"} | {weights_key(name): "c" for name in PUBLIC.values()}

GOLDEN = {
    "iemocap_mixed_log_mel": "CrossValidation/9600b2daa8fe",
    "iemocap_mixed_hubert_ft": "CrossValidation/4539cc3fd0d9",
    "casia_speakers_wavlm_two_stage": "CrossValidation/9e974c029976",
}
