"""What a table looks like, as data: its rows and columns and the numbers that its paper printed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str


class Record(BaseModel):
    """A frozen record without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(Record):
    """A number as its paper prints it, in the paper's own unit (percent where the column is in percent)."""

    mean: float
    std: float | None = None


class Row(Record):
    """One row of a table: its stable key, the cells of its leading text columns, its settings, and what the paper published."""

    key: str
    label: tuple[str, ...]
    params: dict[str, Scalar] = {}
    published: dict[str, Published] = {}  # by metric name


class Column(Record):
    """One metric of a table.

    ``percent`` shows the metric times 100; ``decimals`` is the precision of what is shown. ``bounded`` says that a metric
    in percent cannot leave 0..100, so that no wider interval is shown.
    """

    metric: str
    title: str
    percent: bool
    higher_is_better: bool
    bounded: bool = True
    decimals: int = 2


class TableSpec(Record):
    """What a table shows, as its study file declares it. ``headline`` is a column's metric."""

    study: str
    title: str
    source: str
    row_titles: tuple[str, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    headline: str
