"""Attention-residual network, Figures 14 and 16: by gender, over tasks and over depths.

    python -m orchestrator.sweep cbam_gender

Each gender is a corpus of its own, which trains and is scored (decision; the paper 'examines the two genders'). By task it is
ResNet18 with attention, the best of Table 5; Figure 16 compares the depths. Neither figure prints numbers that could be read.
"""

from search_spaces._cbam import COLUMNS, DEPTHS, GENDERS, REMARKS, majority_row, network_row
from search_spaces.cbam_tasks import TASKS
from search_spaces.study import Chain, study
from search_spaces.table import Row, TableSpec


def _rows(gender: str, title: str) -> list[tuple[Row, Chain]]:
    only = {"gender": gender}
    rows = [majority_row(f"{gender}_majority", (title, "all", "majority"), only)]
    for depth in DEPTHS:
        label = (title, "all", f"ResNet{depth} + CBAM")
        rows.append(network_row(f"{gender}_resnet{depth}", label, depth, only, against=f"{gender}_majority"))
    for task, key in TASKS.items():
        bar, some = f"{gender}_{key}_majority", {**only, "task": task}
        rows += [
            majority_row(bar, (title, task, "majority"), some),
            network_row(f"{gender}_{key}_resnet18", (title, task, "ResNet18 + CBAM"), 18, some, against=bar),
        ]
    return rows


STUDY = study(
    TableSpec(
        study="cbam_gender",
        title="Depression detection by gender",
        source="Speech depression recognition based on attentional residual network, Figures 14 and 16",
        row_titles=("Subjects", "Task", "Model"),
        rows=(),
        columns=COLUMNS,
        headline="f1_micro",
    ),
    rows=[row for gender, title in GENDERS.items() for row in _rows(gender, title)],
    protocol=REMARKS,
)
