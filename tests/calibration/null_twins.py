"""How often a table calls a row better when there is nothing to find: Table 1 on twins with nothing planted.

    python tests/calibration/null_twins.py [--twins 20] [--seeds 10] [--first 0] [--study reclr_lambda] [--json PATH]

Every twin is another cast, script and noise; labels say nothing of sound or words, so whatever a table calls better or worse is a
false alarm. The chain is the study's own at a tiny scale (small networks that do learn), through the sweep command's own code, so
that pairing, splits, predictions and statistics are those of a real table. At 5 % one table in twenty may hold one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from orchestrator.checks import Options
from orchestrator.conductor import conduct
from orchestrator.tables.cells import Table, make_table
from orchestrator.tracking import default_uri, read_sweep
from search_spaces.scale import SCALES, Scale
from search_spaces.study import load_study

TINY = Scale(
    "tiny",
    seeds=10,
    overlay={
        "LogMelFeatures": {"hop": 800, "mels": 16},
        "EmotionReference": {"width": 2, "epochs": 4, "batch_size": 16, "precision": "float32"},
        "ContrastivePretraining": {
            "width": 2,
            "batch_size": 16,
            "epochs": 2,
            "iterations_per_epoch": 15,
            "momentum": 0.9,
            "precision": "float32",
        },
        "EmotionClassifier": {"width": 2, "epochs": 4, "batch_size": 16, "learning_rate": 1e-3, "precision": "float32"},
        "SessionClassifier": {"hidden_size": 8, "epochs": 10},
        "CrnnClassifier": {
            "width": 2,
            "hidden_size": 8,
            "segments_per_session": 3,
            "epochs": 4,
            "learning_rate": 1e-3,
            "precision": "float32",
        },
    },
)
SIZES = {"mdd": "sessions_per_class = 20", "mosei": "speakers = 12", "iemocap": "dialogues = 2"}


def null_table(study: str, seed: int, seeds: int, folder: Path) -> Table:
    """The study's table on twins of this seed in which nothing is planted."""
    roles = load_study(study).roles()
    tables = [f'[{role}]\nreader = "twin"\nseed = {seed}\nplanted = false\n{SIZES[role]}\n' for role in roles]
    (folder / "corpora.toml").write_text("\n".join(tables))
    results = folder / "results"
    options = Options(study, corpora=str(folder / "corpora.toml"), scale=TINY.name, seeds=seeds, results=results, local=True)
    with (folder / "sweep.txt").open("w") as file:
        if conduct(options, Console(file=file, width=160)) != 0:
            raise RuntimeError((folder / "sweep.txt").read_text()[-4000:])
    return make_table(read_sweep(default_uri(results), study))


def main() -> None:
    """Run the tables and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--twins", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first twin")
    parser.add_argument("--seeds", type=int, default=TINY.seeds)
    parser.add_argument("--study", default="reclr_lambda")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    SCALES[TINY.name] = TINY
    console, found = Console(width=120), []
    for seed in range(asked.first, asked.first + asked.twins):
        with tempfile.TemporaryDirectory() as folder:
            table = null_table(asked.study, seed, asked.seeds, Path(folder))
        rows = [row for row in table.spec.rows if row.compared and row.key != table.spec.baseline]
        statistics = {row.key: table.cells[row.key, table.spec.headline].statistics for row in rows}
        verdicts = {row.key: table.verdict(row) for row in rows if table.verdict(row)}
        smallest = min(cell.p_vs_baseline for cell in statistics.values())
        found.append({"seed": seed, "smallest_p": smallest, "verdicts": verdicts})
        console.print(f"twin {seed}: smallest corrected p {smallest:.3f}  {verdicts or 'nothing called better or worse'}")
        if asked.json:
            asked.json.write_text(json.dumps(found))
    summary = RichTable("tables", "rows compared", "called better", "called worse", "tables with any call")
    calls = [list(table["verdicts"].values()) for table in found]
    counts = [sum(call.count(word) for call in calls) for word in ("better", "worse")]
    summary.add_row(str(len(found)), str(len(found) * len(rows)), *map(str, counts), str(sum(map(bool, calls))))
    console.print(summary)


if __name__ == "__main__":
    main()
