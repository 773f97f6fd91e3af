"""A curve of several columns, in panels: what is drawn where, and what was recorded before there were such curves."""

from __future__ import annotations

import matplotlib.axes
import matplotlib.figure
import pytest

from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.curve import curve_figure
from orchestrator.tables.files import table_files
from orchestrator.tables.lines import lines_figure
from orchestrator.tables.pictures import pictures
from search_spaces.table import Curve, Published, TableSpec
from tests.orchestrator.tables.recorded import TABLE, VALUES, recorded, trials

PLACES = {
    "simclr": {"layer": 2, "state": "before"},
    "reclr": {"layer": 1, "state": "before"},
    "crnn": {"layer": 1, "state": "after"},
    "chance": {"layer": 3},
}
CURVE = Curve(parameter="layer", title="Layer", columns=("f1", "loss"), panel="state")


def spec(curve: Curve = CURVE) -> TableSpec:
    """ReCLR and SimCLR at layers 1 and 2 in one panel, the CRNN in another; chance is in none."""
    rows = tuple(row.model_copy(update={"params": PLACES[row.key], "published": {}}) for row in TABLE.rows)
    columns = (TABLE.columns[0].model_copy(update={"percent": False}), TABLE.columns[1])
    return TABLE.model_copy(update={"rows": rows, "columns": columns, "curve": curve})


def table(curve: Curve = CURVE) -> Table:
    return make_table(recorded(table=spec(curve)))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What is drawn, by the method of the axes that draws it, with the axes."""
    calls: dict[str, list] = {name: [] for name in ("plot", "fill_between", "set_title", "set_xlabel")}
    for name, kept in calls.items():
        original = getattr(matplotlib.axes.Axes, name)

        def spy(self, *args, original=original, kept=kept, **kwargs):
            kept.append((self, args, kwargs))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(matplotlib.axes.Axes, name, spy)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *given, **named: None)  # most of the time; others look at bytes
    return calls


def lines(drawn: dict[str, list]) -> list:
    """(axes, values, means, style) of each mean line."""
    return [(axes, *args, kwargs) for axes, args, kwargs in drawn["plot"] if kwargs.get("linewidth") == 1.8]


def test_each_panel_has_a_line_for_each_column_over_the_parameter_with_its_band(drawn) -> None:
    lines_figure(table())
    found = [(values, means) for _, values, means, _ in lines(drawn)]
    assert found == [
        ([1.0, 2.0], pytest.approx([0.8, 0.75])),
        ([1.0, 2.0], pytest.approx([2.0, 2.0])),
        ([1.0], pytest.approx([0.6])),
        ([1.0], pytest.approx([2.0])),
    ]
    first, second, third, fourth = (axes for axes, *_ in lines(drawn))
    assert first is second is not third is fourth
    bands = [(list(args[0]), list(args[1]), list(args[2])) for _, args, _ in drawn["fill_between"]]
    assert bands[0] == ([1.0, 2.0], pytest.approx([0.7, 0.65]), pytest.approx([0.9, 0.85]))
    assert len(bands) == 4


def test_panels_bear_their_names_and_share_one_upright_axis(drawn) -> None:
    lines_figure(table())
    assert [args[0] for _, args, _ in drawn["set_title"]] == ["before", "after"]
    assert [args[0] for _, args, _ in drawn["set_xlabel"]] == ["Layer", "Layer"]
    left, right = (axes for axes, *_ in drawn["set_title"])
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_ylabel(), right.get_ylabel()) == ("F1, loss", "")
    lines_figure(table(CURVE.model_copy(update={"upright": "cosine"})))
    assert [axes.get_ylabel() for axes, *_ in drawn["set_title"][2:]] == ["cosine", ""]


def test_seeds_and_published_numbers_have_the_colour_of_their_line(drawn) -> None:
    published = {"loss": Published(mean=1.5)}
    whole = spec()
    rows = tuple(row.model_copy(update={"published": published if row.key == "crnn" else {}}) for row in whole.rows)
    lines_figure(make_table(recorded(table=whole.model_copy(update={"rows": rows}))))
    colours = [style["color"] for *_, style in lines(drawn)]
    assert colours[0] == colours[2] != colours[1] == colours[3]
    right = lines(drawn)[2][0]
    seeds = [(tuple(args[1]), kwargs["color"]) for axes, args, kwargs in drawn["plot"] if axes is right and "alpha" in kwargs]
    assert seeds == [(VALUES["crnn"], colours[0]), ((1.0, 2.0, 3.0), colours[1])]
    diamonds = [(args, kwargs["color"]) for _, args, kwargs in drawn["plot"] if kwargs.get("marker") == "D"]
    assert diamonds == [((1.0, 1.5), colours[1])]


def test_without_a_parameter_for_panels_all_rows_are_in_one(drawn) -> None:
    lines_figure(table(CURVE.model_copy(update={"panel": "", "columns": ("f1",)})))
    ((_, values, means, _),) = lines(drawn)
    assert values == [1.0, 1.0, 2.0, 3.0]
    assert sorted(means) == pytest.approx([0.5, 0.6, 0.75, 0.8])


def test_numbers_that_are_not_there_yet_leave_a_gap(drawn) -> None:
    lines_figure(make_table(recorded([trial for trial in trials() if trial.row != "reclr"], spec()), partial=True))
    assert lines(drawn)[0][2] == pytest.approx([float("nan"), 0.75], nan_ok=True)


def test_the_legend_names_the_columns_and_intervals_only_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[list[str]] = []
    original = matplotlib.figure.Figure.legend

    def spy(self, shown, labels, **kwargs):
        named.append(labels)
        return original(self, shown, labels, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "legend", spy)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *given, **named: None)
    lines_figure(table())
    lines_figure(make_table(recorded(table=spec()).model_copy(update={"told_by": ""}), partial=True))
    assert named == [["F1", "loss", "seeds", "95 % interval"], ["F1", "loss", "seeds"]]


def test_the_picture_of_several_lines_is_the_tables_curve_and_the_same_whenever_it_is_drawn() -> None:
    assert list(pictures(table())) == ["curve.png", "table.png"]
    assert pictures(table())["curve.png"] == lines_figure(table())
    one = Curve(parameter="layer", title="Layer")
    assert pictures(table(one))["curve.png"] == curve_figure(table(one))


def test_the_page_says_which_columns_the_picture_shows() -> None:
    assert b'curve of F1, loss"' in table_files(table())["table.html"]
    assert b'curve of F1"' in table_files(table(Curve(parameter="layer", title="Layer")))["table.html"]


def test_a_curve_of_one_line_is_written_as_before_there_were_several_and_read_back() -> None:
    one = Curve(parameter="k", title="K", log=True)
    assert one.model_dump() == {"parameter": "k", "title": "K", "log": True}
    for curve in (one, CURVE):
        assert Curve.model_validate_json(curve.model_dump_json()) == curve


def test_a_curve_of_columns_that_are_not_there_or_share_no_axis_is_refused() -> None:
    fields = dict(TABLE)
    with pytest.raises(ValueError, match="no column uar; there are f1, loss"):
        TableSpec(**fields | {"curve": CURVE.model_copy(update={"columns": ("f1", "uar")})})
    with pytest.raises(ValueError, match="the curve's columns are partly in percent; they share an axis"):
        TableSpec(**fields | {"curve": CURVE})
