"""Twins: real speech, the same bytes on every run, made once, with effects where they are planted and nowhere else."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from trainables.corpora.audio import read_audio
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.corpora.twins import espeak, speech
from trainables.corpora.twins.build import make_twin
from trainables.corpora.twins.effects import Effects, Shift
from trainables.corpora.twins.reader import twin_source
from trainables.corpora.twins.recipe import RECIPES, MddRecipe, MoseiRecipe, Synthesiser, twin_digest
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.voices import Voice, cast_voices
from trainables.errors import UserError

FORMANT = Synthesiser(name="formant", version="1")
ESPEAK = Synthesiser(name="espeak-ng", version=espeak.installed_version() or "")
TINY = MddRecipe(sessions_per_class=2, subject_seconds=(2.0, 3.0), short_seconds=1.0)

needs_espeak = pytest.mark.skipif(not ESPEAK.version, reason="espeakng-loader is not installed, or does not load here")
both_synthesisers = pytest.mark.parametrize(
    "synthesiser", [FORMANT, pytest.param(ESPEAK, marks=needs_espeak)], ids=lambda s: s.name
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@both_synthesisers
def test_the_bytes_are_of_speech_and_depend_neither_on_the_run_nor_on_the_number_of_processes(
    tmp_path: Path, synthesiser: Synthesiser
) -> None:
    heard: list[tuple[int, int]] = []
    source = twin_source("mdd", tmp_path, TINY, synthesiser)
    source.prepare(lambda done, total: heard.append((done, total)))  # by two processes, where there are as many cores
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    make_twin(tmp_path / "again", TINY, synthesiser, processes=1)
    assert contents(tmp_path / "again") == contents(Path(source.root))
    table = source.manifest()
    for row in table.itertuples():
        assert np.sqrt(np.mean(read_audio(source.audio_path(row.recording), row.start, row.end) ** 2)) > 0.005
    receipt = json.loads((Path(source.root) / "corpus.json").read_text())
    assert (receipt["digest"], receipt["segments"]) == (source.digest, len(table))


def test_several_processes_asking_at_once_make_a_twin_once(tmp_path: Path) -> None:
    source = twin_source("mdd", tmp_path, TINY)
    code = (
        "import sys; from trainables.corpora.corpus import CorpusSource;"
        "made = []; source = CorpusSource.model_validate_json(sys.argv[1]);"
        "source.prepare(lambda done, total: made.append(done)); print(len(made))"
    )
    command = [sys.executable, "-c", code, source.model_dump_json()]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = sorted(process.communicate()[0].strip() for process in processes)
    assert counts == ["0", "0", "4"]


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    source = twin_source("mdd", tmp_path, TINY)
    leftover = Path(f"{source.root}.partial")
    (leftover / "audio").mkdir(parents=True)
    (leftover / "audio" / "half.flac").write_bytes(b"x")
    source.prepare()
    assert not leftover.exists()
    assert not (Path(source.root) / "audio" / "half.flac").exists()


def test_a_process_that_fails_leaves_no_twin_and_its_reason(tmp_path: Path) -> None:
    unknown = FORMANT.model_copy(update={"name": "nobody"})
    with pytest.raises(RuntimeError, match="Input should be 'espeak-ng' or 'formant'"):
        make_twin(tmp_path / "twin", TINY, unknown)
    assert not (tmp_path / "twin").exists()


def test_another_synthesiser_than_the_digests_is_refused(tmp_path: Path) -> None:
    source = twin_source("mdd", tmp_path, TINY, Synthesiser(name="espeak-ng", version="0.0.1"))
    with pytest.raises(UserError, match=r"install espeakng-loader==0\.0\.1"):
        source.manifest()


def test_without_espeak_the_demo_is_spoken_by_the_formant_synthesiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = open_corpora("demo", tmp_path, ["mdd"])["mdd"]
    monkeypatch.setattr(espeak, "installed_version", lambda: None)
    speech.best_synthesiser.cache_clear()
    try:
        fallback = open_corpora("demo", tmp_path, ["mdd"])["mdd"]
    finally:
        speech.best_synthesiser.cache_clear()
    assert fallback.options["synthesiser"]["name"] == "formant"
    assert (fallback.digest != usual.digest) == bool(ESPEAK.version)


def test_the_digest_follows_every_setting_and_the_synthesiser() -> None:
    louder = Effects(valence=Shift(volume=9.0))
    variants = [
        twin_digest(MddRecipe(), FORMANT),
        twin_digest(MddRecipe(seed=1), FORMANT),
        twin_digest(MddRecipe(effects=louder), FORMANT),
        twin_digest(MoseiRecipe(), FORMANT),
        twin_digest(MddRecipe(), FORMANT.model_copy(update={"version": "2"})),
    ]
    assert len(set(variants)) == len(variants)


def test_a_twin_source_travels_as_json(tmp_path: Path) -> None:
    source = twin_source("mosei", tmp_path)
    assert CorpusSource.model_validate_json(source.model_dump_json()) == source
    assert (source.name, source.is_twin) == ("twin-mosei", True)


def test_interviews_are_balanced_over_class_gender_length_and_interviewer() -> None:
    script = write_script(RECIPES["mdd"])
    subjects = [[turn for turn in recording.turns if turn.talker == "subject"] for recording in script]
    cells = [(turns[0].labels["depressed"], turns[0].voice.gender) for turns in subjects]
    assert len(script) == 60
    assert all(cells.count(cell) == 15 for cell in set(cells))
    assert len({(turns[0].voice.accent, turns[0].voice.variant) for turns in subjects}) == 60
    chairs = [(recording.turns[0].labels["depressed"], recording.turns[0].speaker) for recording in script]
    assert all(chairs.count(chair) == 10 for chair in set(chairs))


def test_interviewers_say_and_do_the_same_whoever_they_speak_to() -> None:
    for recording in write_script(RECIPES["mdd"]):
        questions = [turn for turn in recording.turns if turn.talker == "interviewer"]
        assert {turn.style for turn in questions} == {Shift()}
        assert {turn.seed for turn in questions} == {0}


def test_depressed_subjects_speak_slower_flatter_and_quieter_and_speakers_overlap() -> None:
    styles: dict[int, list[Shift]] = {0: [], 1: []}
    for recording in write_script(RECIPES["mdd"]):
        turns = [turn for turn in recording.turns if turn.talker == "subject"]
        average = Shift(**{name: mean(getattr(turn.style, name) for turn in turns) for name in Shift.model_fields})
        styles[int(turns[0].labels["depressed"])].append(average)
    for name in ("rate", "range", "volume"):
        healthy, depressed = ([getattr(style, name) for style in styles[label]] for label in (0, 1))
        assert mean(depressed) < mean(healthy)
        assert max(depressed) > min(healthy)


def test_interviews_have_the_traps_of_real_ones() -> None:
    script = write_script(RECIPES["mdd"])
    turns = [turn for recording in script for turn in recording.turns if turn.talker == "subject"]
    assert any(turn.pause < 0 for turn in turns)  # starts before the question has ended
    assert any(turn.text == "Mm." for turn in turns)
    counts = [sum(turn.talker == "subject" for turn in recording.turns) for recording in script]
    assert min(counts) <= 5 < 15 <= max(counts)


def test_monologues_have_signed_scores_some_zero_and_splits_disjoint_by_speaker() -> None:
    script = write_script(RECIPES["mosei"])
    scores = [float(turn.labels["sentiment"]) for recording in script for turn in recording.turns]
    assert 380 <= len(scores) <= 460
    assert min(scores) == -3
    assert max(scores) == 3
    assert 0.05 < scores.count(0.0) / len(scores) < 0.3
    splits = [recording.split for recording in script]
    assert [splits.count(split) for split in ("train", "dev", "test")] == [29, 6, 7]
    assert len({recording.turns[0].speaker for recording in script}) == 42


def test_formant_speech_follows_the_style_it_is_given() -> None:
    voice = Voice(accent="gmw/en", variant="m1", gender="male", pitch=0.0, rate=0.0)

    def said(style: Shift) -> np.ndarray:
        return speech.speak("Nothing helped at all yesterday.", voice, style, 1, FORMANT) / 32768

    plain = said(Shift())
    assert len(said(Shift(rate=-math.log(2)))) == pytest.approx(2 * len(plain), rel=0.05)
    assert np.sqrt(np.mean(said(Shift(volume=-6.0)) ** 2) / np.mean(plain**2)) == pytest.approx(10 ** (-6 / 20), rel=0.01)
    assert fundamental(said(Shift(pitch=6.0, range=-9.0))) == pytest.approx(110 * 2**0.5, rel=0.05)
    assert fundamental(said(Shift(range=-9.0))) == pytest.approx(110, rel=0.05)


@both_synthesisers
def test_a_shorter_vocal_tract_raises_the_formants_and_changes_neither_pitch_nor_pace(synthesiser: Synthesiser) -> None:
    """In a process of its own, because espeak-ng forks."""
    code = (
        "import sys; from trainables.corpora.twins.speech import speak; from trainables.corpora.twins.voices import Voice;"
        "from trainables.corpora.twins.effects import Shift; from trainables.corpora.twins.recipe import Synthesiser;"
        "voice = Voice(accent='gmw/en', variant='m1', gender='male', pitch=0.0, rate=0.0, tract=float(sys.argv[1]));"
        "synthesiser = Synthesiser.model_validate_json(sys.argv[2]);"
        "wave = speak('All along our narrow lane.', voice, Shift(range=-9.0), 1, synthesiser);"
        "sys.stdout.buffer.write(wave.tobytes())"
    )

    def said(tract: float) -> np.ndarray:
        command = [sys.executable, "-c", code, str(tract), synthesiser.model_dump_json()]
        return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, dtype="<i2") / 32768

    usual, shorter = said(0.0), said(2.0)
    assert len(shorter) == pytest.approx(len(usual), rel=0.05)
    assert fundamental(shorter) == pytest.approx(fundamental(usual), rel=0.05)
    assert 1.03 < centroid(shorter) / centroid(usual) < 1.25  # 2 semitones are a factor of 1.12


def centroid(wave: np.ndarray) -> float:
    """Mean frequency of the spectrum's magnitude up to 4 kHz, Hz."""
    magnitude, hertz = np.abs(np.fft.rfft(wave)), np.fft.rfftfreq(len(wave), 1 / 16000)
    return float(np.average(hertz[hertz < 4000], weights=magnitude[hertz < 4000]))


def test_participants_who_share_a_voice_have_vocal_tracts_of_different_lengths() -> None:
    people: dict[tuple[str, str], list[Voice]] = {}
    for voice in cast_voices(88, "participants", random.Random(0)):
        people.setdefault((voice.accent, voice.variant), []).append(voice)
    assert {len(shared) for shared in people.values()} == {2}
    assert all(abs(one.tract - other.tract) > 1.5 for one, other in people.values())
    with pytest.raises(IndexError):
        cast_voices(90, "participants", random.Random(0))


def fundamental(wave: np.ndarray) -> float:
    """The lag at which the whole signal is most like itself, from 60 to 300 Hz."""
    spectrum = np.abs(np.fft.rfft(wave, 2 * len(wave))) ** 2
    likeness = np.fft.irfft(spectrum)
    lags = np.arange(16000 // 300, 16000 // 60)
    return 16000 / lags[np.argmax(likeness[lags])]


@needs_espeak
def test_a_voice_that_espeak_lacks_is_refused_and_never_replaced() -> None:
    for accent, variant in (("gmw/en-US", "nobody"), ("en-gb", "f1")):
        with pytest.raises(RuntimeError, match="has no voice"):
            espeak.synthesise("hello", accent, variant, 170, 50, 50, 0)
