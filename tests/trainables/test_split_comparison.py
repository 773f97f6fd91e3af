"""A comparison of splits: the clean side is the result, the other one stands beside it, and nothing but the protocol differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import accuracy_score

from search_spaces.scale import Scale
from tests.divided_toys import Runner
from trainables.divided import DividedStage
from trainables.identity import fingerprint
from trainables.leakage.exposure import Exposure
from trainables.metrics import scored_sets, write_predictions
from trainables.protocols import Protocol, restricted
from trainables.protocols.catalogue import DAIC_OFFICIAL, IEMOCAP_MIXED_5, SEGMENTS_70_30, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.split_comparison import SplitComparison
from trainables.stage import Context, CorpusRole, Stage, from_config, to_config
from trainables.tasks import TASKS
from trainables.units import read_units

DIGESTS = {"mdd": "d" * 16}
FILES = ("predictions", "predictions_subject", "predictions_vote", "predictions_mixed", "predictions_mixed_subject")


class Segments(Stage):
    """Twelve speakers, by turns healthy and depressed, with ten segments each, half of them of an interview."""

    label: ClassVar[str] = "segments"
    unit: ClassVar[str] = "segment"
    accelerated: ClassVar[bool] = False
    corpus: CorpusRole = "mdd"

    def exposure(self) -> Exposure:
        return Exposure()

    def run(self, context: Context) -> None:
        number = pd.RangeIndex(120).to_series()
        speaker = "p" + (number // 10).astype(str).str.zfill(2)
        task = number.map(lambda n: ("interview", "reading")[n % 2])
        cut_from = speaker + task
        table = pd.DataFrame({"unit": cut_from + "#" + number.astype(str), "position": 0, "seconds": 4.0, "cut_from": cut_from})
        table = table.assign(speaker=speaker, session=speaker, split="", task=task, depressed=(number // 10 % 2).astype(float))
        table.to_parquet(context.directory / "segments.parquet", index=False)
        (context.directory / "metrics.json").write_text("{}")


class Voices(DividedStage):
    """Knows the diagnosis of whom it has heard in training, and takes everybody else for depressed: it tells voices alone."""

    label: ClassVar[str] = "voices"
    accelerated: ClassVar[bool] = False
    features: Stage = Segments()
    sure: float = 0.9

    def exposure(self) -> Exposure:
        return Exposure(self.features, "training", "depression")

    def run(self, context: Context) -> None:
        units = read_units(context.result(self.features), TASKS["depression"])
        heard = self.sets(units)["train"]
        known = dict(zip(heard.table["speaker"], heard.truth, strict=True))
        for name, scored in scored_sets(self, units).items():
            positive = np.array([known.get(speaker, 1) for speaker in scored.table["speaker"]])
            positive = np.where(positive == 1, self.sure, 1 - self.sure)
            write_predictions(context.directory, scored, np.stack([1 - positive, positive], axis=1), name=name)
        metrics = json.loads((context.directory / "metrics.json").read_text())
        (context.directory / "metrics.json").write_text(json.dumps(metrics | {"epoch": 7.0}))


class Silent(Voices):
    """Does not say what it predicts."""

    def exposure(self) -> Exposure:
        return Exposure()


def compared(seed: int = 0, clean: Protocol = SPEAKERS_70_30, mixed: Protocol = SEGMENTS_70_30, **only: str) -> SplitComparison:
    sides = (Voices(protocol=restricted(protocol, **only), seed=seed) for protocol in (clean, mixed))
    return SplitComparison(**dict(zip(("clean", "mixed"), sides, strict=True)))


@pytest.fixture
def drawn(monkeypatch) -> list:
    """What was given to be drawn."""
    asked: list = []
    monkeypatch.setattr("trainables.score_figure.score_pictures", lambda *given: asked.append(given))
    return asked


def read(folder: Path, *names: str) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}


def test_what_tells_voices_alone_is_at_chance_by_speaker_and_perfect_where_segments_are_mixed(tmp_path, drawn) -> None:
    runner = Runner(tmp_path)
    metrics = json.loads((runner.run(compared()) / "metrics.json").read_text())
    assert (metrics["f1_micro"], metrics["mixed_f1_micro"]) == (0.5, 1.0)
    assert (metrics["subject_f1_micro"], metrics["vote_f1_micro"], metrics["mixed_subject_f1_micro"]) == (0.5, 0.5, 1.0)


def test_the_clean_sides_predictions_and_numbers_are_its_own_and_the_others_stand_beside(tmp_path, drawn) -> None:
    runner, stage = Runner(tmp_path), compared(task="interview")
    whole = runner.run(stage)
    clean, mixed = runner.place(stage.clean), runner.place(stage.mixed)
    expected = read(clean, *FILES[:3]) | {
        f"predictions_mixed{tail}": read(mixed, f"predictions{tail}")[f"predictions{tail}"] for tail in ("", "_subject")
    }
    found = read(whole, *FILES)
    assert {name: table.equals(expected[name]) for name, table in found.items()} == dict.fromkeys(FILES, True)
    assert sorted(file.stem for file in whole.glob("*.parquet")) == sorted(FILES)
    metrics = json.loads((whole / "metrics.json").read_text())
    own, beside = (json.loads((place / "metrics.json").read_text()) for place in (clean, mixed))
    assert {name: value for name, value in metrics.items() if not name.startswith("mixed_")} == own
    scores = {name: value for name, value in beside.items() if not name.startswith("vote_") and name != "epoch"}
    assert {name.removeprefix("mixed_"): value for name, value in metrics.items() if name.startswith("mixed_")} == scores
    table = found["predictions_mixed"]
    assert metrics["mixed_f1_micro"] == accuracy_score(table["truth"], table["predicted"])
    assert own["epoch"] == 7.0


def test_both_sides_are_scored_on_the_units_that_they_are_restricted_to(tmp_path, drawn) -> None:
    found = read(Runner(tmp_path).run(compared(task="reading")), *FILES)
    assert {name: len(found[name]) for name in FILES} == {
        "predictions": 20,  # four of the speakers, five segments each
        "predictions_subject": 4,
        "predictions_vote": 4,
        "predictions_mixed": 18,
        "predictions_mixed_subject": found["predictions_mixed"]["speaker"].nunique(),
    }
    assert all(found[name]["unit"].str.contains("reading").all() for name in ("predictions", "predictions_mixed"))


def test_a_score_that_is_younger_than_a_sides_result_is_had_all_the_same(tmp_path, drawn) -> None:
    runner, stage = Runner(tmp_path), compared()
    for side in (stage.clean, stage.mixed):
        (runner.run(side) / "metrics.json").write_text('{"epoch": 3.0}')
    metrics = json.loads((runner.run(stage) / "metrics.json").read_text())
    assert metrics["epoch"] == 3.0
    assert {"uar", "subject_uar", "vote_uar", "mixed_uar", "mixed_subject_uar"} <= set(metrics)


def test_both_sides_are_drawn_by_segment_and_by_subject_under_the_names_of_their_protocols(tmp_path, drawn) -> None:
    runner = Runner(tmp_path)
    whole = runner.run(compared(task="interview", seed=2))
    ((_, tables, classes, title),) = drawn
    names = ("predictions", "predictions_mixed", "predictions_subject", "predictions_mixed_subject")
    titles = ("speakers-70-30", "segments-70-30", "speakers-70-30, by subject", "segments-70-30, by subject")
    expected = dict(zip(titles, read(whole, *names).values(), strict=True))
    assert list(tables) == list(titles)
    assert all(tables[name].equals(expected[name]) for name in titles)
    assert classes == ("healthy", "depressed")
    assert title == "voices: depression, task interview, seed 2"


def test_the_picture_is_a_part_of_the_result(tmp_path) -> None:
    folder = Runner(tmp_path).run(compared()) / "figures"
    assert {file.name for file in folder.iterdir()} == {"confusion.png", "roc.png"}


def test_sides_that_are_unlike_or_stand_in_each_others_place_are_refused() -> None:
    clean, mixed = compared().clean, compared().mixed
    for sides, told in (
        ((mixed, clean), "clean must be divided by speaker or conversation and mixed by unit; found 'segments-70-30' by unit"),
        ((clean, clean), "'speakers-70-30' by speaker and 'speakers-70-30' by speaker"),
        ((clean, mixed.with_upstream({}, seed=1)), "alike but for their protocol"),
        ((clean, mixed.with_upstream({}, sure=0.8)), "alike but for their protocol"),
        ((clean, compared(task="reading").mixed), "the same units; found everything and task reading"),
        ((Silent(), Silent(protocol=SEGMENTS_70_30)), "Silent does not say in exposure"),
    ):
        with pytest.raises(ValidationError, match=told):
            SplitComparison(clean=sides[0], mixed=sides[1])
    assert SplitComparison(clean=Voices(protocol=SPEAKERS_5_FOLD), mixed=Voices(protocol=IEMOCAP_MIXED_5)).task == "depression"


def test_its_sides_are_upstream_stages_that_scales_reach_and_it_survives_json() -> None:
    stage = compared(task="interview")
    assert stage.upstream() == {"clean": stage.clean, "mixed": stage.mixed}
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    scaled = Scale("half", 1, {"Voices": {"sure": 0.6}}).apply(stage)
    assert (scaled.clean.sure, scaled.mixed.sure) == (0.6, 0.6)


def test_a_restriction_is_another_computation_and_none_leaves_every_fingerprint_as_it_was() -> None:
    assert fingerprint(Voices(protocol=DAIC_OFFICIAL), DIGESTS).startswith("Voices/protocol=e986600b")
    names = [fingerprint(compared(**only), DIGESTS) for only in ({}, {"task": "interview"}, {"task": "reading"})]
    assert len(set(names)) == 3
    assert fingerprint(Voices(protocol=restricted(DAIC_OFFICIAL)), DIGESTS) == fingerprint(Voices(protocol=DAIC_OFFICIAL), DIGESTS)
