"""The studies of contrastive predictive coding: what they share, who is heard, and what the slides print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from search_spaces._cpc import METRICS
from search_spaces.scale import SCALES
from search_spaces.study import load_study, study_names
from trainables.attribute_regression import AttributeRegression
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES
from trainables.cpc_pretraining import CpcPretraining
from trainables.cross_validation import CrossValidation
from trainables.filterbank_features import FilterbankFeatures
from trainables.identity import fingerprint
from trainables.joint_regression import JointRegression
from trainables.linear_probe import LinearProbe
from trainables.protocols.catalogue import IEMOCAP_10_SPEAKERS
from trainables.representation_map import RepresentationMap
from trainables.stage import from_config, to_config

NAMES = [name for name in study_names() if name.startswith("cpc")]
TABLES = {"cpc_iemocap": "Table 1", "cpc_msp_podcast": "Table 2"}
SWEEPS = {"cpc_steps": "prediction_steps", "cpc_negatives": "negatives", "cpc_unlabelled": "share"}
SLIDES = Path(__file__).parents[3] / "shared" / "papers" / "cpc_ser_slides.txt"


def stages(name, kind, seeds=(0,), rows=None, scale="paper"):
    chains = load_study(name).chains
    built = [SCALES[scale].apply(chains[key](seed)) for seed in seeds for key in rows or chains]
    return {stage for chain in built for stage in chain.chain() if isinstance(stage, kind)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_chain_can_be_built_at_every_scale_and_rebuilt_from_its_config(name, scale):
    for chain in load_study(name).chains.values():
        stage = SCALES[scale].apply(chain(1))
        assert from_config(to_config(stage)) == stage


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_sound(name):
    study = load_study(name)
    keys = {column.key for column in study.table.columns}
    for row in study.table.rows:
        assert len(row.label) == len(study.table.row_titles)
        assert set(row.published) <= keys
    assert set(study.roles()) <= set(ROLES) & set(RECIPES)  # every role has a twin


@pytest.mark.skipif(not SLIDES.exists(), reason="the slides are not part of the project")
@pytest.mark.parametrize(("name", "title"), TABLES.items())
def test_published_numbers_are_the_slides(name, title):
    printed = re.search(rf"{title}: CCC.*?(?=Table|\Z)", SLIDES.read_text(), flags=re.DOTALL).group()
    rows = {row.label[0]: row.published for row in load_study(name).table.rows if row.published}
    assert list(rows) == ["Sup", "jointCPC", "miniCPC", "preCPC"]
    for label, published in rows.items():
        line = next(line for line in printed.splitlines() if re.search(rf"\b{label}\b", line))
        numbers = [float(number) for number in re.findall(r"\.\d{3}", line)]
        assert [number for metric in METRICS for number in (published[metric].mean, published[metric].std)] == numbers


@pytest.mark.parametrize("name", TABLES)
def test_one_pretraining_on_unlabelled_speech_serves_all_folds_and_seeds(name):
    assert len(stages(name, CpcPretraining, seeds=range(3), rows=["pre_cpc"])) == 1
    folds = 5 if name == "cpc_iemocap" else 1
    assert len(stages(name, AttributeRegression, seeds=range(3), rows=["pre_cpc"])) == 3 * folds


@pytest.mark.parametrize("name", TABLES)
def test_mini_cpc_is_pretrained_on_what_its_recogniser_is_trained_on(name):
    for recogniser in stages(name, AttributeRegression, seeds=(0, 1), rows=["mini_cpc"]):
        heard = recogniser.frames.encoder.within
        assert (heard.protocol, heard.fold, heard.seed) == (recogniser.protocol, recogniser.fold, 0)
        assert heard.utterances.corpus == recogniser.frames.corpus


def test_mini_cpc_follows_another_protocol():
    """Else it would be scored on speakers whose sound the pretraining has heard."""
    under = load_study("cpc_iemocap").under(IEMOCAP_10_SPEAKERS).chains["mini_cpc"](0)
    recognisers = [stage for stage in under.chain() if isinstance(stage, AttributeRegression)]
    assert len(recognisers) == 10
    for recogniser in recognisers:
        heard = recogniser.frames.encoder.within
        assert (heard.protocol, heard.fold) == (recogniser.protocol, recogniser.fold)


@pytest.mark.parametrize("name", TABLES)
def test_joint_training_and_supervised_training_of_its_network_differ_by_the_weight_alone(name):
    joint, alone = (stages(name, JointRegression, rows=[row]) for row in ("joint_cpc", "sup_network"))
    assert {stage.cpc_weight for stage in alone} == {0.0}
    assert {stage.with_upstream({}, cpc_weight=0.0) for stage in joint} == alone
    tuned = stages(name, JointRegression, rows=["tuned_cpc"])
    assert {stage.initial for stage in tuned} == stages(name, CpcPretraining, rows=["pre_cpc"])


@pytest.mark.parametrize("name", SWEEPS)
def test_pretrainings_that_are_compared_are_repeated_with_every_seed(name):
    """Else a difference of two rows could be that of two initialisations, however many seeds there are."""
    for key, row in zip(load_study(name).chains, load_study(name).table.rows, strict=True):
        if row.compared:
            assert {encoder.seed for encoder in stages(name, CpcPretraining, seeds=range(3), rows=[key])} == {0, 1, 2}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", TABLES)
def test_all_rows_of_a_table_have_networks_of_one_size(name, scale):
    networks = stages(name, (CpcPretraining, JointRegression), scale=scale)
    assert len({(network.size, network.encoder_layers, network.prediction_steps) for network in networks}) == 1


@pytest.mark.parametrize(("name", "setting"), SWEEPS.items())
def test_a_sweep_varies_one_setting_around_its_baseline(name, setting):
    study, default = load_study(name), CpcPretraining.model_fields[setting].default
    rows = {row.key: row.params[setting] for row in study.table.rows if setting in row.params}
    assert rows[study.table.baseline] == default
    (usual,) = stages(name, CpcPretraining, rows=[study.table.baseline])
    for key, value in rows.items():
        (found,) = stages(name, CpcPretraining, rows=[key])
        assert getattr(found, setting) == value
        assert found.with_upstream({}, **{setting: default}) == usual


def test_the_sweep_of_weights_has_one_pretraining_and_all_of_the_loss_in_every_row():
    assert len(stages("cpc_weights", CpcPretraining, seeds=range(2))) == 1
    for stage in stages("cpc_weights", AttributeRegression):
        assert min(stage.alpha, stage.beta) >= 0
        assert stage.alpha + stage.beta <= 1


@pytest.mark.parametrize("name", ["cpc_representation", "cpc_own_encoder"])
def test_representations_are_read_by_the_same_probe_on_the_same_folds(name):
    chains = load_study(name).chains
    for corpus in ("iemocap", "casia"):
        divisions = set()
        for row in ("log_mel", "random", "cpc"):
            read = chains[f"{corpus}_{row}"](2)
            assert isinstance(read, RepresentationMap)
            divisions.add(tuple((probe.task, probe.protocol, probe.fold, probe.seed) for probe in read.folds))
        guess = chains[f"{corpus}_majority"](2)
        assert isinstance(guess, CrossValidation)
        divisions.add(tuple((probe.task, probe.protocol, probe.fold, probe.seed) for probe in guess.folds))
        assert len(divisions) == 1


def test_every_seed_has_an_encoder_of_its_own_where_representations_are_compared():
    for row in ("random", "cpc"):
        encoders = stages("cpc_own_encoder", CpcPretraining, seeds=range(3), rows=[f"casia_{row}"])
        assert {encoder.seed for encoder in encoders} == {0, 1, 2}
    assert stages("cpc_own_encoder", CpcPretraining, rows=["casia_cpc"]) == stages(
        "cpc_own_encoder", CpcPretraining, rows=["iemocap_cpc"]
    )


def test_the_bar_has_the_statistics_of_the_frames_and_of_their_derivatives():
    """So that it is the row of other tables: computed once."""
    (probed,) = {probe.features.filterbanks for probe in stages("cpc_representation", LinearProbe, rows=["casia_log_mel"])}
    assert probed == FilterbankFeatures(corpus="casia", unit="utterance")


def test_golden_fingerprints():
    """If a string moves, every cached result of that stage is invalidated: raise its version on purpose, then mend this test."""
    chains = load_study("cpc_iemocap").chains
    assert {key: fingerprint(chains[key](3), DIGESTS) for key in GOLDEN} == GOLDEN


DIGESTS = {"iemocap": "a", "librispeech": "b"}

GOLDEN = {
    "sup": "CrossValidation/22cafe51512a",
    "joint_cpc": "CrossValidation/889d698d8ddf",
    "mini_cpc": "CrossValidation/a96af2d99451",
    "pre_cpc": "CrossValidation/9f2ccc790fd6",
}
