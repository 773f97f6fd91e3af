"""Stage: what a session tells besides what a model should listen to: gender, timing, the interviewer, the sound of the voice.

Computed once per corpus, part by part on whatever workers there are.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from trainables.errors import Faults, UserError
from trainables.leakage.exposure import Exposure
from trainables.parts import in_parts, turns_of
from trainables.stage import Context, CorpusRole, PartContext, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.features.log_mel import LogMel

SHORTCUTS = ("gender", "timing", "interviewer", "voice")
"""What can be described, and what a shortcut classifier may use."""

_SAMPLE_RATE = 16000
_MELS = 64
_PIECE_SECONDS = 30.0  # of a turn that are read at once: bounds the memory, where a recording of an hour is one turn

_PART_FILE = "part.parquet"


class SessionDescriptors(Stage):
    """Everything that shortcut controls need, once per corpus.

    - **gender**: the subject's, as the manifest says it.
    - **timing**: from the turns' times alone. Seconds, number, mean and deviation of the subject's turns; seconds and number of the
      interviewer's; the subject's share of what is spoken; response latency (from the end of an interviewer's turn to the subject's
      next one; negative where they overlap), mean and deviation; pauses between turns of the subject; share of silence between the
      first and the last turn. NaN where a session has none of something.
    - **interviewer**: words, and mean and deviation over time of the log-mel spectrum, of the interviewer's turns (Burdisso et al.
      2024, arXiv 2404.14463: on DAIC-WOZ an F1 of 0.90 from the interviewer's prompts alone).
    - **voice**: mean and deviation over time of the log-mel spectrum of the subject's turns.

    Spectra are of each turn by itself, of a long one in equal pieces of at most 30 s; mean and deviation are over all their frames.

    Result: ``descriptors.parquet``, one row per session: ``unit, speaker, session, split``, the labels, ``gender``, ``timing_*``,
    ``interviewer_words``, ``interviewer_mel_*`` and ``voice_mel_*`` (dB; NaN where nobody of the kind speaks).
    """

    label: ClassVar[str] = "session descriptors"
    accelerated: ClassVar[bool] = False

    unit: ClassVar[str] = "session"

    corpus: CorpusRole

    def exposure(self) -> Exposure:
        """Nothing is learnt: each session's descriptors are its own, the interviewer's apart from the subject's."""
        return Exposure(features=self)

    def run(self, context: Context) -> None:
        """Hand out the sessions, then put together what the parts have found.

        Raises:
            UserError: Unreadable audio: every such session is named. Or the corpus is no longer the planned one.
        """
        import pandas as pd

        from trainables.corpora.manifest import LABELS

        corpus = context.corpus(self.corpus)
        corpus.verify()
        manifest = corpus.manifest()
        facts = subject_turns(manifest, "session").drop_duplicates("unit").reset_index(drop=True)
        facts = facts[["unit", "speaker", "session", "split", *(label for label in LABELS if label in facts)]]
        turns = dict(iter(manifest.groupby("session")))
        sessions = [list(zip(turns[name]["talker"], turns_of(turns[name]), strict=True)) for name in facts["unit"]]
        work = list(in_parts(sessions, lambda session: (turn for _, turn in session), corpus))
        found = pd.concat([pd.read_parquet(part / _PART_FILE) for part in context.parts(work)], ignore_index=True)
        words = [" ".join(turns[name].loc[turns[name]["talker"] == "interviewer", "text"]) for name in facts["unit"]]
        table = pd.concat([facts, found], axis=1).assign(interviewer_words=words)
        table.to_parquet(context.directory / "descriptors.parquet", index=False)
        (context.directory / "metrics.json").write_text(json.dumps({"sessions": len(table)}))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Read the sessions of a part, and write their timing and spectra, one row per session.

        Args:
            work: For each session its turns, each with its talker.
            context: Where to write.

        Raises:
            UserError: Unreadable audio: every such session is named.
        """
        import pandas as pd

        from trainables.features.log_mel import LogMel

        corpus = context.corpus(self.corpus)
        corpus.prepare()  # a node without the twin makes it
        log_mel = LogMel(_SAMPLE_RATE, 512, 160, _MELS, 50.0, 8000.0)
        faults, rows = Faults(f"the audio of corpus {corpus.name!r}"), []
        for number, session in enumerate(work):
            turns = pd.DataFrame([(talker, *turn) for talker, turn in session], columns=["talker", "recording", "start", "end"])
            try:
                rows.append(_described(corpus, turns.astype({"end": float}), log_mel))
            except UserError as error:
                faults.add(str(error))
            context.tick((number + 1) / len(work))
        faults.raise_if_any()
        pd.DataFrame(rows).to_parquet(context.directory / _PART_FILE, index=False)


def missing_shortcuts(manifest: pd.DataFrame) -> dict[str, str]:
    """The shortcuts that a corpus cannot be tested for, and why."""
    missing = {}
    subject = manifest[manifest["talker"] == "subject"]
    if "gender" not in manifest or (subject["gender"] == "").any():
        missing["gender"] = "the gender of some subjects is not known"
    if not (manifest["talker"] == "interviewer").any():
        missing["interviewer"] = "no interviewer speaks"
    return missing


def timing(turns: pd.DataFrame) -> dict[str, float]:
    """The timing of one session; what there is none of is NaN.

    Args:
        turns: The session's rows with ``recording``, ``start`` and ``end`` (s, no NaN) and ``talker``.
    """
    import numpy as np

    turns = turns.sort_values(["recording", "start"], kind="stable")
    own = (turns["talker"] == "subject").to_numpy()
    lengths = (turns["end"] - turns["start"]).to_numpy()
    same = turns["recording"].to_numpy()[1:] == turns["recording"].to_numpy()[:-1]
    gaps = turns["start"].to_numpy()[1:] - turns["end"].to_numpy()[:-1]
    latencies, pauses = gaps[same & ~own[:-1] & own[1:]], gaps[same & own[:-1] & own[1:]]
    spans = turns.groupby("recording").agg(first=("start", "min"), last=("end", "max"))
    whole = float((spans["last"] - spans["first"]).sum())
    return {
        "subject_seconds": float(lengths[own].sum()),
        "subject_turns": float(own.sum()),
        "subject_turn_mean": _mean(lengths[own]),
        "subject_turn_sd": float(np.std(lengths[own])),
        "interviewer_seconds": float(lengths[~own].sum()),
        "interviewer_turns": float((~own).sum()),
        "subject_share": float(lengths[own].sum() / lengths.sum()),
        "latency_mean": _mean(latencies),
        "latency_sd": float(np.std(latencies)) if len(latencies) else float("nan"),
        "pause_mean": _mean(pauses),
        "silence_share": 1 - _spoken_seconds(turns) / whole,
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _spoken_seconds(turns: pd.DataFrame) -> float:
    """Time in which anybody speaks: overlapping turns count once. The rows are in order of recording and start."""
    total = 0.0
    for _, part in turns.groupby("recording"):
        reached = part["end"].astype(float).cummax().shift(fill_value=float("-inf"))
        total += float((part["end"] - part[["start"]].assign(reached=reached).max(axis=1)).clip(lower=0).sum())
    return total


def _described(corpus: CorpusSource, turns: pd.DataFrame, log_mel: LogMel) -> dict[str, float]:
    from trainables.corpora.audio import read_header

    open_ended = turns["end"].isna()
    if open_ended.any():
        lengths = {name: read_header(corpus.audio_path(name)).seconds for name in turns.loc[open_ended, "recording"].unique()}
        turns = turns.assign(end=turns["end"].fillna(turns["recording"].map(lengths)))
    found = {f"timing_{name}": value for name, value in timing(turns).items()}
    for talker, prefix in (("interviewer", "interviewer_mel"), ("subject", "voice_mel")):
        spectrum = _spectrum(corpus, turns[turns["talker"] == talker], log_mel)
        found |= {f"{prefix}_{number}": value for number, value in enumerate(spectrum)}
    return found


def _spectrum(corpus: CorpusSource, turns: pd.DataFrame, log_mel: LogMel) -> list[float]:
    """Mean and deviation over time of each log-mel band, dB; NaN without turns."""
    import numpy as np
    import torch
    from sklearn.preprocessing import StandardScaler

    from trainables.corpora.audio import read_audio

    if not len(turns):
        return [float("nan")] * (2 * _MELS)
    moments = StandardScaler()
    for row in turns.itertuples():
        path = corpus.audio_path(row.recording)
        for start, end in _pieces(row.start, row.end):
            frames = log_mel(torch.from_numpy(read_audio(path, start, end, _SAMPLE_RATE)))
            if not frames.isfinite().all():
                raise UserError(f"{path}: its samples are too large for their power to be finite; they should lie in [-1, 1]")
            moments.partial_fit(frames.double().numpy())
    return [*moments.mean_.tolist(), *np.sqrt(moments.var_).tolist()]


def _pieces(start: float, end: float) -> Iterator[tuple[float, float]]:
    """Equal pieces of a turn of at most :data:`_PIECE_SECONDS`; equal, so that none is too short to be read."""
    import numpy as np

    count = max(1, math.ceil((end - start) / _PIECE_SECONDS))
    return pairwise(np.linspace(start, end, count + 1).tolist())
