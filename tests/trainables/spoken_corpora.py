"""Small corpora of noise with what recordings may have: other sample rates, two channels, and utterances of any length."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.stage import Stage

CORPUS = "casia"
SHORTEST = "c0.wav"
"""Of 10 ms: less than one frame of a speech encoder hears."""

_EMOTIONS = ("ang", "fea", "hap", "neu", "sad", "sur", "neu", "ang")


def write_spoken_corpora(folder: Path) -> Path:
    """Write a ``casia`` and a ``daic_woz``; returns the folder.

    ``casia`` has eight whole files of 10 to 700 ms, two of them at 8 kHz and one of two channels; ``daic_woz`` four interviews of
    three turns of 0.5, 0.5 and 1 s, the second of them the interviewer's.
    """
    rng = np.random.default_rng(0)
    for role in (CORPUS, "daic_woz"):
        (folder / role).mkdir(parents=True)
    rows = []
    for number, emotion in enumerate(_EMOTIONS):
        rate, seconds = (8000 if number in (2, 5) else 16000), max(0.01, 0.1 * number)
        shape = (round(rate * seconds), 2) if number == 3 else round(rate * seconds)
        soundfile.write(folder / CORPUS / f"c{number}.wav", 0.1 * rng.standard_normal(shape), rate)
        rows.append({"file_name": f"c{number}.wav", "speaker": f"s{number % 4}", "emotion": emotion})
    pd.DataFrame(rows).to_csv(folder / CORPUS / "metadata.csv", index=False)
    turns = []
    for number in range(4):
        name = f"p{number}.wav"
        soundfile.write(folder / "daic_woz" / name, 0.1 * rng.standard_normal(32000), 16000)
        for start, end, talker in ((0.0, 0.5, "subject"), (0.5, 1.0, "interviewer"), (1.0, 2.0, "subject")):
            speaker = f"p{number}" if talker == "subject" else "doctor"
            whole = {"file_name": name, "session": f"p{number}", "depressed": number % 2, "split": "train", "text": "yes"}
            turns.append({**whole, "start": start, "end": end, "talker": talker, "speaker": speaker})
    pd.DataFrame(turns).to_csv(folder / "daic_woz" / "metadata.csv", index=False)
    (folder / "corpora.toml").write_text(f'[{CORPUS}]\nroot = "{CORPUS}"\n[daic_woz]\nroot = "daic_woz"\n')
    return folder


def open_spoken(folder: Path) -> dict[str, CorpusSource]:
    """The corpora of :func:`write_spoken_corpora` by role."""
    return open_corpora(str(folder / "corpora.toml"), folder, [CORPUS, "daic_woz"])


def finished(corpora: Mapping[str, CorpusSource], stage: Stage, store: Path, **settings: object) -> Path:
    """The result of a stage after its chain was run in this process."""
    setting = Setting(corpora=dict(corpora), store=str(store), code=code_version(), **settings)
    LocalExecutor(setting, lambda *call: None).finish_chain(stage)
    return ArtifactStore(store).path(setting.fingerprint(stage))
