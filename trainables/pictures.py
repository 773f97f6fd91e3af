"""Pictures that a stage leaves beside its numbers; whoever runs the stage keeps them with its run and beside the table.

A stage that has something to show writes ``figures/<name>.png`` into its result with :func:`save_picture`. Whatever else lies in
that folder is read by nobody. A picture shows numbers and, where it must, ids of speakers: never words, sound or a diagnosis of
somebody who can be told.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"
"""The folder: in a result, with a run, and beside a table."""
MOST = 20
"""Pictures of one stage."""
LARGEST = 2 << 20
"""Bytes of one picture: they travel to another node, and MLflow's server keeps them all."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
"""Okabe and Ito: told apart by colour-blind eyes too; yellow, which is faint on white, last."""

_NAME = re.compile(r"[a-z0-9-]{1,60}\.png")  # no underscore: beside a table the row's key comes before one


def is_picture(name: str, size: int) -> bool:
    """Whether a file of so many bytes in the folder is a picture that is shown."""
    return bool(_NAME.fullmatch(name)) and size <= LARGEST


def save_picture(directory: Path, name: str, figure: Figure) -> None:
    """Write a figure as ``figures/<name>.png``, the same bytes for the same figure.

    Args:
        directory: The stage's result directory.
        name: Small letters, digits and hyphens.
        figure: What to draw, at its own resolution.

    Raises:
        ValueError: The name is not such a one, the picture is larger than :data:`LARGEST`, or the stage has :data:`MOST` already:
            mistakes of the stage's.
    """
    if not is_picture(f"{name}.png", 0):
        raise ValueError(f"picture {name!r}: a name is made of at most 60 small letters, digits and hyphens")
    folder = directory / FIGURES
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.png"
    if len({*folder.iterdir(), file}) > MOST:
        raise ValueError(f"picture {name!r}: a stage has at most {MOST}")
    figure.savefig(file, metadata={"Software": None})  # without the version of matplotlib
    if not is_picture(file.name, size := file.stat().st_size):
        raise ValueError(f"picture {name!r} has {size:,} bytes, more than {LARGEST:,}; draw less, or at a lower resolution")
