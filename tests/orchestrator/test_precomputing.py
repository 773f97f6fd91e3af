"""What several stages would compute again and again is computed once, where the plan says that it pays."""

import json
from typing import ClassVar

from orchestrator.artifacts import ArtifactStore
from orchestrator.plan import make_plan
from orchestrator.precomputing import precompute
from orchestrator.progress import plan_sentence
from search_spaces.scale import Scale
from tests.orchestrator.test_plan import execute, toy_study
from tests.toys import Number, toy_setting
from trainables.stage import Context, Stage


class Reader(Stage):
    """Needs two numbers in every pass; reads them where they are computed already."""

    label: ClassVar[str] = "reader"
    shortcuts: ClassVar[frozenset[str]] = frozenset({"one", "several"})

    passes: float
    seed: int = 0
    one: Number | None = None
    several: tuple[Number, ...] = ()

    def repeated(self):
        return {
            "one": (Number(value=1.0), self.passes),
            "several.0": (Number(value=2.0), self.passes),
            "several.1": (Number(value=3.0), 1.0),
        }

    def run(self, context: Context):
        read = [stage for stage in (self.one, *self.several) if stage is not None]
        found = sum(json.loads((context.result(stage) / "metrics.json").read_text())["f1_macro"] for stage in read)
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": found}))


class Last(Stage):
    """Ends a chain."""

    reader: Reader

    def run(self, context: Context):
        raise NotImplementedError


def test_one_pass_by_one_stage_does_not_pay():
    targets, made = precompute([Reader(passes=1)])
    assert (targets, made) == ([Reader(passes=1)], [])


def test_passes_of_all_stages_together_decide_and_a_field_of_several_is_filled_only_whole():
    (target,), made = precompute([Reader(passes=50)])
    assert target.one == Number(value=1.0)
    assert target.several == ()
    targets, made = precompute([Reader(passes=1, seed=seed) for seed in range(3)])
    assert all(target.several == (Number(value=2.0), Number(value=3.0)) for target in targets)
    assert {(each.stage.value, each.passes) for each in made} == {(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)}


def test_stages_deep_in_a_chain_get_their_shortcuts_too_and_no_identity_changes(tmp_path):
    before = Last(reader=Reader(passes=9))
    (after,), _ = precompute([before])
    setting = toy_setting(tmp_path / "store")
    assert after.reader.one == Number(value=1.0)
    assert setting.fingerprint(after) == setting.fingerprint(before)


def test_the_plan_runs_what_pays_first_and_tells_so(tmp_path):
    setting = toy_setting(tmp_path / "store")
    study = toy_study(a=lambda seed: Reader(passes=9, seed=seed))
    plan = make_plan(study, Scale("toy", 2), (0, 1), setting, ArtifactStore(setting.store))
    assert "Computed beforehand, because it pays: number (3 instead of 38 times)" in plan_sentence(plan)
    execute(plan)
    result = ArtifactStore(setting.store).path(plan.trials[0].record.fingerprint)
    assert json.loads((result / "metrics.json").read_text()) == {"f1_macro": 6.0}
