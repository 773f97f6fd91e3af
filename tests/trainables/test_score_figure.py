"""Contract of trainables/score_figure.py: what the pictures of a classifier's scores show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainables.pictures import FIGURES
from trainables.score_figure import confusion_figure, roc_figure, score_pictures

DEPRESSION = ("healthy", "depressed")
SEVERITY = ("minimal", "mild", "moderate", "severe")


def predictions(truth: list[int], positive: list[float]) -> pd.DataFrame:
    """As a file has them, of speakers whose names nobody may see."""
    p1 = np.array(positive)
    names = [f"secret{number}" for number in range(len(truth))]
    table = {"unit": names, "speaker": names, "truth": truth, "predicted": (p1 > 0.5).astype(int), "p0": 1 - p1, "p1": p1}
    return pd.DataFrame(table)


SEGMENTS = predictions([0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.8, 0.4, 0.7, 0.8, 0.9])
SUBJECTS = predictions([0, 1, 1], [0.3, 0.6, 0.9])


def cells(axes: Axes) -> dict[tuple[int, int], str]:
    """Text by row from the top and column from the left."""
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}


def fits(figure: Figure) -> bool:
    """Whether all that is drawn is on the paper."""
    FigureCanvasAgg(figure).draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return drawn.x0 >= 0 and drawn.y0 >= 0 and drawn.x1 <= width and drawn.y1 <= height


def test_a_cell_counts_the_units_of_a_class_that_were_taken_for_another_and_their_share_of_the_row() -> None:
    (axes,) = confusion_figure({"segments": SEGMENTS}, DEPRESSION, "t").axes
    assert cells(axes) == {(0, 0): "2\n67 %", (0, 1): "1\n33 %", (1, 0): "1\n25 %", (1, 1): "3\n75 %"}
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert axes.yaxis_inverted(), "the first row is above"
    assert axes.get_title() == "segments\nn = 7"
    shades = axes.images[0].get_array()
    assert np.allclose(shades, [[2 / 3, 1 / 3], [1 / 4, 3 / 4]])
    assert axes.images[0].get_clim() == (0, 1), "the same shade is the same share in every picture"


def test_all_classes_of_the_task_have_a_row_and_one_that_never_is_the_truth_has_no_share() -> None:
    table = pd.DataFrame({"truth": [0, 0, 1, 2], "predicted": [0, 3, 1, 1]})
    (axes,) = confusion_figure({"segments": table}, SEVERITY, "t").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(SEVERITY)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(SEVERITY)
    shown = cells(axes)
    assert [shown[3, column] for column in range(4)] == ["0\n–"] * 4
    assert (shown[0, 0], shown[0, 3], shown[2, 1], shown[2, 2]) == ("1\n50 %", "1\n50 %", "1\n100 %", "0\n0 %")


def test_text_is_dark_on_light_cells_and_light_on_dark_ones() -> None:
    table = pd.DataFrame({"truth": np.repeat(0, 100), "predicted": [0] * 60 + [1] * 40})
    for share in (0.0, 0.4, 0.6, 0.65, 0.7, 0.75, 1.0):
        changed = table.assign(predicted=[0] * round(100 * share) + [1] * round(100 - 100 * share))
        (axes,) = confusion_figure({"segments": changed}, DEPRESSION, "t").axes
        image, text = axes.images[0], next(text for text in axes.texts if text.get_position() == (0, 0))
        red, green, blue, _ = image.cmap(image.norm(share))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        light = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))  # relative luminance and contrast: WCAG 2.1, section 1.4.3
        contrast = 1.05 / (light + 0.05) if text.get_color() == "white" else (light + 0.05) / 0.05
        assert contrast >= 4.5, share


@pytest.mark.parametrize(
    ("count", "classes", "grid"), [(1, 2, (1, 1)), (3, 2, (1, 3)), (4, 2, (2, 2)), (5, 2, (2, 3)), (4, 4, (2, 2))]
)
def test_named_tables_stand_beside_each_other_and_nothing_is_wider_than_a_page_or_beyond_the_paper(
    count: int, classes: int, grid: tuple[int, int]
) -> None:
    tables = {f"segments-70-30, by subject, number {number}": SEGMENTS for number in range(count)}
    figure = confusion_figure(tables, SEVERITY[:classes], "attention ResNet: severity, picture description, negative, seed 0")
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    assert sum(axes.get_visible() for axes in figure.axes) == count
    assert figure.get_size_inches()[0] <= 7
    assert fits(figure)


def test_a_curve_has_its_corners_where_thresholds_put_them_and_its_area_in_the_legend() -> None:
    figure = roc_figure({"segments": SEGMENTS}, "depressed", "t")
    (axes,) = figure.axes
    chance, curve = axes.lines
    # Thresholds down to 0.9, to 0.8 (one of each class), to 0.4 and to 0.1, counted by hand.
    assert np.allclose(np.transpose(curve.get_data()), [(0, 0), (0, 1 / 4), (1 / 3, 2 / 4), (1 / 3, 1), (1, 1)])
    healthy, depressed = (SEGMENTS.loc[SEGMENTS["truth"] == truth, "p1"].to_numpy() for truth in (0, 1))
    wins = (depressed[:, None] > healthy).sum() + (depressed[:, None] == healthy).sum() / 2
    assert curve.get_label() == f"segments (AUC {wins / 12:.3f}, n = 7)"
    assert np.array_equal(chance.get_data(), [[0, 1], [0, 1]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [chance.get_label(), curve.get_label()]


def test_curves_differ_in_colour_and_in_dashes_and_fit_on_a_column() -> None:
    tables = {f"speakers-70-30, by subject {number}": SEGMENTS for number in range(4)}
    figure = roc_figure(tables, "depressed", "attention ResNet: depression, picture description, negative, seed 0")
    curves = figure.axes[0].lines[1:]
    assert len({line.get_color() for line in curves}) == len({line.get_linestyle() for line in curves}) == 4
    assert figure.get_size_inches()[0] <= 3.5
    assert fits(figure)


def test_a_table_whose_truth_has_one_class_has_no_curve_and_the_legend_says_so() -> None:
    figure = roc_figure({"segments": SEGMENTS, "subjects": SUBJECTS[SUBJECTS["truth"] == 1]}, "depressed", "t")
    assert figure.axes[0].lines[-1].get_label() == "subjects: no curve, its truth has one class"
    assert len(figure.axes[0].lines[-1].get_xdata()) == 0


def test_two_classes_have_both_pictures_and_others_or_a_truth_of_one_class_have_only_the_matrices(tmp_path: Path) -> None:
    four = pd.DataFrame({"truth": [0, 1, 2, 3], "predicted": [0, 1, 2, 2]})
    cases = {
        "two": ({"segments": SEGMENTS, "subjects": SUBJECTS}, DEPRESSION, {"confusion.png", "roc.png"}),
        "four": ({"segments": four}, SEVERITY, {"confusion.png"}),
        "one": ({"segments": SEGMENTS[SEGMENTS["truth"] == 1]}, DEPRESSION, {"confusion.png"}),
    }
    for name, (tables, classes, files) in cases.items():
        (tmp_path / name).mkdir()
        score_pictures(tmp_path / name, tables, classes, "t")
        assert {file.name for file in (tmp_path / name / FIGURES).iterdir()} == files


def test_the_same_tables_give_the_same_bytes_whoever_the_speakers_are(tmp_path: Path) -> None:
    others = SEGMENTS.assign(unit="u", speaker="v", gender="female")
    for folder, table in (("one", SEGMENTS), ("two", SEGMENTS), ("three", others)):
        (tmp_path / folder).mkdir()
        score_pictures(tmp_path / folder, {"segments": table}, DEPRESSION, "a title")
    for picture in ("confusion.png", "roc.png"):
        assert len({(tmp_path / folder / FIGURES / picture).read_bytes() for folder in ("one", "two", "three")}) == 1


def test_names_and_titles_are_no_formulas() -> None:
    figure = roc_figure({"a$b$": SEGMENTS}, "$x$", "of $100 and $5")
    assert figure.get_suptitle() == r"of \$100 and \$5"
    assert fits(figure)


def test_whoever_only_describes_a_study_that_draws_loads_no_library() -> None:
    code = (
        "import sys, trainables.score_figure; print([m for m in ('matplotlib', 'numpy', 'pandas', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
