"""ReCLR over K, the number of positives that the references choose; the paper sets 5 (section 3.2).

    python -m orchestrator.sweep reclr_top_k

With K = 0 the references only weigh the negatives. The baseline is the paper's value.
"""

from search_spaces._reclr import COLUMNS, MDD_PROTOCOL, fixed, guesses, mdd, reclr, row
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0, 1, 2, 5, 10, 20]

STUDY = study(
    TableSpec(
        study="reclr_top_k",
        title="Depression detection on MDD over K, the positives chosen by reference (ReCLR, λ = 0.4)",
        source="ReCLR, sections 2.2.2 and 3.2",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="top_k_5",
        curve=Curve(parameter="top_k", title="K, positives chosen by reference"),
    ),
    rows=[
        *guesses(mdd),
        *((row(f"top_k_{value}", f"K = {value}", top_k=value), fixed(reclr(0.4, top_k=value))) for value in VALUES),
    ],
    protocol=MDD_PROTOCOL,
)
