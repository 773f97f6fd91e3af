"""What a sweep is asked to do, and every check of it that can be made before the first second of compute."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.artifacts import ArtifactStore
from orchestrator.disk_budget import store_faults
from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.per_stage import naming_faults
from orchestrator.execution.resources import ResourceRequest, request_faults, this_machine
from orchestrator.execution.setting import Setting
from orchestrator.plan import Plan, Redo, make_plan
from orchestrator.provenance import code_version
from orchestrator.records import recorded_name
from search_spaces.controls import control_role, missing_controls, with_controls
from search_spaces.scale import SCALES, Scale, find_scale
from search_spaces.search import Search, find_search
from search_spaces.study import Study, load_study
from trainables.corpora.corpus import CorpusSource
from trainables.errors import Faults, UserError
from trainables.pretrained import Weights, find_all_weights
from trainables.protocols import find_protocol
from trainables.stage import Stage


@dataclass(frozen=True)
class Options:
    """A sweep as the user asked for it; see ``python -m orchestrator.sweep --help``."""

    study: str
    curve: bool = False
    protocol: str | None = None
    controls: bool = False
    corpora: str = "demo"
    scale: str = "demo"
    seeds: int | None = None
    trials: int | None = None
    search_seed: int = 0
    redo: Redo = Redo.cached
    request: ResourceRequest = field(default_factory=ResourceRequest)
    address: str | None = None
    local: bool = False
    allow_leaks: bool = False
    results: Path = Path("results")
    store: str | None = None
    disk_budget: str | None = None
    machine: dict[str, float] = field(default_factory=this_machine)
    """CPUs and GPUs of the cluster that is started here (tests pretend)."""

    @property
    def store_root(self) -> str:
        """Root of the artifact store."""
        return ArtifactStore(self.store or self.results / "store").uri


@dataclass(frozen=True)
class Checked:
    """What a command comes to, in which no fault was found.

    Attributes:
        question: The study or the search.
        scale: How large it is run.
        seeds: Of every row.
        setting: What all its jobs have in common.
        told: What the corpora's readers left out or mended, and why.
    """

    question: Study | Search
    scale: Scale
    seeds: tuple[int, ...]
    setting: Setting
    told: tuple[str, ...] = ()


def check(options: Options) -> Checked:
    """Check everything that can be checked without computing.

    Raises:
        UserError: All faults of the command, the corpora, the pretrained weights and the resources together.
    """
    from trainables.corpora.reading import describe_notes, describe_skips
    from trainables.corpora.registry import open_corpora

    faults, found, reports = Faults("the command"), {}, {}

    def attempt(name: str, find: Callable[[], Any]) -> None:
        try:
            found[name] = find()
        except UserError as error:
            for message in error.messages:
                faults.add(message)

    attempt("question", lambda: question_of(options))
    if options.protocol is not None:
        attempt("protocol", lambda: find_protocol(options.protocol))
    attempt("scale", lambda: find_scale(options.scale))
    if "question" in found:
        roles = found["question"].roles()
        attempt("corpora", lambda: open_corpora(options.corpora, options.results, roles, reports))
        distinct = set(found["question"].kinds(found.get("scale", SCALES["paper"])))
        if "scale" in found:  # it decides which weights are read
            attempt("weights", lambda: find_weights_of(distinct, options.corpora))
        attempt("readable", lambda: check_corpora(distinct, found.get("corpora", {})))
        shape = ClusterShape((options.machine,)) if options.address is None else None
        for message in request_faults(options.request, distinct, shape) + search_faults(options, found["question"]):
            faults.add(message)
        for message in per_stage_faults(options, found["question"]):
            faults.add(message)
    for message in place_faults(options):
        faults.add(message)
    faults.raise_if_any()
    setting = Setting(
        corpora=found["corpora"],
        weights=found["weights"],
        store=options.store_root,
        code=code_version(),
        threads=options.request.cpus_per_worker,
    )
    told = tuple(f"{role}: {line}" for role, report in reports.items() for line in describe_skips(report) + describe_notes(report))
    return Checked(
        found["question"], found["scale"], tuple(range(_seeds(options, found["question"], found["scale"]))), setting, told
    )


def _seeds(options: Options, question: Study | Search, scale: Scale) -> int:
    """How many seeds: those asked for; at the paper's scale the paper's own number; else the scale's."""
    papers = question.seeds if isinstance(question, Study) and scale is SCALES["paper"] else None
    return options.seeds or papers or scale.seeds


def question_of(options: Options) -> Study | Search:
    """The study or the search that the command names.

    Raises:
        UserError: There is none of that name, or it has no such rows as the command asks for.
    """
    found = find_search(options.study, options.curve) or load_study(options.study, options.curve)
    if options.controls:
        control_role(found.study(found.paper) if isinstance(found, Search) else found)
    return found


