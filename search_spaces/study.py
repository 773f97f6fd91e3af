"""What a study is: the search space of one table, and how a point of it becomes a chain of stages."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType

import search_spaces
from search_spaces.scale import SCALES, Scale
from search_spaces.table import Row, TableSpec
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.errors import Faults, UserError
from trainables.leakage.chain import scored_stages
from trainables.protocols import Protocol, restricted, unrestricted
from trainables.recombination import Recombination
from trainables.split_comparison import SplitComparison
from trainables.stage import Stage

Chain = Callable[[int], Stage]
"""From a seed to the last stage of a chain, at the paper's scale."""


@dataclass(frozen=True)
class Study:
    """One table of a paper.

    Attributes:
        table: Rows, columns and published numbers.
        chains: For every row's key, its chain.
        protocol: What captions say besides the protocols of the rows: what pretraining may see, which epoch counts.
        seeds: The paper's number of runs, for the paper's scale; None for the scale's own.
    """

    table: TableSpec
    chains: dict[str, Chain]
    protocol: str
    seeds: int | None = None

    def __post_init__(self) -> None:
        if list(self.chains) != [row.key for row in self.table.rows]:
            raise ValueError(f"study {self.name!r}: rows {[row.key for row in self.table.rows]} but chains {list(self.chains)}")

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.table.study

    @property
    def title(self) -> str:
        """What the table shows."""
        return self.table.title

    @property
    def source(self) -> str:
        """The paper and its table."""
        return self.table.source

    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols of all rows, each name once, of both sides where a row compares two; restrictions are told by the rows."""
        scored = (stage for chain in self.chains.values() for stage in scored_stages(chain(0)))
        protocols = (unrestricted(stage.protocol) for stage in scored)
        return tuple({str(protocol): protocol for protocol in protocols}.values())

    def selects(self) -> bool:
        """Whether any row's last stage chooses an epoch on a development set; otherwise the last one counts."""
        last = [divided_stage(chain(0)) for chain in self.chains.values()]
        exposures = [stage.exposure() for stage in last if stage is not None and not isinstance(stage, Recombination)]
        return any(exposure is not None and exposure.selected == "dev" for exposure in exposures)

    def _trains(self) -> bool:
        """Whether any row's last stage learns from a training set."""
        last = (divided_stage(chain(0)) for chain in self.chains.values())
        return any(stage is not None and (known := stage.exposure()) is not None and known.fitted != "nothing" for stage in last)

    def divided_by(self) -> str:
        """The protocols of all rows by name, digest and sentence, which epoch counts, and the study's own remarks."""
        told = [f"{protocol}{self._columns_of(protocol)}: {protocol.sentence}" for protocol in self.protocols()]
        epoch = "the epoch that is best on the development set counts" if self.selects() else "the last epoch counts"
        return "; ".join([*told, *([epoch] if self._trains() else []), self.protocol])

    def _columns_of(self, protocol: Protocol) -> str:
        """The columns in which a protocol divides, where rows compare it with another one that divides in all others; else ''."""
        last = (chain(0) for chain in self.chains.values())
        if protocol not in {unrestricted(stage.mixed.protocol) for stage in last if isinstance(stage, SplitComparison)}:
            return ""
        titles = [column.title for column in self.table.columns if column.metric.startswith("mixed_") and not column.minus]
        return f", in {', '.join(titles)} alone" if titles else ""

    def under(self, protocol: Protocol) -> Study:
        """The same study with another protocol in every row; one with folds makes a cross-validation of each.

        A stage that selects, for instance an epoch, does so on the first inner fold of a nested protocol. Of a row that compares
        two protocols the clean side is taken, and a row keeps what its own protocol is restricted to. Columns of development scores
        are left out where the protocol has no such scores beside the others, and so are those of the other side of a comparison;
        the study's remarks say so.

        Raises:
            UserError: A row's last stage is not divided by any protocol, or a stage upstream of it was trained on speakers of the
                same corpus by one of its own; or two rows differ by their protocols alone.
        """
        chains = {key: _under(protocol, key, chain) for key, chain in self.chains.items()}
        _require_rows(protocol, chains)
        table, remarks = self.table, [self.protocol]
        for prefix, reason in _lacking(protocol).items():
            if lost := [column for column in table.columns if table.reads(column, prefix)]:
                table = table.without(lost)
                remarks.append(f"no {', '.join(column.title for column in lost)}: {reason}")
        return replace(self, table=table, chains=chains, protocol="; ".join(filter(None, remarks)))

    def kinds(self, scale: Scale) -> Iterator[Stage]:
        """Every kind of stage that the study runs, at one seed."""
        for chain in self.chains.values():
            yield from scale.apply(chain(0)).chain()

    def roles(self) -> tuple[str, ...]:
        """The corpus roles that the study needs."""
        return tuple(sorted({role for stage in self.kinds(SCALES["paper"]) for role in stage.roles().values()}))


def divided_stage(last: Stage) -> DividedStage | None:
    """The stage that is divided by a protocol at the end of a chain: the last one, a cross-validation's first fold, or the clean
    side of a comparison of splits.
    """
    return next(iter(scored_stages(last)), None)


