"""What a table looks like, as data: its rows and columns and the numbers that its paper printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

Scalar = bool | int | float | str


class Record(BaseModel):
    """A frozen record without unknown fields.

    A field named in ``later`` is not written where it has its default: it is younger than sweeps that are recorded already, and
    these must keep their keys and be read back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unused = {name for name in self.later if getattr(self, name) == fields[name].default}
        return {name: value for name, value in write(self).items() if name not in unused}


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
    ``against`` is the key of the row that is this row's baseline in place of the table's, for tables of several corpora, whose
    rows are not paired; a row that is not compared names with it those that it stands with.
    """

    later = frozenset({"against"})

    key: str
    label: tuple[str, ...]
    params: dict[str, Scalar] = {}
    published: dict[str, Published] = {}  # by column key
    compared: bool = True
    control: bool = False
    against: str | None = None


class Column(Record):
    """One number of every row: a metric over the row's seeds.

    Attributes:
        metric: As the trials report it; ``dev_<name>`` is that of the development set, ``mixed_<name>`` that under a protocol which
            mixes speakers, beside a row's own.
        title: Of the column.
        percent: Whether the metric times 100 is shown.
        higher_is_better: None where neither end is better (the mean of an emotion), so that no number is bold.
        bounded: Whether a metric in percent cannot leave 0..100, so that no wider interval is shown.
        decimals: Precision of what is shown.
        over_seeds: The mean over seeds; their maximum; or the value at the seed that is best by another metric.
        best_by: Of ``at_best``, that other metric, of which more is better; over seeds that tie in it, the mean is shown.
        minus: Key of another column of the table whose number is subtracted.
        null: A value that the mean is tested against.
    """

    later = frozenset({"over_seeds", "best_by", "minus", "null"})

    metric: str
    title: str
    percent: bool
    higher_is_better: bool | None
    bounded: bool = True
    decimals: int = 2
    over_seeds: Literal["mean", "max", "at_best"] = "mean"
    best_by: str = ""
    minus: str = ""
    null: float | None = None

    @property
    def key(self) -> str:
        """What tells the column apart: ``f1``, ``f1_max``, ``f1_at_best``, ``f1_max_minus_f1_at_best``."""
        return self.metric + self.suffix

    @property
    def suffix(self) -> str:
        """What the key has behind the metric; '' where it is the metric's plain mean."""
        return ("" if self.over_seeds == "mean" else f"_{self.over_seeds}") + (f"_minus_{self.minus}" if self.minus else "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the number is made of, not counting the column that is subtracted."""
        return (self.metric, self.best_by) if self.best_by else (self.metric,)

    @property
    def ranked(self) -> bool:
        """Whether rows may be called better or best by the number: plain means alone, because a maximum grows with the number of
        seeds, a value at one seed is as noisy as that seed, and a gap is no merit.
        """
        return not self.suffix and self.higher_is_better is not None

    @model_validator(mode="after")
    def _sound(self) -> Column:
        if (self.over_seeds == "at_best") != bool(self.best_by):
            raise ValueError(f"column {self.title!r}: over_seeds 'at_best' and best_by belong together")
        if self.null is not None and self.suffix:
            raise ValueError(f"column {self.title!r}: only a plain mean can be tested against {self.null}")
        return self


class Curve(Record):
    """A one-dimensional sweep: the headline metric over a row's parameter, or several columns side by side.

    ``parameter`` is a key of ``Row.params``; a row without it is drawn as a level line, or left out where there are several lines.
    ``columns`` are the keys of the columns that are drawn, the headline alone where it is empty; ``panel`` is a key of
    ``Row.params`` that tells panels apart, such as before and after a training. ``upright`` is the title of the upright axis of
    several lines, the columns' own titles where it is empty.
    """

    later = frozenset({"columns", "panel", "upright"})

    parameter: str
    title: str
    log: bool = False
    columns: tuple[str, ...] = ()
    panel: str = ""
    upright: str = ""


class Panel(Record):
    """One pair of axes of a picture of bars: the rows that have ``value`` in the parameter that tells panels apart.

    ``title`` is that of its upright axis, ``low`` where the bars stand, ``high`` the axis' end where the scale has one;
    ``percent`` shows the metric times 100 whatever the column does, ``low`` and ``high`` being in percent then.
    """

    value: str
    title: str
    percent: bool = False
    low: float = 0.0
    high: float | None = None


class Bars(Record):
    """Grouped bars of several columns: a picture for each value of a row parameter, and in it bars by two others.

    ``picture``, ``group``, ``bar`` and ``panel`` are keys of ``Row.params``; a row without one of them is left out. ``columns`` are
    the keys of those drawn side by side; ``test`` is that of the column whose ``null`` is tested, for the star above the bars.
    """

    picture: str
    group: str
    bar: str
    panel: str
    panels: tuple[Panel, ...]
    columns: tuple[str, ...]
    test: str


class TableSpec(Record):
    """What a table shows, as its study file declares it.

    ``headline`` is the key of a plain mean: the one question that the table asks, and the only metric in which a row is called
    better than the row ``baseline``.
    """

    later = frozenset({"bars"})

    study: str
    title: str
    source: str
    row_titles: tuple[str, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    headline: str
    baseline: str | None = None
    curve: Curve | None = None
    bars: Bars | None = None

    def column(self, key: str) -> Column:
        """The column of this key."""
        return next(column for column in self.columns if column.key == key)

    def curve_columns(self) -> tuple[Column, ...]:
        """The columns that the curve draws."""
        return tuple(map(self.column, (self.curve.columns if self.curve else ()) or (self.headline,)))

    def reads(self, column: Column, prefix: str) -> bool:
        """Whether a number, or what is subtracted from it, is made of metrics that begin so, such as ``dev_`` and ``mixed_``."""
        metrics = column.metrics + (self.column(column.minus).metrics if column.minus else ())
        return any(metric.startswith(prefix) for metric in metrics)

    def without(self, lost: Collection[Column]) -> TableSpec:
        """The same table without some of its columns, and without what of its curve and its bars is drawn of them.

        Raises:
            ValueError: The headline is among them: a study's file is wrong, whose one question would be left out.
        """
        keys = {column.key for column in lost}
        if self.headline in keys:
            raise ValueError(f"study {self.study!r}: the headline {self.headline!r} cannot be left out")
        columns = tuple(column for column in self.columns if column.key not in keys)
        curve, bars = self.curve, self.bars
        if curve and curve.columns:
            drawn = tuple(key for key in curve.columns if key not in keys)
            curve = curve.model_copy(update={"columns": drawn}) if drawn else None
        if bars:
            drawn = tuple(key for key in bars.columns if key not in keys)
            bars = bars.model_copy(update={"columns": drawn}) if drawn and bars.test not in keys else None
        return self.model_copy(update={"columns": columns, "curve": curve, "bars": bars})

    def opponent(self, row: Row) -> str | None:
        """Key of the row that a row is compared with: its own, else the table's; None of a row that is no hypothesis, or that is
        itself what others are compared with.
        """
        if not row.compared:
            return None
        if row.against is not None or row.key in self._baselines():
            return row.against
        return self.baseline

    def family(self, row: Row) -> str | None:
        """Key of the baseline that a row stands with, itself if it is one; rows of one family answer the same question."""
        return row.against or (row.key if row.key in self._baselines() else self.baseline)

    def _baselines(self) -> set[str]:
        return {row.against for row in self.rows if row.against} | ({self.baseline} if self.baseline else set())

    @model_validator(mode="after")
    def _sound(self) -> TableSpec:
        """A study's file is wrong otherwise, so this is no fault of a user's."""
        columns = Counter(column.key for column in self.columns)
        if max(columns.values()) > 1:
            raise ValueError(f"study {self.study!r}: columns {list(columns)} have keys that are not unique")
        named = {self.headline, *filter(None, (column.minus for column in self.columns))}
        drawn = {*self.bars.columns, self.bars.test} if self.bars else set()
        drawn |= set(self.curve.columns) if self.curve else set()
        if unknown := sorted((named | drawn) - set(columns)):
            raise ValueError(f"study {self.study!r}: no column {', '.join(unknown)}; there are {', '.join(columns)}")
        if len({column.percent for column in self.curve_columns()}) > 1:
            raise ValueError(f"study {self.study!r}: the curve's columns are partly in percent; they share an axis")
        headline = self.column(self.headline)
        if headline.suffix:
            raise ValueError(f"study {self.study!r}: the headline {self.headline!r} is not a plain mean over seeds")
        if not headline.ranked and self._baselines():
            raise ValueError(f"study {self.study!r}: the headline {self.headline!r} has no better end, so nothing can be compared")
        if any(self.column(column.minus).minus for column in self.columns if column.minus):
            raise ValueError(f"study {self.study!r}: a column subtracts one that subtracts another")
        return self
