"""Case studies of participants: what emotion each modality finds in them, and in which turns (Climate and Weather, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.artifacts import ArtifactStore
from orchestrator.plan import Plan
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from trainables.emotion_features import EmotionFeatures

SHOWN = 5
"""Participants that are shown if none is asked for."""


@dataclass(frozen=True)
class Described:
    """What one emotion model makes of all participants.

    Attributes:
        model: The corpus that it was trained on.
        modality: 'audio', 'text' or 'both'.
        sessions: One row per session (:func:`trainables.emotion_features.session_emotions`), and its ``depressed`` and ``split``.
        turns: One row per turn: ``unit, turn, recording, start, end``, and the model's outputs.
    """

    model: str
    modality: str
    sessions: pd.DataFrame
    turns: pd.DataFrame


def described(plan: Plan, seed: int) -> list[Described]:
    """What the emotion models of this seed found, from the store alone.

    Raises:
        UserError: Some of it is not computed yet.
    """
    store, found = ArtifactStore(plan.setting.store), {}
    for trial in plan.trials:
        if trial.record.seed == seed:
            features = trial.target.features
            found[plan.setting.fingerprint(features)] = features
    missing = [name for name in found if not store.is_done(name)]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(found)} emotion models have not described the participants yet, such as {missing[0]}; run "
            f"`python -m orchestrator.sweep {plan.study.name} --seeds {seed + 1}` with the same corpora, scale and store first"
        )
    return [_read(store.path(name), features) for name, features in found.items()]


def _read(result: Path, features: EmotionFeatures) -> Described:
    import pandas as pd

    from trainables.emotion_features import session_emotions

    table = pd.read_parquet(result / "segments.parquet")
    facts = table.groupby("unit")[["depressed", "split"]].first()
    turns = pd.concat([table[["unit", "turn", "recording", "start", "end"]], pd.read_parquet(result / "outputs.parquet")], axis=1)
    return Described(features.model.turns.corpus, features.model.modality, session_emotions(result).join(facts), turns)


def contradicting(found: Sequence[Described], model: str) -> list[str]:
    """Depressed training participants in whom audio and text find another dominant class, the clearest contradictions first.

    The paper's cases are of the training set, and nobody should look at single test participants without need.

    Args:
        found: What the models found.
        model: Of the two models that are compared.
    """
    heard, read = (_sessions(found, model, modality) for modality in ("audio", "text"))
    certainty = sum(each.filter(regex="^p_").max(axis=1) for each in (heard, read))
    chosen = (heard["depressed"] == 1) & (heard["split"] == "train") & (heard["dominant"] != read["dominant"])
    return certainty[chosen].sort_values(ascending=False, kind="stable").index.tolist()


def _sessions(found: Sequence[Described], model: str, modality: str) -> pd.DataFrame:
    return next(each.sessions for each in found if (each.model, each.modality) == (model, modality))


def chosen_participants(found: Sequence[Described], asked: Sequence[str], model: str) -> list[str]:
    """The participants to show: those asked for, or some who contradict themselves.

    Raises:
        UserError: A participant is unknown; or nobody contradicts himself.
    """
    known = found[0].sessions.index
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UserError(f"there is no participant {', '.join(unknown)}; the corpus has {', '.join(map(str, known[:8]))}, ...")
    participants = list(asked) or contradicting(found, model)[:SHOWN]
    if not participants:
        raise UserError("in no depressed participant do audio and text contradict each other; name participants to see them")
    return participants


def case_table(found: Sequence[Described], participant: str) -> Table:
    """One participant: a line per model and modality with the dominant class, its share of the turns, and all means."""
    from rich.table import Table

    depressed = found[0].sessions.loc[participant, "depressed"]
    title = f"Participant {participant}, {'depressed' if depressed == 1 else 'healthy'}"
    table = Table("model", "modality", "dominant", "share of turns", "means over turns", title=title, title_justify="left")
    for each in found:
        row = each.sessions.loc[participant]
        means = [name for name in each.sessions if name in each.turns]
        told = ", ".join(f"{name.removeprefix('p_')} {row[name]:.2f}" for name in means)
        table.add_row(each.model, each.modality, row["dominant"], f"{row['share_' + row['dominant']]:.0%}", told)
    return table


def turn_table(found: Sequence[Described], participant: str, count: int) -> Table:
    """The turns in which each model and modality finds the participant's dominant class most clearly, to be listened to."""
    from rich.table import Table

    table = Table("model", "modality", "class", "probability", "recording", "from s", "to s", title_justify="left")
    for each in found:
        dominant = each.sessions.loc[participant, "dominant"]
        turns = each.turns[each.turns["unit"] == participant]
        for turn in turns.nlargest(count, f"p_{dominant}").itertuples():
            end = "end" if turn.end != turn.end else f"{turn.end:.2f}"
            probability = f"{getattr(turn, f'p_{dominant}'):.2f}"
            table.add_row(each.model, each.modality, dominant, probability, turn.recording, f"{turn.start:.2f}", end)
    return table
