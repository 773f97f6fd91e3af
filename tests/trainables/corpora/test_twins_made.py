"""Every role has a twin that is a valid corpus of the role, in the voices of the best synthesiser of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import soundfile

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.reader import twin_source
from trainables.corpora.twins.recipe import (
    RECIPES,
    AnyRecipe,
    CasiaRecipe,
    DaicWozRecipe,
    LibriSpeechRecipe,
    MspPodcastRecipe,
    SreRecipe,
)

SMALL: dict[str, AnyRecipe] = {
    "daic_woz": DaicWozRecipe(participants=8, subject_seconds=(2.0, 3.0), short_seconds=1.0),
    "sre": SreRecipe(subjects_per_class=2),
    "msp_podcast": MspPodcastRecipe(speakers=8, utterances=(3, 4)),
    "casia": CasiaRecipe(texts=1),
    "librispeech": LibriSpeechRecipe(speakers=3, utterances=(2, 3)),
}
COLUMNS = {
    "daic_woz": {"depressed", "phq8", "gender"},
    "sre": {"depressed", "bdi_ii", "task", "stimulus", "prompt", "gender"},
    "msp_podcast": {"emotion", "valence", "activation", "dominance", "gender"},
    "casia": {"emotion", "prompt", "gender"},
    "librispeech": {"gender"},
}
SPLITS = {
    "daic_woz": {"train", "dev", "test"},
    "sre": {""},
    "msp_podcast": {"train", "dev", "test", "test2"},
    "casia": {""},
    "librispeech": {"train", "dev", "test"},
}


def test_the_demo_gives_every_role_its_twin(tmp_path: Path) -> None:
    assert set(RECIPES) == set(ROLES)
    sources: Iterable[CorpusSource] = open_corpora("demo", tmp_path, ROLES).values()
    assert [source.name for source in sources] == [f"twin-{role}" for role in ROLES]
    assert all(RECIPES[role].kind == role for role in ROLES)


@pytest.mark.parametrize("role", SMALL)
def test_a_roles_twin_has_its_labels_and_splits_and_sounds_within_its_recordings(role: str, tmp_path: Path) -> None:
    source = twin_source(role, tmp_path, SMALL[role])
    table = source.manifest()
    assert COLUMNS[role] <= set(table.columns)
    assert set(table["split"]) == SPLITS[role]
    assert (table["text"] != "").all()
    seconds = {name: soundfile.info(source.audio_path(name)).duration for name in set(table["recording"])}
    assert (table["end"] <= table["recording"].map(seconds)).all()
    assert (table["end"] - table["start"]).between(0.1, 15).all()
    source.verify()
