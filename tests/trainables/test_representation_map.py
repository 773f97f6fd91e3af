"""Contract of trainables/representation_map.py: the picture, its numbers, and who may rest on what it has seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler

from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage.manifests import inventory, kinds, utterances
from trainables import representation_map
from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.identity import fingerprint
from trainables.leakage.chain import ChainAudit, scored_stages
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.exposure import Exposure
from trainables.linear_probe import LinearProbe
from trainables.pictures import FIGURES
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.representation_figure import Probe, map_figure
from trainables.representation_map import RepresentationMap
from trainables.stage import Stage, from_config, to_config
from trainables.turn_statistics import TurnStatistics

FEATURES = TurnStatistics(filterbanks=FilterbankFeatures(corpus="iemocap", unit="utterance"))
CODES = ("ang", "hap", "sad")


def probe(fold: int, **settings) -> LinearProbe:
    return LinearProbe(**{"features": FEATURES, "task": "emotion4", "protocol": SPEAKERS_5_FOLD, "fold": fold, **settings})


def of_folds(**settings) -> RepresentationMap:
    return RepresentationMap(folds=tuple(probe(fold) for fold in range(5)), **settings)


def write(folder: Path, units: int = 90, speakers: int = 10, emotion: float = 0.0, speaker: float = 0.0, seed: int = 0) -> Path:
    """Utterances in eight dimensions of unlike scale: the first three tell the emotion, the others the speaker."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    voice, felt = np.arange(units) % speakers, np.arange(units) // speakers % 3
    vectors = rng.standard_normal((units, 8))
    vectors[:, :3] += emotion * np.eye(3)[felt]
    vectors[:, 3:] += speaker * rng.standard_normal((speakers, 5))[voice]
    table = pd.DataFrame({"unit": [f"u{number:04d}" for number in range(units)], "position": 0, "seconds": 1.0, "split": ""})
    table = table.assign(session="s", speaker=[f"v{number:02d}" for number in voice], emotion=[CODES[number] for number in felt])
    table.to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "embeddings.npy", (vectors * [1, 10, 100, 1, 0.01, 1, 1, 5] + 7).astype(np.float32))
    return folder


@dataclass
class Drawn:
    """What a map's stage has written."""

    directory: Path

    @property
    def metrics(self) -> dict[str, float]:
        return json.loads((self.directory / "metrics.json").read_text())

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.directory / "map.parquet")


def draw(corpus: Path, directory: Path, **settings) -> Drawn:
    """Run the probes and the map that puts them together."""
    stage, results = of_folds(**settings), {FEATURES: corpus}
    directory.mkdir()
    for fold in stage.folds:
        fold.run(FakeContext(directory / str(fold.fold), results))
        results[fold] = directory / str(fold.fold)
    stage.run(FakeContext(directory / "map", results))
    return Drawn(directory / "map")


class Shown(NamedTuple):
    """What a figure was drawn with."""

    title: str
    emotion: Probe
    speaker: Probe


