"""Grouped bars: what is drawn where, and the same bytes when drawn again."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import matplotlib
import matplotlib.axes
import matplotlib.figure
import pytest

from orchestrator.tables.bars import bar_figures
from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.files import table_files
from orchestrator.tables.pictures import pictures
from search_spaces.table import Row
from tests.orchestrator.tables.recorded_columns import EXPRESSED, STARRED, expressed_values, recorded_columns


def table(**values: dict[str, tuple[float, ...]]) -> Table:
    return make_table(recorded_columns(EXPRESSED, expressed_values() | values))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What is drawn, by the method of the axes that draws it, with the axes."""
    calls: dict[str, list] = {name: [] for name in ("bar", "errorbar", "plot", "annotate", "set_xticks", "set_ylim", "set_ylabel")}
    for name, kept in calls.items():
        original = getattr(matplotlib.axes.Axes, name)

        def spy(self, *args, original=original, kept=kept, **kwargs):
            kept.append((self, args, kwargs))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(matplotlib.axes.Axes, name, spy)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *given, **named: None)  # most of the time; others look at bytes
    return calls


def test_there_is_a_picture_for_each_model_as_png_and_svg_before_the_tables_own() -> None:
    assert list(pictures(table())) == [
        *("bars_iemocap.png", "bars_iemocap.svg", "bars_other-one.png", "bars_other-one.svg", "table.png")
    ]


def test_every_row_has_a_bar_for_each_column_in_the_unit_and_from_the_foot_of_its_panel(drawn) -> None:
    bar_figures(table())
    values = expressed_values()
    drawn_bars = [(args[1] + kwargs["bottom"], kwargs["bottom"]) for _, args, kwargs in drawn["bar"]]
    shown = []
    for row in sorted(EXPRESSED.rows, key=lambda row: (row.params["model"], row.params["scale"] == "1 to 5")):
        scale, foot = (1, 1) if row.params["scale"] == "1 to 5" else (100, 0)
        shown += [(sum(values[row.key][name]) / 2 * scale, foot) for name in ("healthy", "depressed")]
    assert drawn_bars == [(pytest.approx(height), foot) for height, foot in shown]


def test_every_bar_has_a_whisker_for_its_interval(drawn) -> None:
    bar_figures(table())
    reaches = [sum(map(sum, kwargs["yerr"])) for _, _, kwargs in drawn["errorbar"]]
    assert len(reaches) == 2 * len(EXPRESSED.rows)
    assert set(map(round, reaches)) == {0, 10}  # 0.05 each way: a tenth of the scale, ten percent


def test_the_star_is_above_the_row_that_differs_and_there_alone(drawn) -> None:
    bar_figures(table())
    ((axes, (place, height), _),) = [call for call in drawn["plot"] if call[2].get("marker") == "*"]
    ticks = next(args for own, args, _ in drawn["set_xticks"] if own is axes)
    assert ticks[1][ticks[0].index(place)] == "sad"
    row = next(row for row in EXPRESSED.rows if row.key == STARRED)
    assert height > table().cell(row, EXPRESSED.columns[1]).interval[1] * 100


def test_rows_stand_together_by_group_and_bars_of_a_row_beside_each_other(drawn) -> None:
    bar_figures(table())
    places, outputs = drawn["set_xticks"][0][1]
    assert outputs == ["angry", "sad", "angry", "sad"]
    apart = [right - left for left, right in pairwise(places)]
    assert apart[0] == apart[2] == 1 < apart[1]
    left, right = (args[0] for _, args, _ in drawn["bar"][:2])
    assert left < places[0] < right
    groups = [(args[0], kwargs["xy"][0]) for axes, args, kwargs in drawn["annotate"] if axes is drawn["set_xticks"][0][0]]
    assert groups == [("A", pytest.approx(sum(places[:2]) / 2)), ("T", pytest.approx(sum(places[2:]) / 2))]


def test_probabilities_and_attributes_have_axes_of_their_own(drawn) -> None:
    bar_figures(table())
    assert [args[0] for _, args, _ in drawn["set_ylabel"]] == ["probability (%)", "1 to 5", "probability (%)"]
    limits = [args for _, args, _ in drawn["set_ylim"] if len(args) == 2]  # matplotlib itself sets them by a list
    assert limits[1] == (1, 5)
    assert [low for low, _ in limits] == [0, 1, 0]


def test_rows_without_the_parameters_and_rows_without_numbers_have_no_bar(drawn) -> None:
    rows = (*EXPRESSED.rows, Row(key="chance", label=("", "", "chance"), compared=False))
    spec = EXPRESSED.model_copy(update={"rows": rows})
    values = expressed_values()
    told = recorded_columns(spec, {key: of for key, of in values.items() if key != STARRED})
    bar_figures(make_table(told, partial=True))
    assert len(drawn["bar"]) == 2 * (len(EXPRESSED.rows) - 1)


def test_pictures_have_the_same_bytes_when_drawn_again_and_neither_date_nor_version() -> None:
    first, second = bar_figures(table()), bar_figures(table())
    assert first == second
    for name, content in first.items():
        assert matplotlib.__version__.encode() not in content
        assert b"<dc:date>" not in content
        assert b"<dc:creator>" not in content
        if name.endswith(".svg"):
            texts = {
                "".join(node.itertext()).strip() for node in ElementTree.fromstring(content).iter() if node.tag.endswith("text")
            }
            assert {"healthy", "depressed", "sad", "A", "T"} <= texts


def test_the_page_shows_the_pngs_and_the_files_hold_the_svgs_too() -> None:
    files = table_files(table())
    assert files["table.html"].count(b"data:image/png;base64,") == 3
    assert {"bars_iemocap.svg", "bars_iemocap.png"} <= set(files)
