"""A small twin of every role, in the voices of the best synthesiser of this machine, made once for all tests of a process."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.twins.reader import twin_source
from trainables.corpora.twins.recipe import (
    AnyRecipe,
    CasiaRecipe,
    DaicWozRecipe,
    IemocapRecipe,
    LibriSpeechRecipe,
    MddRecipe,
    MoseiRecipe,
    MspPodcastRecipe,
    SreRecipe,
)

RECIPES: dict[str, AnyRecipe] = {
    "iemocap": IemocapRecipe(sessions=2, dialogues=4, turns=(3, 4)),
    "mosei": MoseiRecipe(speakers=6, utterances=(2, 3), split_shares=(0.5, 0.17)),
    "daic_woz": DaicWozRecipe(participants=8, subject_seconds=(2.0, 3.0), short_seconds=1.0),
    "msp_podcast": MspPodcastRecipe(speakers=10, utterances=(2, 3), unknown_share=0.2),
    "librispeech": LibriSpeechRecipe(speakers=4, utterances=(2, 3)),
    "casia": CasiaRecipe(texts=1),
    "sre": SreRecipe(subjects_per_class=2),
    "mdd": MddRecipe(sessions_per_class=2, subject_seconds=(2.0, 3.0), short_seconds=1.0),
}


@functools.cache
def _home() -> Path:
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    return Path(home.name)


@functools.cache
def small_twin(role: str) -> CorpusSource:
    """The role's twin, which tests only read."""
    source = twin_source(role, _home(), RECIPES[role])
    source.prepare()
    return source