def _lacking(protocol: Protocol) -> dict[str, str]:
    """How metrics begin that rows do not have under this protocol alone, and why."""
    lacking = {"mixed_": f"every row is divided by {protocol.name} alone"}
    if not _scores_beside(protocol):
        lacking["dev_"] = f"{protocol.name} has no scores of a development set beside others"
    return lacking


def _scores_beside(protocol: Protocol) -> bool:
    """Whether rows have scores of a development set beside their own; the development sets of folds overlap, and have none."""
    return protocol.scheme == "named" and bool(protocol.dev)


def _under(protocol: Protocol, row: str, chain: Chain) -> Chain:
    def changed(seed: int) -> Stage:
        last = chain(seed)
        stage = divided_stage(last)
        if stage is None:
            raise UserError(f"row {row!r} ends with a {type(last).__name__}, which no protocol divides; leave out --protocol")
        try:
            divided = _divided_by(restricted(protocol, **dict(stage.protocol.only)), stage)
        except UserError as error:
            raise UserError(f"--protocol: row {row!r} cannot be had under {protocol.name!r}: {error}") from error
        _refuse_trained_upstream(row, divided)
        if protocol.folds == 1:
            _refuse_single_fold(row, last, protocol)
            return divided
        folds = tuple(divided.with_upstream({}, fold=number) for number in range(protocol.folds))
        return last.with_upstream({}, folds=folds) if isinstance(last, CrossValidation) else CrossValidation(folds=folds)

    return changed


def _refuse_single_fold(row: str, last: Stage, protocol: Protocol) -> None:
    """A cross-validation that does more than put predictions together cannot be replaced by the only fold there is."""
    if isinstance(last, CrossValidation) and type(last) is not CrossValidation:
        raise UserError(
            f"--protocol: row {row!r} ends with a {last.label}, which puts the folds of a cross-validation together, and "
            f"{protocol.name!r} has no folds; choose one that has"
        )


def _divided_by(protocol: Protocol, stage: DividedStage) -> DividedStage:
    """The stage on the first fold, and where it selects on the first inner fold."""
    division = {"protocol": protocol, "inner": None, "fold": 0}
    if protocol.inner_folds:
        nested = stage.with_upstream({}, **division | {"inner": 0})
        if nested.exposure().selected == "dev":
            return nested
    return stage.with_upstream({}, **division)


def _refuse_trained_upstream(row: str, last: DividedStage) -> None:
    """Another protocol for the last stage alone would test speakers whose labels another stage of the chain has read."""
    role = last.exposure().features.corpus
    for stage in last.chain():
        if stage == last or not isinstance(stage, DividedStage) or stage.protocol == last.protocol:
            continue
        if stage.exposure().features.corpus == role:
            raise UserError(
                f"--protocol: the {stage.label} behind row {row!r} is trained on {role} by {stage.protocol.name!r}; under another "
                "protocol the row would be tested on speakers that it has heard, with their labels: leave out --protocol"
            )


def _require_rows(protocol: Protocol, chains: Mapping[str, Chain]) -> None:
    """Every row can be had under the protocol, and no two are the same: they would be shown twice.

    Raises:
        UserError: All rows of which that does not hold.
    """
    faults, seen = Faults(f"the rows under --protocol {protocol.name}"), {}
    for row, chain in chains.items():
        try:
            other = seen.setdefault(chain(0), row)
        except UserError as error:
            faults.add(str(error))
            continue
        if other != row:
            faults.add(
                f"--protocol: rows {other!r} and {row!r} would be the same under {protocol.name!r}, because nothing but their "
                "protocols tells them apart; leave out --protocol"
            )
    faults.raise_if_any()


def study(table: TableSpec, rows: list[tuple[Row, Chain]], protocol: str, seeds: int | None = None) -> Study:
    """A study from its rows, each with its chain, in the order of the table."""
    table = table.model_copy(update={"rows": tuple(row for row, _ in rows)})
    return Study(table, {row.key: chain for row, chain in rows}, protocol, seeds)


def study_names() -> list[str]:
    """Names of all studies and searches: the modules of this package that define ``STUDY`` or ``SEARCH``."""
    helpers = {"study", "table", "scale", "search", "controls"}
    names = (module.name for module in pkgutil.iter_modules(search_spaces.__path__))
    return sorted(name for name in names if name not in helpers and not name.startswith("_"))


def study_module(name: str) -> ModuleType:
    """The file of a study or of a search.

    Raises:
        UserError: There is none; the message names those that there are.
    """
    names = study_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise UserError(f"there is no study {name!r}. {hint}The studies are: {', '.join(names)}")
    return importlib.import_module(f"search_spaces.{name}")


def load_study(name: str, curve: bool = False) -> Study:
    """The study of this name, or its curve: the same question with many values of its parameter, if it has one.

    Raises:
        UserError: There is none; the message names those that there are.
    """
    module = study_module(name)
    if curve and not hasattr(module, "CURVE"):
        having = [other for other in study_names() if hasattr(study_module(other), "CURVE")]
        raise UserError(f"study {name!r} has no curve; leave out --curve, or choose one of: {', '.join(having)}")
    return module.CURVE if curve else module.STUDY
