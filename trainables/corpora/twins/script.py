"""From a recipe to a script: who says what, how and after which pause. Pure; the same recipe gives the same script anywhere.

Every recording is drawn from generators of its own, so that recordings can be made in any order and number of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainables.corpora.twins.acted_sentences import write_acted_sentences
from trainables.corpora.twins.clinical_interviews import write_clinical_interviews
from trainables.corpora.twins.dialogues import write_dialogues
from trainables.corpora.twins.interviews import write_interviews
from trainables.corpora.twins.monologues import write_monologues
from trainables.corpora.twins.podcasts import write_podcasts
from trainables.corpora.twins.readings import write_readings
from trainables.corpora.twins.recipe import AnyRecipe
from trainables.corpora.twins.spoken_tasks import write_spoken_tasks
from trainables.corpora.twins.turns import Recording

_WRITERS: dict[str, Callable[[Any], list[Recording]]] = {
    "mdd": write_interviews,
    "mosei": write_monologues,
    "iemocap": write_dialogues,
    "daic_woz": write_clinical_interviews,
    "sre": write_spoken_tasks,
    "msp_podcast": write_podcasts,
    "casia": write_acted_sentences,
    "librispeech": write_readings,
}
"""Kind of recipe to who writes its script."""


def write_script(recipe: AnyRecipe) -> list[Recording]:
    """The recordings that a recipe asks for."""
    return _WRITERS[recipe.kind](recipe)