def remembered(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What the figures show that are drawn from now on."""
    found = []

    def remember(table: pd.DataFrame, title: str, emotions: Sequence[str], emotion: Probe, speaker: Probe) -> object:
        found.append(Shown(title, emotion, speaker))
        return map_figure(table, title, emotions, emotion, speaker)

    monkeypatch.setattr(representation_map, "map_figure", remember)
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("corpus") / "whole", emotion=2.0, speaker=2.0)


@pytest.fixture(scope="module")
def drawn(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw(corpus, tmp_path_factory.mktemp("drawn") / "map")


def test_it_has_what_a_cross_validation_has_and_a_place_for_every_utterance_that_is_scored(corpus: Path, drawn: Drawn) -> None:
    predictions, segments = pd.read_parquet(drawn.directory / "predictions.parquet"), pd.read_parquet(corpus / "segments.parquet")
    assert {"uar", "uar_fold_mean", "speaker_uar"} <= drawn.metrics.keys()
    assert drawn.table.columns.tolist() == ["unit", "x", "y", "emotion", "speaker"]
    assert drawn.table["unit"].tolist() == sorted(predictions["unit"])
    assert drawn.table["speaker"].tolist() == segments["speaker"].tolist()
    named = dict(zip(CODES, ("angry", "happy", "sad"), strict=True))
    assert drawn.table["emotion"].tolist() == segments["emotion"].map(named).tolist()
    assert np.isfinite(drawn.table[["x", "y"]].to_numpy()).all()


def test_utterances_that_no_fold_scores_are_not_on_the_map(corpus: Path, drawn: Drawn, tmp_path: Path) -> None:
    whole = pd.read_parquet(drawn.directory / "predictions.parquet")
    results = {FEATURES: corpus}
    for fold in of_folds().folds:
        results[fold] = tmp_path / str(fold.fold)
        results[fold].mkdir()
        whole[fold.fold : 60 : 5].to_parquet(results[fold] / "predictions.parquet", index=False)
    of_folds().run(FakeContext(tmp_path / "map", results))
    assert set(Drawn(tmp_path / "map").table["unit"]) == set(whole["unit"][:60])


def test_the_same_inputs_give_the_same_bytes(corpus: Path, drawn: Drawn, tmp_path: Path) -> None:
    again = draw(corpus, tmp_path / "again")
    for name in ("map.parquet", f"{FIGURES}/map.png", "metrics.json"):
        assert (again.directory / name).read_bytes() == (drawn.directory / name).read_bytes(), name


@pytest.fixture(scope="module")
def of_speakers(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Vectors that tell ten speakers and no emotion."""
    folder = tmp_path_factory.mktemp("speakers")
    return draw(write(folder / "corpus", units=150, speaker=4.0), folder / "map", perplexity=5)


@pytest.fixture(scope="module")
def of_emotions(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Vectors that tell three emotions and no speaker."""
    folder = tmp_path_factory.mktemp("emotions")
    return draw(write(folder / "corpus", units=150, emotion=4.0), folder / "map", perplexity=5)


def test_utterances_that_are_alike_lie_together(of_speakers: Drawn, of_emotions: Drawn) -> None:
    def alike(found: Drawn, column: str) -> float:
        """Of each point's three nearest on the map, the share that has its value."""
        places, values = found.table[["x", "y"]].to_numpy(), found.table[column].to_numpy()
        distance = np.linalg.norm(places[:, None] - places[None], axis=2) + np.where(np.eye(len(places)), np.inf, 0)
        return float((values[distance.argsort(axis=1)[:, :3]] == values[:, None]).mean())

    assert alike(of_speakers, "speaker") > 0.8
    assert alike(of_emotions, "emotion") > 0.8
    assert alike(of_speakers, "emotion") < 0.5  # by chance a third
    assert alike(of_emotions, "speaker") < 0.25  # by chance a tenth


def test_each_number_is_high_where_vectors_tell_it_and_at_chance_where_they_do_not(of_speakers: Drawn, of_emotions: Drawn) -> None:
    assert of_speakers.metrics["speaker_uar"] > 0.8
    assert of_emotions.metrics["speaker_uar"] < 0.25  # of ten
    assert of_emotions.metrics["uar"] > 0.9
    assert of_speakers.metrics["uar"] < 0.5  # of three


def test_the_speakers_number_is_that_of_other_utterances_of_theirs_written_out(corpus: Path, drawn: Drawn) -> None:
    """Against an independent formulation; its folds are dealt in turn and not drawn, so that which utterances teach is another."""
    vectors, speaker = np.load(corpus / "embeddings.npy"), drawn.table["speaker"].to_numpy()
    said = np.empty_like(speaker)
    for fold in range(5):
        test = np.arange(90) // 10 % 5 == fold
        scale = StandardScaler().fit(vectors[~test])
        fitted = LogisticRegression(C=0.1, class_weight="balanced").fit(scale.transform(vectors[~test]), speaker[~test])
        said[test] = fitted.predict(scale.transform(vectors[test]))
    assert drawn.metrics["speaker_uar"] == pytest.approx(recall_score(speaker, said, average="macro"), abs=0.1)


def test_speakers_of_fewer_than_five_utterances_are_on_the_map_and_not_in_the_speakers_number(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    table = pd.read_parquet(corpus / "segments.parquet")
    table.loc[np.arange(0, 90, 10), "speaker"] = ["rare"] * 4 + ["seldom"] * 5  # who were v00
    table.to_parquet(fewer / "segments.parquet", index=False)
    np.save(fewer / "embeddings.npy", np.load(corpus / "embeddings.npy"))
    told = remembered(monkeypatch)
    assert {"rare", "seldom"} < set(draw(fewer, tmp_path / "map").table["speaker"])
    assert told[0].speaker.classes == 10  # with 'rare' it would be of eleven


def test_fewer_than_two_speakers_with_five_utterances_are_refused_in_words(tmp_path: Path) -> None:
    corpus = write(tmp_path / "a", units=42, speakers=10)  # two speakers have five, the others four
    table = pd.read_parquet(corpus / "segments.parquet")
    table = table[table["unit"] != "u0041"]
    table.to_parquet(corpus / "segments.parquet", index=False)
    with pytest.raises(UserError, match=r"1 of 10 speakers have 5 utterances or more among the 41 of the map; .* needs two: take"):
        draw(corpus, tmp_path / "map")


def test_fewer_than_ten_utterances_are_refused_in_words(corpus: Path, drawn: Drawn, tmp_path: Path) -> None:
    whole = pd.read_parquet(drawn.directory / "predictions.parquet")
    results = {FEATURES: corpus}
    for fold in of_folds().folds:
        results[fold] = tmp_path / str(fold.fold)
        results[fold].mkdir()
        whole[fold.fold : 9 : 5].to_parquet(results[fold] / "predictions.parquet", index=False)
    with pytest.raises(UserError, match="9 utterances are scored; a map needs 10: take a larger corpus"):
        of_folds().run(FakeContext(tmp_path / "map", results))


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_vectors_that_are_not_finite_or_all_alike_are_refused_in_words(
    corpus: Path, drawn: Drawn, tmp_path: Path, value: float
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    pd.read_parquet(corpus / "segments.parquet").to_parquet(bare / "segments.parquet", index=False)
    np.save(bare / "embeddings.npy", np.full((90, 8), value, np.float32))
    folds = {fold: drawn.directory.parent / str(fold.fold) for fold in of_folds().folds}
    with pytest.raises(UserError, match="turn statistics: the vectors of the utterances are not finite, or all alike"):
        of_folds().run(FakeContext(tmp_path / "map", {FEATURES: bare, **folds}))


def test_of_more_utterances_than_a_map_has_room_for_some_are_drawn_by_the_seed_and_the_title_says_so(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a perplexity that so few utterances cannot have is lowered, which the title says too."""
    monkeypatch.setattr(representation_map, "MOST_UNITS", 70)
    told = remembered(monkeypatch)
    first, other = (draw(corpus, tmp_path / str(seed), seed=seed) for seed in range(2))
    assert len(first.table) == len(other.table) == 70
    assert set(first.table["unit"]) != set(other.table["unit"])
    assert len(pd.read_parquet(first.directory / "predictions.parquet")) == 90, "emotion is scored of all"
    assert first.metrics["uar"] == other.metrics["uar"] == told[0].emotion.uar
    assert told[0].title == "t-SNE of 70 of 90 utterances of iemocap: turn statistics, filterbank features, perplexity 23"


def test_the_title_has_the_perplexity_and_the_numbers_that_are_recorded(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = remembered(monkeypatch)
    found = draw(corpus, tmp_path / "map", perplexity=5)
    title = "t-SNE of 90 utterances of iemocap: turn statistics, filterbank features, perplexity 5"
    assert told == [(title, (found.metrics["uar"], 3), (found.metrics["speaker_uar"], 10))]


def test_each_panel_names_its_colours_and_tells_its_number_beside_chance() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((78, 2)), columns=["x", "y"])
    table["emotion"] = [("angry", "sad")[number % 2] for number in range(78)]
    table["speaker"] = [f"v{min(number, 11):02d}" for number in range(12) for _ in range(number + 1)]
    figure = map_figure(table, "title", ("angry", "happy", "sad"), Probe(0.5, 2), Probe(0.9, 12))
    left, right = figure.axes
    assert left.get_title() == "by emotion; linear probe of 2 emotions: UAR 50.0 % (chance 50.0 %)"
    assert right.get_title() == "by speaker; linear probe of 12 speakers: UAR 90.0 % (chance 8.3 %)"
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["angry", "sad"]
    shown = [text.get_text() for text in right.get_legend().get_texts()]
    assert shown == ["2 others", *(f"v{number:02d}" for number in range(2, 12))], "the ten that speak most have names"
    looks = {(str(points.get_facecolor()), str(points.get_paths()[0].vertices)) for points in right.collections}
    assert len(looks) == 11, "no two look alike"
    for axes in (left, right):
        assert (axes.get_aspect(), len(axes.get_xticks()), len(axes.get_yticks())) == (1.0, 0, 0)
        assert sum(len(points.get_offsets()) for points in axes.collections) == 78


def test_any_speakers_name_can_be_shown(tmp_path: Path) -> None:
    names = ["_first", "$5 of $6", "MSP-PODCAST_speaker_0123", "MSP-PODCAST_speaker_0124"]
    table = pd.DataFrame({"x": range(4), "y": range(4), "emotion": "sad", "speaker": names})
    figure = map_figure(table, "title", ("sad",), Probe(1.0, 1), Probe(0.9, 4))
    figure.savefig(tmp_path / "drawn.png")
    shown = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert shown == [r"\$5 of \$6", "…_speaker_0123", "…_speaker_0124", "_first"]


def test_probes_of_a_diagnosis_are_refused_and_so_is_what_is_no_linear_probe() -> None:
    sessions = TurnStatistics(filterbanks=FilterbankFeatures(corpus="mdd", unit="session"))
    with pytest.raises(ValidationError, match="a map is coloured by emotion, and the probes are of 'depression'"):
        RepresentationMap(folds=tuple(probe(fold, features=sessions, task="depression") for fold in range(5)))
    with pytest.raises(ValidationError):
        RepresentationMap(folds=(of_folds(),) * 2)


def test_it_is_rebuilt_from_its_config_and_its_seed_is_part_of_its_identity() -> None:
    stage = of_folds(seed=3)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    assert fingerprint(stage, {"iemocap": "a"}) != fingerprint(of_folds(), {"iemocap": "a"})


# -- the leakage audit -------------------------------------------------------------------------------------------------------------


class Read(LinearProbe):
    """A probe that reads what a map has made, as no stage should."""

    map: Stage

    def run(self, context: object) -> None: ...


def audited(stage: Stage) -> set[str]:
    table = utterances(splits=False)
    audit = ChainAudit({"iemocap": AuditedCorpus("iemocap", table, inventory(table))})
    return {kind for scored in scored_stages(stage) for kind in kinds(audit.find(scored))}


def test_it_is_audited_as_its_folds_are_and_raises_no_alarm() -> None:
    assert scored_stages(of_folds()) == of_folds().folds
    assert audited(of_folds()) == set()


def test_what_would_rest_on_a_map_is_told_to_have_seen_who_is_scored() -> None:
    assert of_folds().exposure() == Exposure(FEATURES, fitted="all", task="emotion4", normalised="all")
    reading = Read(features=FEATURES, task="emotion4", protocol=SPEAKERS_5_FOLD, map=of_folds())
    assert audited(reading) >= {"supervised on test speakers", "normalisation"}


def test_what_the_probes_rest_on_is_audited_through_it() -> None:
    """A stage upstream of a fold that is trained on speakers of another division."""
    leaking = Read(features=FEATURES, task="emotion4", protocol=SPEAKERS_5_FOLD, map=probe(1), fold=0)
    folds = tuple(leaking.with_upstream({}, fold=fold) for fold in range(5))
    assert "supervised on test speakers" in audited(RepresentationMap(folds=folds))
