"""Every role has a twin that is a valid corpus of the role, in the voices of the best synthesiser of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainables.corpora.small_twins import small_twin
from trainables.corpora.audio import read_audio
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.emotions import EMOTIONS
from trainables.corpora.registry import open_corpora
from trainables.corpora.roles import ROLES
from trainables.corpora.twins.recipe import RECIPES

COLUMNS = {
    "mdd": {"depressed", "gender"},
    "mosei": {"sentiment", "text"},
    "iemocap": {"emotion", "valence", "activation", "dominance", "gender"},
    "daic_woz": {"depressed", "phq8", "gender"},
    "sre": {"depressed", "bdi_ii", "task", "stimulus", "prompt", "gender"},
    "msp_podcast": {"emotion", "valence", "activation", "dominance", "gender"},
    "casia": {"emotion", "prompt", "gender"},
    "librispeech": {"gender"},
}
SPLITS = {
    "mdd": {""},
    "mosei": {"train", "dev", "test"},
    "iemocap": {""},
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


@pytest.mark.parametrize("role", COLUMNS)
def test_a_roles_twin_has_its_labels_and_splits_and_is_16_khz_mono_speech_within_its_recordings(role: str) -> None:
    source = small_twin(role)
    table = source.manifest()
    assert COLUMNS[role] <= set(table.columns)
    assert set(table["split"]) == SPLITS[role]
    assert (table["text"] != "").all()
    assert set(table.get("emotion", [])) <= set(EMOTIONS)
    found = {name: soundfile.info(source.audio_path(name)) for name in set(table["recording"])}
    assert {(info.samplerate, info.channels, info.subtype) for info in found.values()} == {(16000, 1, "PCM_16")}
    assert (table["end"] <= table["recording"].map({name: info.duration for name, info in found.items()})).all()
    assert (table["end"] - table["start"]).between(0.1, 15).all()
    for row in table.itertuples():
        assert np.sqrt(np.mean(read_audio(source.audio_path(row.recording), row.start, row.end) ** 2)) > 0.005
    source.verify()
