"""The pictures: what is drawn where, and the same bytes when drawn again."""

from __future__ import annotations

import io

import matplotlib.axes
import matplotlib.figure
import matplotlib.image
import pytest

from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.curve import curve_figure, spread
from orchestrator.tables.figure import MOST_ROWS, headline_figure
from orchestrator.tables.html import html_page
from orchestrator.tables.pictures import pictures
from search_spaces.table import Curve, Published
from tests.orchestrator.tables.recorded import TABLE, recorded, trials

PARAMETERS = {"simclr": {"k": 2, "method": "SimCLR"}, "reclr": {"k": 1.0}, "crnn": {"k": True}}


def curve_table(log: bool = False, baseline: str = "simclr", **parameters: float) -> Table:
    """SimCLR at 2, ReCLR at 1; chance has no parameter and the CRNN one that is no number."""
    rows = [row.model_copy(update={"params": PARAMETERS.get(row.key, {})}) for row in TABLE.rows]
    rows = [row.model_copy(update={"params": {"k": parameters[row.key]}}) if row.key in parameters else row for row in rows]
    rows[0] = rows[0].model_copy(update={"published": {"f1": Published(mean=45.0)}})
    curve = Curve(parameter="k", title="K", log=log)
    return make_table(recorded(table=TABLE.model_copy(update={"rows": tuple(rows), "curve": curve, "baseline": baseline})))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What is drawn, by the method of the axes that draws it."""
    calls: dict[str, list] = {name: [] for name in ("plot", "axhline", "axvline", "annotate", "fill_between", "errorbar")}
    for name, kept in calls.items():
        original = getattr(matplotlib.axes.Axes, name)

        def spy(self, *args, original=original, kept=kept, **kwargs):
            kept.append((args, kwargs))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(matplotlib.axes.Axes, name, spy)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *given, **named: None)  # most of the time; others look at bytes
    return calls


def places(calls: list, marker: str) -> list:
    return [args for args, kwargs in calls if kwargs.get("marker") == marker]


def size(png: bytes) -> tuple[int, ...]:
    return matplotlib.image.imread(io.BytesIO(png)).shape


def test_a_curve_has_its_means_in_the_order_of_the_parameter_with_their_intervals(drawn) -> None:
    curve_figure(curve_table())
    ((values, means),) = places(drawn["plot"], "s")
    assert (values, means) == ([1.0, 2.0], pytest.approx([80.0, 75.0]))
    (((at, low, high), _),) = drawn["fill_between"]
    assert (at, list(low), list(high)) == ([1.0, 2.0], pytest.approx([70.0, 65.0]), pytest.approx([90.0, 85.0]))


def test_a_curve_shows_every_seed_every_published_number_and_a_ring_around_the_baseline(drawn) -> None:
    curve_figure(curve_table())
    points = {
        (x, round(y, 6))
        for xs, ys in [args for args in places(drawn["plot"], "o") if isinstance(args[0], list)]
        for x, y in zip(xs, ys, strict=True)
    }
    assert points == {(2.0, 70.0), (2.0, 80.0), (2.0, 75.0), (1.0, 80.0)}
    assert [args for args in places(drawn["plot"], "o") if not isinstance(args[0], list)] == [(2.0, pytest.approx(75.0))]
    assert places(drawn["plot"], "D") == [(1.0, 77.9), (2.0, 76.56), (pytest.approx(1.018), 45.0)]  # the last in the margin


def test_rows_without_the_parameter_are_named_level_lines_and_a_level_baseline_is_dashed(drawn) -> None:
    curve_figure(curve_table(baseline="crnn"))
    assert sorted(args[0] for args, _ in drawn["axhline"]) == pytest.approx([50.0, 60.0])
    assert {args[0] for args, _ in drawn["annotate"]} == {"chance", "50 % | <CRNN_x> (baseline)"}
    assert [kwargs.get("linestyle") for args, kwargs in drawn["axhline"] if args[0] == pytest.approx(60.0)] == ["--"]


def test_a_logarithmic_axis_refuses_a_value_that_has_no_place_on_it() -> None:
    assert size(curve_figure(curve_table(log=True))) == size(curve_figure(curve_table()))
    with pytest.raises(ValueError, match=r"k = 0 has no place on a logarithmic axis"):
        curve_figure(curve_table(log=True, reclr=0))


def test_a_curve_with_gaps_is_drawn_with_what_there_is(drawn) -> None:
    table = curve_table()
    some = [t for t in trials() if t.row != "reclr"]
    partial = make_table(recorded(some, table.spec), partial=True)
    curve_figure(partial)
    ((values, means),) = places(drawn["plot"], "s")
    assert values == [1.0, 2.0]
    assert means == pytest.approx([float("nan"), 75.0], nan_ok=True)


def test_the_headline_figure_has_a_line_per_row_and_the_baselines_mean_through_all(drawn) -> None:
    headline_figure(make_table(recorded()))
    assert [args[0] for args, _ in drawn["errorbar"]] == pytest.approx([50.0, 75.0, 80.0, 60.0])
    reaches = [length for _, kwargs in drawn["errorbar"] for (length,) in kwargs["xerr"]]
    assert reaches == pytest.approx([10.0] * 8)
    assert [args[0] for args, _ in drawn["axvline"]] == pytest.approx([75.0])
    assert [args[0] for args in places(drawn["plot"], "D")] == [76.56, 77.9]


def test_with_several_baselines_each_is_a_dashed_line_through_its_own_rows_alone(drawn) -> None:
    against = {"chance": "reclr", "simclr": "reclr"}
    rows = tuple(row.model_copy(update={"against": against.get(row.key, "crnn"), "compared": True}) for row in TABLE.rows)
    rows = tuple(row.model_copy(update={"against": None}) if row.key in ("reclr", "crnn") else row for row in rows)
    spec = TABLE.model_copy(
        update={"rows": (*rows, rows[0].model_copy(update={"key": "other", "against": "crnn"})), "baseline": None}
    )
    headline_figure(make_table(recorded(table=spec), partial=True))
    dashed = [args for args, kwargs in drawn["plot"] if kwargs.get("linestyle") == "--"]
    assert dashed == [(pytest.approx([80.0, 80.0]), [-0.5, 2.5]), (pytest.approx([60.0, 60.0]), [2.5, 4.5])]
    assert not drawn["axvline"]


def test_a_line_shows_what_the_headline_is_tested_against(drawn) -> None:
    first = TABLE.columns[0].model_copy(update={"null": 0.5, "percent": False})
    headline_figure(make_table(recorded(table=TABLE.model_copy(update={"columns": (first, TABLE.columns[1]), "baseline": None}))))
    assert [args[0] for args, _ in drawn["axvline"]] == [0.5]


def test_the_legends_name_intervals_only_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    original = matplotlib.figure.Figure.legend

    def spy(self, lines, labels, **kwargs):
        named.extend(labels)
        return original(self, lines, labels, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "legend", spy)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *given, **named: None)
    table = curve_table()
    pictures(table)
    assert {label for label in named if "interval" in label} == {"95 % interval", "mean, 95 % interval"}
    named.clear()
    pictures(make_table(recorded(table=table.spec).model_copy(update={"told_by": ""}), partial=True))
    assert "mean" in named
    assert not any("interval" in label for label in named)


def test_names_at_the_margin_are_moved_apart_and_stay_within_the_axes() -> None:
    assert spread([0.1, 0.5], 0.1) == [0.1, 0.5]
    assert spread([0.4, 0.41, 0.42], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.97, 0.98], 0.1) == pytest.approx([0.9, 1.0])
    assert spread([], 0.1) == []


@pytest.mark.parametrize("rows", [MOST_ROWS, MOST_ROWS + 1])
def test_more_rows_than_can_be_read_have_no_picture_and_the_page_says_so(drawn, rows) -> None:
    first = TABLE.rows[0]
    many = tuple(first.model_copy(update={"key": f"row {number}"}) for number in range(rows))
    spec = TABLE.model_copy(update={"rows": many, "baseline": None})
    table = make_table(recorded([], spec), partial=True)
    readable = rows <= MOST_ROWS
    assert list(pictures(table)) == ["table.png"] * readable
    assert ("There is no picture of the 61 rows: of more than 60 none can be read." in html_page(table, {})) is not readable


def test_pictures_have_the_same_bytes_when_drawn_again_and_carry_no_version() -> None:
    first, second = pictures(curve_table()), pictures(curve_table())
    assert list(first) == ["curve.png", "table.png"]
    assert first == second
    assert all(png.startswith(b"\x89PNG") and b"matplotlib" not in png for png in first.values())
    assert list(pictures(make_table(recorded()))) == ["table.png"]
