"""Making a twin's folder: shared out to clean interpreters, put together aside, and moved into place in one step.

``python -m trainables.corpora.twins.build`` is such an interpreter: it takes a task on standard input and answers one line of
JSON per recording. Ours may hold torch's and Ray's threads, and a process with threads must not fork, which espeak-ng needs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import trainables
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.reading import Progress
from trainables.corpora.twins.recipe import RECIPE_VERSION, AnyRecipe, Synthesiser, twin_digest
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.turns import Recording

AUDIO_FOLDER = "audio"
MANIFEST_NAME = "manifest.csv"
RECEIPT_NAME = "corpus.json"


def make_twin(
    folder: Path,
    recipe: AnyRecipe,
    synthesiser: Synthesiser,
    progress: Progress | None = None,
    processes: int | None = None,
) -> None:
    """Make a twin: ``audio/*.flac`` (16 kHz, mono, 16 bit), ``manifest.csv`` and ``corpus.json``.

    Args:
        folder: Appears whole or not at all. The caller holds the lock that lets one process make it.
        recipe: What to make.
        synthesiser: Who speaks.
        progress: Called with the number of finished recordings and their total.
        processes: At most this many at once; one per core, and no more than two, if None. The bytes do not depend on it.

    Raises:
        RuntimeError: A process failed; its error output is in the message.
    """
    script = write_script(recipe)
    aside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    (aside / AUDIO_FOLDER).mkdir(parents=True)
    processes = min(processes or min(2, os.cpu_count() or 1), len(script))
    rows = _share_out(script, aside / AUDIO_FOLDER, synthesiser, processes, progress)
    _write_manifest(aside / MANIFEST_NAME, rows)
    receipt = _receipt(aside, recipe, synthesiser, rows)
    (aside / RECEIPT_NAME).write_text(json.dumps(receipt, indent=2) + "\n")
    os.replace(aside, folder)


def _share_out(
    script: list[Recording], folder: Path, synthesiser: Synthesiser, processes: int, progress: Progress | None
) -> list[dict[str, Any]]:
    """Have so many processes make the recordings; the manifest's rows, by recording."""
    done: list[dict[str, Any]] = []
    one_at_a_time = threading.Lock()

    def finished(answer: dict[str, Any]) -> None:
        with one_at_a_time:
            done.append(answer)
            if progress:
                progress(len(done), len(script))

    shares = [script[first::processes] for first in range(processes)]
    with ThreadPoolExecutor(processes) as pool:  # each thread only waits for its process
        list(pool.map(lambda share: _run_process(share, folder, synthesiser, finished), shares))
    return [row for answer in sorted(done, key=lambda answer: answer["recording"]) for row in answer["rows"]]


def _run_process(
    share: list[Recording], folder: Path, synthesiser: Synthesiser, finished: Callable[[dict[str, Any]], None]
) -> None:
    """Have one clean interpreter make a share of the recordings."""
    ours = str(Path(trainables.__file__).parent.parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH")))),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "trainables.corpora.twins.build"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    task = {"folder": str(folder), "synthesiser": synthesiser.model_dump(), "script": [item.model_dump() for item in share]}
    with process:
        try:
            process.stdin.write(json.dumps(task))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has died already, and its error output says why
        for line in process.stdout:
            finished(json.loads(line))
        errors = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"the process that makes a twin's recordings failed ({process.returncode}):\n{errors.strip()}")


def _write_manifest(path: Path, rows: list[dict[str, Any]]) -> None:
    names = [name for name in (*COLUMNS, *LABELS) if name in rows[0]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def content_hash(folder: Path) -> str:
    """Hash of a twin's bytes: its manifest, and its recordings with their names; 16 hexadecimal digits."""
    content = hashlib.blake2b((folder / MANIFEST_NAME).read_bytes(), digest_size=8)
    for path in sorted((folder / AUDIO_FOLDER).iterdir()):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()


def _receipt(folder: Path, recipe: AnyRecipe, synthesiser: Synthesiser, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What was made: its recipe, the hash of its bytes and its counts."""
    subjects = [row for row in rows if row["talker"] == "subject"]
    return {
        "digest": twin_digest(recipe, synthesiser),
        "content": content_hash(folder),
        "recipe_version": RECIPE_VERSION,
        "recipe": recipe.model_dump(mode="json"),
        "synthesiser": synthesiser.model_dump(),
        "recordings": len({row["recording"] for row in rows}),
        "segments": len(rows),
        "subjects": len({row["speaker"] for row in subjects}),
        "subject_seconds": round(sum(row["end"] - row["start"] for row in subjects), 2),
    }


def _make_recordings(task: dict[str, Any]) -> None:
    """The clean interpreter's work: write every recording of the share and answer its manifest rows."""
    import soundfile

    from trainables.corpora.twins.render import Renderer
    from trainables.corpora.twins.speech import SAMPLE_RATE

    renderer = Renderer(Synthesiser.model_validate(task["synthesiser"]))
    for item in task["script"]:
        recording = Recording.model_validate(item)
        wave, rows = renderer.render(recording)
        name = f"{recording.name}.flac"
        soundfile.write(Path(task["folder"]) / name, wave, SAMPLE_RATE, subtype="PCM_16")
        path = f"{AUDIO_FOLDER}/{name}"
        print(json.dumps({"recording": path, "rows": [{**row, "recording": path} for row in rows]}), flush=True)


if __name__ == "__main__":
    _make_recordings(json.load(sys.stdin))
