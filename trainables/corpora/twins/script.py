"""From a recipe to a script: who says what, how and after which pause. Pure; the same recipe gives the same script anywhere.

Every recording is drawn from generators of its own, so that recordings can be made in any order and number of processes.
"""

from __future__ import annotations

from trainables.corpora.twins.dialogues import write_dialogues
from trainables.corpora.twins.interviews import write_interviews
from trainables.corpora.twins.monologues import write_monologues
from trainables.corpora.twins.recipe import AnyRecipe, MddRecipe, MoseiRecipe
from trainables.corpora.twins.turns import Recording


def write_script(recipe: AnyRecipe) -> list[Recording]:
    """The recordings that a recipe asks for."""
    if isinstance(recipe, MddRecipe):
        return write_interviews(recipe)
    return write_monologues(recipe) if isinstance(recipe, MoseiRecipe) else write_dialogues(recipe)
