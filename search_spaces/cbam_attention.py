"""Attention-residual network, Figure 12: with and without attention, in four depths.

    python -m orchestrator.sweep cbam_attention

Where attention stands the paper says twice: after each of the network's convolution modules (section 3.5), and within each residual
block before its sum (Figure 6). Both are run. The last row of each depth trains with Table 4's learning rate in place of those that
the range tests find. Figure 12 prints no numbers that could be read.
"""

from search_spaces._cbam import COLUMNS, DEPTHS, REMARKS, majority_row, network_row
from search_spaces.study import Chain, study
from search_spaces.table import Row, TableSpec


def _rows(depth: int) -> list[tuple[Row, Chain]]:
    plain, title = f"resnet{depth}", f"ResNet{depth}"
    return [
        network_row(plain, (title, "none"), depth, against="majority", attention="none"),
        network_row(f"{plain}_stages", (title, "after each stage"), depth, against=plain, attention="stages"),
        network_row(f"{plain}_blocks", (title, "in each block"), depth, against=plain, attention="blocks"),
        network_row(f"{plain}_rate", (title, "after each stage, rate 0.001"), depth, against=plain, range_test=False),
    ]


STUDY = study(
    TableSpec(
        study="cbam_attention",
        title="Depression detection with and without attention",
        source="Speech depression recognition based on attentional residual network, Figure 12",
        row_titles=("Model", "Attention"),
        rows=(),
        columns=COLUMNS,
        headline="f1_micro",
    ),
    rows=[majority_row("majority", ("", "majority")), *(row for depth in DEPTHS for row in _rows(depth))],
    protocol=f"{REMARKS}; but for rows with a rate of their own; segments of all tasks and valences together",
)
