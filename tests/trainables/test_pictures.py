"""Contract of trainables/pictures.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from trainables.pictures import FIGURES, LARGEST, MOST, is_picture, save_picture


def figure(title: str = "") -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.suptitle(title)
    return drawn


def test_a_figure_is_saved_under_its_name_with_the_same_bytes_whenever_it_is_drawn(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        save_picture(tmp_path / folder, "range-test", figure("a"))
    one, two = ((tmp_path / folder / FIGURES / "range-test.png").read_bytes() for folder in ("one", "two"))
    assert one == two
    assert one.startswith(b"\x89PNG")
    assert b"matplotlib" not in one.lower(), "its version would make other bytes of the same picture"
    save_picture(tmp_path / "two", "range-test", figure("b"))
    assert (tmp_path / "two" / FIGURES / "range-test.png").read_bytes() != one


def test_what_is_shown_is_a_png_of_bounded_size_with_a_plain_name() -> None:
    assert is_picture("map.png", LARGEST)
    assert not is_picture("map.png", LARGEST + 1)
    for name in ("map.svg", "audio.wav", "map.png.txt", "../map.png", "a_b.png", "Map.png", ".png"):
        assert not is_picture(name, 1), name


def test_a_name_a_number_or_a_size_that_would_not_be_shown_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="picture 'a/b': a name is made of"):
        save_picture(tmp_path, "a/b", figure())
    for number in range(MOST):
        save_picture(tmp_path, f"p{number}", figure())
    save_picture(tmp_path, "p0", figure("again"))
    with pytest.raises(ValueError, match=f"picture 'more': a stage has at most {MOST}"):
        save_picture(tmp_path, "more", figure())
    noise = Figure(figsize=(10, 10), dpi=100)
    noise.figimage(np.random.default_rng(0).random((1000, 1000, 3)))
    with pytest.raises(ValueError, match=r"picture 'p1' has .* bytes, more than 2,097,152; draw less"):
        save_picture(tmp_path, "p1", noise)
