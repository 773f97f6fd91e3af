"""ReCLR over the temperature τ; the paper sets 0.1 (section 3.2).

    python -m orchestrator.sweep reclr_temperature

The baseline is the paper's value; the axis is logarithmic, as τ divides the scores.
"""

from search_spaces._reclr import COLUMNS, MDD_PROTOCOL, fixed, guesses, mdd, reclr, row
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0.03, 0.05, 0.1, 0.2, 0.5, 1.0]

STUDY = study(
    TableSpec(
        study="reclr_temperature",
        title="Depression detection on MDD over the temperature (ReCLR, λ = 0.4)",
        source="ReCLR, equation 2 and section 3.2",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="temperature_0.1",
        curve=Curve(parameter="temperature", title="temperature τ", log=True),
    ),
    rows=[
        *guesses(mdd),
        *(
            (row(f"temperature_{value:g}", f"τ = {value:g}", temperature=value), fixed(reclr(0.4, temperature=value)))
            for value in VALUES
        ),
    ],
    protocol=MDD_PROTOCOL,
)
