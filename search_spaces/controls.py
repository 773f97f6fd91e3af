"""Shortcut controls: rows that any study of depression in sessions can have beside its own (``--controls``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.study import Chain, Study, divided_stage
from search_spaces.table import Row
from trainables.corpora.corpus import CorpusSource
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.session_descriptors import SHORTCUTS, SessionDescriptors
from trainables.shortcut_classifier import ShortcutClassifier
from trainables.stage import Stage

TITLES = {
    "gender": "gender only",
    "timing": "durations and silences only",
    "interviewer": "interviewer only",
    "voice": "nearest voice (speaker identity)",
    "shuffled": "shuffled labels",
}
"""Control to what its row is called; the majority row is one more, and belongs to every table anyway."""


def control_role(study: Study) -> str:
    """The corpus role whose sessions the study tells the diagnosis of.

    Raises:
        UserError: It is no table of depression in sessions, or has no baseline whose labels could be shuffled.
    """
    exposure = _target(study).exposure()
    if exposure.task != "depression" or exposure.features.unit != "session":
        raise UserError(f"--controls: {study.name!r} is no table of depression in sessions; leave it out")
    return exposure.features.corpus


def missing_controls(corpus: CorpusSource) -> dict[str, str]:
    """The controls that a corpus cannot give, and why; a twin that is not made yet is asked for its script."""
    import pandas as pd
    from pydantic import TypeAdapter

    from trainables.session_descriptors import missing_shortcuts

    if not corpus.is_twin:
        return missing_shortcuts(corpus.manifest())
    from trainables.corpora.twins.recipe import Recipe
    from trainables.corpora.twins.script import write_script

    script = write_script(TypeAdapter(Recipe).validate_python(corpus.options["recipe"]))
    return missing_shortcuts(pd.DataFrame([{"talker": turn.talker, **turn.labels} for part in script for turn in part.turns]))


def with_controls(study: Study, missing: Mapping[str, str]) -> Study:
    """The same study with a row for every control, at its end, and with the reasons of those left out among its remarks.

    Every control is divided as the baseline row is, and so is tested on the same sessions. Shuffled labels are the baseline's own
    chain, its last stage trained on permuted labels.

    Args:
        study: A table of depression in sessions.
        missing: Controls that the corpus cannot give, which are left out, and why (:func:`missing_controls`).

    Raises:
        UserError: As :func:`control_role`.
        ValueError: The study was put under a protocol with folds before: a mistake of ours.
    """
    descriptors = SessionDescriptors(corpus=control_role(study))
    if isinstance(study.chains[study.table.baseline](0), CrossValidation):
        raise ValueError(f"study {study.name!r}: add the controls first and the protocol with folds afterwards")
    chains = {name: _shortcut(study, descriptors, name) for name in SHORTCUTS if name not in missing}
    chains["shuffled"] = lambda seed: _target(study, seed).with_upstream({}, shuffled_labels=True)
    filler = ("",) * (len(study.table.row_titles) - 1)
    rows = [Row(key=f"control_{name}", label=(*_lead(filler), TITLES[name]), compared=False, control=True) for name in chains]
    own = tuple(row.model_copy(update={"control": row.key == "majority"}) for row in study.table.rows)
    table = study.table.model_copy(update={"rows": (*own, *rows)})
    left_out = [f"no control {TITLES[name]!r}: {reason}" for name, reason in missing.items()]
    return replace(
        study,
        table=table,
        chains=study.chains | {f"control_{name}": chain for name, chain in chains.items()},
        protocol="; ".join(filter(None, [study.protocol, *left_out])),
    )


def _lead(filler: tuple[str, ...]) -> tuple[str, ...]:
    """The leading cells of a control's row: 'control' where the table has a column for it."""
    return ("control", *filler[1:]) if filler else ()


def _shortcut(study: Study, descriptors: SessionDescriptors, name: str) -> Chain:
    def chain(seed: int) -> Stage:
        target = _target(study, seed)
        division = {field: getattr(target, field) for field in DividedStage.model_fields if field != "shuffled_labels"}
        return ShortcutClassifier(descriptors=descriptors, shortcut=name, **division)

    return chain


def _target(study: Study, seed: int = 0) -> DividedStage:
    """The last stage of the baseline row; of a cross-validation its first fold."""
    baseline = study.table.baseline
    stage = divided_stage(study.chains[baseline](seed)) if baseline else None
    if stage is None:
        raise UserError(f"--controls: {study.name!r} has no baseline row that a protocol divides; leave it out")
    return stage
