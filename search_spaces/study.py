"""What a study is: the search space of one table, and how a point of it becomes a chain of stages."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import search_spaces
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

    def roles(self) -> tuple[str, ...]:
        """The corpus roles that the study needs."""
        stages = [stage for chain in self.chains.values() for stage in chain(0).chain()]
        return tuple(sorted({role for stage in stages for role in stage.roles().values()}))


def study(table: TableSpec, rows: list[tuple[Row, Chain]], protocol: str) -> Study:
    """A study from its rows, each with its chain, in the order of the table."""
    return Study(
        table.model_copy(update={"rows": tuple(row for row, _ in rows)}), {row.key: chain for row, chain in rows}, protocol
    )


def study_names() -> list[str]:
    """Names of all studies: the modules of this package that define ``STUDY``."""
    helpers = {"study", "table", "scale"}
    names = (module.name for module in pkgutil.iter_modules(search_spaces.__path__))
    return sorted(name for name in names if name not in helpers and not name.startswith("_"))


def load_study(name: str) -> Study:
    """The study of this name.

    Raises:
        UserError: There is none; the message names those that there are.
    """
    names = study_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise UserError(f"there is no study {name!r}. {hint}The studies are: {', '.join(names)}")
    return importlib.import_module(f"search_spaces.{name}").STUDY
