"""ReCLR, Table 2: the objectives when other segments of the same speaker are not positives.

    python -m orchestrator.sweep reclr_speaker_positives

The baseline is SimCLR: the paper's point is that references help more once the speaker's own segments do not.
"""

from search_spaces._reclr import ASSUMED, COLUMNS, MDD_PROTOCOL, coclr, fixed, guesses, mdd, printed, reclr, row, simclr
from search_spaces.study import study
from search_spaces.table import TableSpec

apart = {"same_speaker_positives": False}

STUDY = study(
    TableSpec(
        study="reclr_speaker_positives",
        title="Depression detection on MDD, segments of the same speaker being no positives",
        source="ReCLR, Table 2",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="simclr",
    ),
    rows=[
        *guesses(mdd),
        (row("simclr", "SimCLR", printed(74.98, 2.62), printed(75.00, 2.61)), fixed(simclr(**apart))),
        (row("coclr", "CoCLR", printed(75.66, 2.63), printed(75.68, 2.63), lambda_=0.0), fixed(coclr(**apart))),
        (row("reclr_0.4", "ReCLR (λ = 0.4)", printed(76.60, 2.49), printed(76.62, 2.50), lambda_=0.4), fixed(reclr(0.4, **apart))),
    ],
    protocol=f"{MDD_PROTOCOL}; {ASSUMED}",
)
