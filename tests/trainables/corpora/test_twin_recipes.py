"""Twins whose recipe the user sets: the settings, their faults, twins in which nothing is planted, and what never changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from scipy.stats import chi2_contingency, kruskal

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.effects import Effects, EmotionEffects, Shift
from trainables.corpora.twins.interviews import write_interview
from trainables.corpora.twins.recipe import (
    RECIPES,
    AnyRecipe,
    DaicWozRecipe,
    IemocapRecipe,
    MddRecipe,
    MoseiRecipe,
    Synthesiser,
    twin_digest,
)
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.sentences import SLOTS
from trainables.corpora.twins.turns import Turn
from trainables.corpora.twins.voices import Voice
from trainables.errors import UserError


def opened(tmp_path: Path, text: str, role: str) -> CorpusSource:
    (tmp_path / "corpora.toml").write_text(text)
    return open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", [role])[role]


@pytest.mark.parametrize(
    ("role", "formant", "espeak", "script"),
    [
        ("mdd", "f78328f183f38280", "c26f912428147209", "fb321c5d18652bea"),
        ("mosei", "1fcce8f420fe6162", "a456633fb3e1974b", "2fa92b05c020241a"),
        ("iemocap", "6520343e912029f4", "a39f5fe9984e4bb2", "e18f86154d793e23"),
        ("daic_woz", "e726c892195eefbc", "9a7b0a01d22aa78f", "5acaab5262c2c065"),
        ("sre", "edda45aeacc00c2b", "d398a36923bb0472", "257c853dcd78d7d1"),
        ("msp_podcast", "7572083ee4dbbf20", "94d69dd671c23a70", "72a7879acbe47a55"),
        ("casia", "bdbd237783ed9817", "274806132a0009d9", "0d2f848341b943ed"),
        ("librispeech", "0f87a362bca916aa", "697af82d93dc71de", "28a3100ba0a864a6"),
    ],
)
def test_the_twins_are_what_they_always_were(role: str, formant: str, espeak: str, script: str) -> None:
    # If a digest moves, every cached result on that twin is lost; if the script moves and the digest does not, they are wrong.
    voices = (Synthesiser(name="formant", version="1"), Synthesiser(name="espeak-ng", version="0.2.4"))
    assert [twin_digest(RECIPES[role], voice) for voice in voices] == [formant, espeak]
    told = json.dumps([recording.model_dump() for recording in write_script(RECIPES[role])], sort_keys=True)
    assert hashlib.blake2b(told.encode(), digest_size=8).hexdigest() == script


def test_a_table_sets_the_roles_recipe_and_the_name_says_how(tmp_path: Path) -> None:
    text = '[mdd]\nreader = "twin"\nseed = 7\nplanted = false\nsessions_per_class = 8\nsubject_seconds = [3, 6.5]\n'
    source = opened(tmp_path, text, "mdd")
    recipe = MddRecipe(seed=7, sessions_per_class=8, subject_seconds=(3.0, 6.5), effects=Effects.nothing())
    assert MddRecipe.model_validate(source.options["recipe"]) == recipe
    assert source.name == "twin-mdd(seed=7,sessions_per_class=8,subject_seconds=3.0-6.5,planted=false)"
    assert source.is_twin


def test_a_table_that_changes_nothing_is_the_demo(tmp_path: Path) -> None:
    table = opened(tmp_path, '[mosei]\nreader = "twin"\nseed = 0\nplanted = true\n', "mosei")
    assert table == open_corpora("demo", tmp_path / "home", ["mosei"])["mosei"]


def test_every_setting_is_part_of_the_identity(tmp_path: Path) -> None:
    lines = ("", "seed = 1", "planted = false", "sessions = 4", "dialogues = 2", "turns = [3, 4]")
    sources = [opened(tmp_path, f'[iemocap]\nreader = "twin"\n{line}\n', "iemocap") for line in lines]
    for distinct in ([source.digest for source in sources], [source.root for source in sources], [s.name for s in sources]):
        assert len(set(distinct)) == len(lines)


@pytest.mark.parametrize(
    ("lines", "effects", "told"),
    [
        ("weather = false", ClinicalEffects(weather=False), "weather=false"),
        ("direct = true\nprobes = false", ClinicalEffects(direct=True, probes=False), "direct=true,probes=false"),
        ("weather = true", ClinicalEffects(), ""),
        ("planted = false\nweather = false", ClinicalEffects.nothing(), "planted=false"),
    ],
)
def test_a_twins_effects_have_switches_of_their_own(tmp_path: Path, lines: str, effects: ClinicalEffects, told: str) -> None:
    source = opened(tmp_path, f'[daic_woz]\nreader = "twin"\n{lines}\n', "daic_woz")
    assert DaicWozRecipe.model_validate(source.options["recipe"]) == DaicWozRecipe(effects=effects)
    assert source.name == ("twin-daic_woz" + (f"({told})" if told else ""))


def test_a_switch_that_cannot_be_is_told(tmp_path: Path) -> None:
    text = '[daic_woz]\nreader = "twin"\nplanted = false\nweather = true\ndirect = 0\n[mosei]\nreader = "twin"\nweather = false\n'
    (tmp_path / "corpora.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        open_corpora(str(tmp_path / "corpora.toml"), tmp_path, ["daic_woz", "mosei"])
    assert list(caught.value.messages) == [
        "daic_woz: direct should be true or false; found 0",
        "daic_woz: planted = false plants nothing, so weather = true cannot be: delete one of the two",
        "mosei: unknown key 'weather'; known are seed, speakers, utterances, split_shares, planted",
    ]


def test_all_faults_of_a_recipe_are_told_at_once_as_sentences(tmp_path: Path) -> None:
    text = (
        '[mdd]\nreader = "twin"\nroot = "x"\nsede = 3\nplanted = 1\nseed = "7"\nsessions_per_class = 31\n'
        "subject_seconds = [9, 3]\nshort_seconds = inf\n"
        '[iemocap]\nreader = "twin"\nseed = true\nturns = [3]\nsessions = 2024-01-01\n'
        '[msp_podcast]\nreader = "twin"\nsplit_shares = [0.5, 0.2]\n'
    )
    (tmp_path / "corpora.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        open_corpora(str(tmp_path / "corpora.toml"), tmp_path, ["mdd", "iemocap", "msp_podcast"])
    assert list(caught.value.messages) == [
        "mdd: 'root' is for recordings on disk, and a twin is made: delete it, or the line reader = \"twin\"",
        "mdd: unknown key 'sede'; did you mean 'seed'? known are seed, sessions_per_class, subject_seconds, short_seconds, planted",
        "mdd: planted should be true or false; found 1",
        "mdd: seed should be a valid integer; found '7'",
        "mdd: sessions_per_class should be less than or equal to 30; found 31",
        "mdd: subject_seconds: the first number must not be greater than the second; found [9, 3]",
        "mdd: short_seconds should be a finite number; found inf",
        "iemocap: seed should be a valid integer; found True",
        "iemocap: sessions should be a valid integer; found datetime.date(2024, 1, 1)",
        "iemocap: turns should be two numbers in brackets; found [3]",
        "msp_podcast: split_shares should be three numbers in brackets; found [0.5, 0.2]",
    ]


@pytest.mark.parametrize(
    ("role", "settings"),
    [
        ("mdd", "sessions_per_class = 2\nsubject_seconds = [2, 3]\nshort_seconds = 1"),
        ("mosei", "speakers = 3\nutterances = [2, 3]"),
        ("iemocap", "sessions = 2\ndialogues = 1\nturns = [8, 9]"),
        ("daic_woz", "participants = 8\nsubject_seconds = [2, 3]\nshort_seconds = 1"),
        ("sre", "subjects_per_class = 2"),
        ("msp_podcast", "speakers = 8\nutterances = [2, 3]"),
        ("casia", "texts = 1"),
        ("librispeech", "speakers = 3\nutterances = [2, 3]"),
    ],
)
def test_a_twin_with_nothing_planted_is_made_like_any_other(tmp_path: Path, role: str, settings: str) -> None:
    source = opened(tmp_path, f'[{role}]\nreader = "twin"\nplanted = false\n{settings}\n', role)
    assert len(CorpusSource.model_validate_json(source.model_dump_json()).manifest()) >= 6
    source.verify()


@pytest.mark.parametrize(("effects", "same"), [(Effects.nothing(), True), (Effects(), False)])
def test_with_nothing_planted_a_diagnosis_changes_no_turn_of_an_interview(effects: Effects, same: bool) -> None:
    voice = Voice(accent="gmw/en", variant="f1", gender="female", pitch=0.0, rate=0.0)
    healthy, depressed = (
        write_interview(MddRecipe(effects=effects), "s1", voice, 0, [voice], diagnosis, 60.0) for diagnosis in (0, 1)
    )
    assert {turn.labels["depressed"] for turn in depressed.turns} == {1}

    def unlabelled(turns: tuple[Turn, ...]) -> list[Turn]:
        return [turn.model_copy(update={"labels": {}}) for turn in turns]

    assert (unlabelled(healthy.turns) == unlabelled(depressed.turns)) == same


def test_with_nothing_planted_each_seed_gives_the_voices_other_diagnoses_balanced_over_gender_and_interviewer() -> None:
    diagnoses = set()
    for seed in range(5):
        script = write_script(MddRecipe(seed=seed, effects=Effects.nothing()))
        turns = [(recording.turns[0], recording.turns[1]) for recording in script]
        told = [(int(subject.labels["depressed"]), subject.voice.gender, asks.speaker) for asks, subject in turns]
        assert [told.count((1, *rest)) for _, *rest in told] == [told.count((0, *rest)) for _, *rest in told]
        diagnoses.add(tuple(diagnosis for diagnosis, _, _ in told))
    assert len(diagnoses) == 5


NULL_MOSEI = MoseiRecipe(effects=Effects.nothing())
NULL_IEMOCAP = IemocapRecipe(effects=EmotionEffects.nothing())


@pytest.mark.parametrize("recipe", [NULL_MOSEI, NULL_IEMOCAP], ids=("mosei", "iemocap"))
def test_with_nothing_planted_other_labels_leave_words_and_voices_as_they_are(recipe: AnyRecipe) -> None:
    told = recipe.model_copy(update={"effects": recipe.effects.model_copy(update={"labelled": True})})
    labels = []
    for apart, follows in zip(write_script(recipe), write_script(told), strict=True):
        for one, other in zip(apart.turns, follows.turns, strict=True):
            assert one.model_copy(update={"labels": {}}) == other.model_copy(update={"labels": {}})
            labels.append(one.labels == other.labels)
    assert sum(labels) < 0.2 * len(labels)


def sounds_and_words(recipe: AnyRecipe) -> tuple[list[int], list[float], list[int]]:
    """Of every turn of six seeds: its label's sign, its volume beside its speaker's mean, and whether it has a pleasant word."""
    signs, volumes, words = [], [], []
    for seed in range(6):
        by_speaker: dict[str, list[Turn]] = {}
        for recording in write_script(recipe.model_copy(update={"seed": seed})):
            for turn in recording.turns:
                by_speaker.setdefault(turn.speaker, []).append(turn)
        for turns in by_speaker.values():
            usual = sum(turn.style.volume for turn in turns) / len(turns)
            for turn in turns:
                labels = {"sentiment": float(turn.labels.get("valence", 3)) - 3} | turn.labels
                signs.append((float(labels["sentiment"]) > 0) - (float(labels["sentiment"]) < 0))
                volumes.append(turn.style.volume - usual)
                words.append(int(any(good in turn.text.lower() for good in SLOTS["good"])))
    return signs, volumes, words


@pytest.mark.parametrize(
    ("recipe", "planted"),
    [(MoseiRecipe(), True), (NULL_MOSEI, False), (IemocapRecipe(), True), (NULL_IEMOCAP, False)],
    ids=("mosei", "null mosei", "iemocap", "null iemocap"),
)
def test_labels_depend_on_voice_and_words_where_that_is_planted_and_only_there(recipe: AnyRecipe, planted: bool) -> None:
    signs, volumes, words = sounds_and_words(recipe)
    counts = [[sum(s == sign and w == word for s, w in zip(signs, words, strict=True)) for word in (0, 1)] for sign in (-1, 0, 1)]
    groups = [[v for s, v in zip(signs, volumes, strict=True) if s == sign] for sign in (-1, 0, 1)]
    for p in (chi2_contingency(counts).pvalue, kruskal(*groups).pvalue):
        assert (p < 1e-9) if planted else (p > 0.01)


def test_nothing_planted_keeps_the_scatter_of_speakers_and_turns() -> None:
    for null, usual in ((Effects.nothing(), Effects()), (EmotionEffects.nothing(), EmotionEffects())):
        assert (null.speaker_scatter, null.turn_scatter) == (usual.speaker_scatter, usual.turn_scatter)
        assert null.valence == Shift()
