"""A table whose sweep takes a second, for tests of what happens around one."""

from __future__ import annotations

import pytest

import search_spaces.reclr_lambda
from search_spaces.study import Study, study

ROWS = ("chance", "majority", "crnn_random")


def shorten(patch: pytest.MonkeyPatch) -> Study:
    """Leave of ReCLR's Table 1 what needs no pretraining, while it is patched; its baseline is the LSTM of random weights."""
    plain = search_spaces.reclr_lambda.STUDY
    rows = [(row, plain.chains[row.key]) for row in plain.table.rows if row.key in ROWS]
    short = study(plain.table.model_copy(update={"baseline": "crnn_random"}), rows, plain.protocol)
    patch.setattr(search_spaces.reclr_lambda, "STUDY", short)
    return short
