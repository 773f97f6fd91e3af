"""What a study is: the search space of one table, and how a point of it becomes a chain of stages."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import search_spaces
from search_spaces.scale import SCALES, Scale
from search_spaces.table import Row, TableSpec
from trainables.errors import UserError
from trainables.stage import Stage

Chain = Callable[[int], Stage]
"""From a seed to the last stage of a chain, at the paper's scale."""


@dataclass(frozen=True)
class Study:
    """One table of a paper.

    Attributes:
        table: Rows, columns and published numbers.
        chains: For every row's key, its chain.
        protocol: How the data are divided and what pretraining may see, in a sentence for captions.
    """

    table: TableSpec
    chains: dict[str, Chain]
    protocol: str

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

    def kinds(self, scale: Scale) -> Iterator[Stage]:
        """Every kind of stage that the study runs, at one seed."""
        for chain in self.chains.values():
            yield from scale.apply(chain(0)).chain()

    def roles(self) -> tuple[str, ...]:
        """The corpus roles that the study needs."""
        return tuple(sorted({role for stage in self.kinds(SCALES["paper"]) for role in stage.roles().values()}))


def study(table: TableSpec, rows: list[tuple[Row, Chain]], protocol: str) -> Study:
    """A study from its rows, each with its chain, in the order of the table."""
    return Study(
        table.model_copy(update={"rows": tuple(row for row, _ in rows)}), {row.key: chain for row, chain in rows}, protocol
    )


def study_names() -> list[str]:
    """Names of all studies and searches: the modules of this package that define ``STUDY`` or ``SEARCH``."""
    helpers = {"study", "table", "scale", "search"}
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
