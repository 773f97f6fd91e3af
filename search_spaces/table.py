"""What a table looks like, as data: its rows and columns and the numbers that its paper printed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str


class Record(BaseModel):
    """A frozen record without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(Record):
    """A number as its paper prints it, in the paper's own unit (percent where the column is in percent).

    ``runs`` is the number of runs behind mean and std, where the paper says it.
    """

    mean: float
    std: float | None = None
    runs: int | None = None


class Row(Record):
    """One row of a table: its stable key, the cells of its leading text columns, its settings, and what the paper published.

    ``compared`` says whether the row is tested against the table's baseline; chance and majority rows are no hypotheses. A
    ``control`` is a row that listens to nothing but a shortcut; compared rows are also tested against the best of them.
    """

    key: str
    label: tuple[str, ...]
    params: dict[str, Scalar] = {}
    published: dict[str, Published] = {}  # by metric name
    compared: bool = True
    control: bool = False


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


class Curve(Record):
    """A one-dimensional sweep: the headline metric over a row's parameter.

    ``parameter`` is a key of ``Row.params``; a row without it is drawn as a level line.
    """

    parameter: str
    title: str
    log: bool = False


class TableSpec(Record):
    """What a table shows, as its study file declares it.

    ``headline`` is a column's metric: the one question that the table asks, and the only metric in which a row is called better
    than the row ``baseline``.
    """

    study: str
    title: str
    source: str
    row_titles: tuple[str, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    headline: str
    baseline: str | None = None
    curve: Curve | None = None
