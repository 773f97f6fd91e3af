"""Attention-residual network, Table 5: depression by task and by valence of the material, in four depths.

    python -m orchestrator.sweep cbam_tasks

Each cell is a corpus of its own: the segments of one task on material of one valence train and are scored (decision; the paper says
'different stimuli under different tasks were investigated', and its essays are not in the table).

Of the printed numbers: all recalls are whole percents, and with as many depressed as healthy segments accuracy and F1 follow from
precision and recall in 33 of 36 cells, to the rounding. So the test set of a cell seems to have held 100 segments of each class, of
the some 720 that a cell has (Table 3, divided by 12). The three others (ResNet-18: reading with positive and with negative
material, interview with negative material, where 63.7 and 74 cannot make an F1 of 82.7) are given as they are printed.
"""

from search_spaces._cbam import COLUMNS, DEPTHS, REMARKS, VALENCES, majority_row, network_row
from search_spaces.study import Chain, study
from search_spaces.table import Published, Row, TableSpec

TASKS = {"vocabulary reading": "vocabulary", "interview": "interview", "picture description": "picture"}

# fmt: off
PRINTED = {
    18: {"f1_micro": (76, 63.5, 65.5, 69.5, 82, 71, 77, 70, 89),
         "precision_positive": (70.1, 62.6, 60.7, 65.6, 74.2, 63.7, 80.7, 68.9, 86.8),
         "recall_positive": (88, 67, 88, 82, 98, 74, 71, 73, 92),
         "f1_positive": (78.6, 64.7, 71.2, 72.89, 84.4, 82.7, 75.5, 70.9, 89.3),
         "auc": (79, 68, 69, 78, 93, 84, 71, 84, 85)},
    34: {"f1_micro": (59, 63, 65.5, 66.5, 84.5, 70.5, 64.5, 81, 82),
         "precision_positive": (56.8, 60.8, 61.8, 62.2, 84.2, 69.2, 62.8, 77.7, 80.2),
         "recall_positive": (75, 73, 81, 84, 85, 74, 71, 87, 85),
         "f1_positive": (64.7, 66.4, 70.1, 71.5, 84.6, 71.5, 66.7, 82.1, 82.5),
         "auc": (69, 74, 62, 80, 88, 82, 68, 85, 89)},
    50: {"f1_micro": (72, 66.5, 63, 70, 84.5, 76.5, 65.5, 65.5, 74),
         "precision_positive": (65.3, 68.9, 61.6, 64.5, 93.7, 70.9, 65.9, 63.48, 72.6),
         "recall_positive": (94, 60, 69, 89, 74, 90, 64, 73, 77),
         "f1_positive": (77.1, 64.2, 65.1, 74.8, 82.7, 79.3, 64.9, 67.9, 74.8),
         "auc": (73, 68, 63, 86, 92, 85, 65, 71, 85)},
    101: {"f1_micro": (62, 50, 63, 76.5, 85, 77.5, 73, 77, 78),
          "precision_positive": (58.7, 50, 63.3, 73, 93.8, 72, 73.9, 72.5, 71.9),
          "recall_positive": (81, 67, 62, 84, 75, 90, 71, 87, 92),
          "f1_positive": (68.1, 57.3, 62.6, 78.1, 83.3, 80, 72.4, 79.1, 80.7),
          "auc": (76, 76, 67, 84, 89, 89, 66, 88, 88)},
}
"""Table 5, in percent: by depth and metric the nine cells in the order of the paper's columns."""
# fmt: on


def _cell(place: int, task: str, valence: str) -> list[tuple[Row, Chain]]:
    """The rows of a task and a valence: the majority class, and the networks beside it."""
    key, only = f"{TASKS[task]}_{valence}", {"task": task, "stimulus": valence}
    rows = [majority_row(f"{key}_majority", (task, valence, "majority"), only)]
    for depth in DEPTHS:
        published = {f"mixed_{metric}": Published(mean=values[place]) for metric, values in PRINTED[depth].items()}
        label = (task, valence, f"ResNet{depth} + CBAM")
        rows.append(network_row(f"{key}_resnet{depth}", label, depth, only, against=f"{key}_majority", published=published))
    return rows


SEEDS = 12
"""The paper names no number. With ten the exact test over seeds could call none of 36 rows better: 36 * 2 / 2^10 > 0.05."""

CELLS = [(task, valence) for task in TASKS for valence in VALENCES]

STUDY = study(
    TableSpec(
        study="cbam_tasks",
        title="Depression detection by task, emotional valence of the material and depth of the network",
        source="Speech depression recognition based on attentional residual network, Table 5",
        row_titles=("Task", "Valence", "Model"),
        rows=(),
        columns=COLUMNS,
        headline="f1_micro",
    ),
    rows=[row for place, cell in enumerate(CELLS) for row in _cell(place, *cell)],
    protocol=f"{REMARKS}; over how many trainings the paper does not say",
    seeds=SEEDS,
)
