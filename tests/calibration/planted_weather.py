"""Do emotion features tell depression better than direct text and audio where the twin plants that, and only there?

    python tests/calibration/planted_weather.py [--twins 3] [--first 0]

Twins of DAIC-WOZ of several seeds, each once as it is and once with ``weather = false``, where emotion says nothing of the
diagnosis. The chains are those of Tables 2 and 3 at demo scale, five seeds in one job; the emotion model is trained on the twin of
CMU-MOSEI. Scored are the development and test participants together, by the area under the ROC curve of the seeds' mean
probability, which needs no threshold; with 44 participants its own error is about 0.09, so look at the means over twins.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable
from sklearn.metrics import roc_auc_score

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options, check
from orchestrator.execution.local import LocalExecutor
from orchestrator.running import prepare_corpora
from search_spaces import _climate as climate
from search_spaces.scale import SCALES

SEEDS = range(5)
ROWS = {
    "emotion, text": climate.emotion("mosei", "T"),
    "emotion, audio and text": climate.emotion("mosei", "A+T"),
    "direct text": climate.text,
    "direct audio": climate.audio,
}


def areas(twin: int, weather: bool, folder: Path) -> dict[str, float]:
    """Area under the ROC curve of every row on one twin."""
    spec = folder / f"corpora-{twin}-{weather}.toml"
    told = f'[daic_woz]\nreader = "twin"\nseed = {twin}\nweather = {str(weather).lower()}\n'
    spec.write_text(f'mosei = "demo"\niemocap = "demo"\n{told}')
    setting = check(Options("climate_fusion", corpora=str(spec), results=folder / "results", local=True)).setting
    prepare_corpora(setting, Console(quiet=True))
    executor, store = LocalExecutor(setting, lambda *call: None, lambda *progress: None), ArtifactStore(setting.store)
    found = {}
    for name, chain in ROWS.items():
        files = []
        for seed in SEEDS:
            stage = SCALES["demo"].apply(chain(seed))
            executor.finish_chain(stage)
            result = store.path(setting.fingerprint(stage))
            files += [pd.read_parquet(result / f"{part}.parquet") for part in ("predictions", "predictions_dev")]
        mean = pd.concat(files).groupby("unit").agg(truth=("truth", "first"), score=("p1", "mean"))
        found[name] = float(roc_auc_score(mean["truth"], mean["score"]))
    return found


def main() -> None:
    """Train on every twin, with and without weather, and show the areas."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--twins", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="seed of the first twin")
    options = parser.parse_args()
    console = Console()
    table = RichTable("features", *(f"twin {n}" for n in range(options.first, options.first + options.twins)), "mean ± SE")
    with tempfile.TemporaryDirectory() as folder:
        for weather in (True, False):
            found = [areas(options.first + number, weather, Path(folder)) for number in range(options.twins)]
            table.add_section()
            for name in ROWS:
                values = np.array([each[name] for each in found])
                error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
                label = f"{name}, {'weather planted' if weather else 'no weather'}"
                table.add_row(label, *(f"{value:.3f}" for value in values), f"{values.mean():.3f} ± {error:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