def asked(study: Study, options: Options, setting: Setting) -> Study:
    """The study with the controls and under the protocol that the command asks for.

    Raises:
        UserError: A row cannot be put under the protocol.
    """
    if options.controls:
        study = with_controls(study, missing_controls(setting.corpora[control_role(study)]))
    if options.protocol is not None:
        study = study.under(find_protocol(options.protocol))
    name = recorded_name(study.name, controls=options.controls, protocol=options.protocol)
    return replace(study, table=study.table.model_copy(update={"study": name}))


def plan_study(checked: Checked, study: Study, options: Options) -> Plan:
    """The plan of a study.

    Raises:
        UserError: The store cannot be read.
    """
    store = ArtifactStore(options.store_root)
    try:
        return make_plan(asked(study, options, checked.setting), checked.scale, checked.seeds, checked.setting, store, options.redo)
    except OSError as error:
        raise UserError(f"the store {store.uri} cannot be read: {error}") from error


def find_weights_of(stages: Iterable[Stage], corpora: str) -> dict[str, Weights]:
    """The public pretrained weights that the stages read, by name; they may be downloaded for it.

    Args:
        stages: At the scale that is run.
        corpora: 'demo', or the path of a corpora.toml.

    Raises:
        UserError: All that are missing, or that corpora.toml gives wrongly.
    """
    from trainables.corpora.registry import pretrained_directories

    names = {name for stage in stages for name in stage.pretrained().values()}
    return find_all_weights(names, pretrained_directories(corpora)) if names else {}


def check_corpora(stages: Iterable[Stage], corpora: Mapping[str, CorpusSource]) -> None:
    """Make sure that the corpora have what the stages read. A twin, which may not be made yet, has it.

    Raises:
        UserError: All that is lacking.
    """
    places = [(stage, corpora.get(role)) for stage in stages for role in stage.roles().values()]
    found = [stage.corpus_fault(source) for stage, source in places if source is not None and not source.is_twin]
    faults = Faults("the corpora")
    for message in sorted({fault for fault in found if fault is not None}):
        faults.add(message)
    faults.raise_if_any()


def per_stage_faults(options: Options, question: Study | Search) -> list[str]:
    """What is wrong with ``--per-stage``: how it was written, and what stages it names."""
    request = options.request
    if not request.stages:
        return list(request.misread)
    study, scale = question.study(question.paper) if isinstance(question, Search) else question, SCALES["paper"]
    with contextlib.suppress(UserError):  # what of it cannot be done is a fault of its own
        study = with_controls(study, {}) if options.controls else study
        study = study.under(find_protocol(options.protocol)) if options.protocol is not None else study
    kinds = {*question.kinds(scale), *study.kinds(scale)}
    sparing = {stage for kind in kinds for other, _ in kind.repeated().values() for stage in other.chain()}
    return [*request.misread, *naming_faults(request.stages, kinds | sparing)]


def search_faults(options: Options, question: Study | Search) -> list[str]:
    """What is asked of a search that is none, or that a search cannot do."""
    faults = []
    if isinstance(question, Search) and options.local:
        faults.append(f"--local: {question.name!r} is a search, whose trials need Ray Tune; leave out --local")
    if isinstance(question, Search) and options.protocol:
        faults.append(f"--protocol: {question.name!r} is a search, whose held-out speakers are part of it; leave out --protocol")
    if not isinstance(question, Search):
        for name, value in (("--trials", options.trials), ("--search-seed", options.search_seed)):
            if value:
                faults.append(f"{name} {value}: {question.name!r} is a table and not a search; leave it out")
    return faults


def place_faults(options: Options) -> list[str]:
    """What is wrong with where the sweep should run and leave its results."""
    faults = []
    if options.local and (options.address or options.request.most_workers() > 1):
        faults.append("--local runs one worker in this process; leave out --address and --workers, or --local")
    if (unwritable := _unwritable(options.results)) is not None:
        faults.append(f"--results {options.results}: {unwritable} is not a folder that can be written to; choose another")
    faults += store_faults(options.store or options.results / "store", options.disk_budget)
    host, _, port = (options.address or "").rpartition(":")
    if host and port.isdigit() and "://" not in options.address:
        try:
            socket.create_connection((host, int(port)), timeout=3).close()
        except OSError as error:
            faults.append(f"--address {options.address}: nobody answers ({error}); check host, port and that the cluster is up")
    return faults


def _unwritable(folder: Path) -> Path | None:
    """The nearest existing part of a path, if nothing can be made in it."""
    there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    return None if there.is_dir() and os.access(there, os.W_OK) else there
