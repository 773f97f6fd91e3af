"""Writing a twin as the corpus that it stands for is delivered, so that the corpus' own reader can be tried on it.

One module a role, each with ``write(twin, root, progress)``: it fills a folder from the twin's manifest and recordings. A layout's
names (speakers, sessions, files) are the corpus' own, so those of the twin are lost; what else is lost stands in the module's
docstring.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

LAYOUTS = ("mdd", "mosei", "iemocap", "daic_woz", "sre", "msp_podcast", "casia", "librispeech")
"""Roles whose layout can be written; the module of each has its name."""


def write_layout(role: str, twin: CorpusSource, out: Path, progress: Progress | None = None) -> None:
    """Write a twin in the layout of the role's real corpus.

    Args:
        role: A key of :data:`trainables.corpora.roles.ROLES`.
        twin: The role's twin; made first if this is its first use.
        out: The corpus' root: a new folder, or an empty one. It appears whole or not at all.
        progress: Called with the number of finished recordings and their total: of those that are made, then of those written.

    Raises:
        UserError: The folder holds something or cannot be written, the role has no layout, or the twin has more speakers,
            recordings or prompts than the layout has names for.
    """
    if role not in LAYOUTS:
        raise UserError(f"no layout is known for the role {role!r}; there is one for {', '.join(LAYOUTS)}")
    out = out.resolve()
    module = importlib.import_module(f"{__name__}.{role}")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is not an empty folder; name a new one, or delete it first")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
            root = Path(aside) / out.name
            root.mkdir()
            twin.prepare(progress)
            module.write(twin, root, progress)
            os.replace(root, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); name a folder that can be") from error
