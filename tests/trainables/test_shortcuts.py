"""Shortcut controls: each finds its own shortcut where it is planted, is at chance where it is not, and sees nothing else."""

import json

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.trainables.fake_context import FakeContext
from trainables.chance import ChanceClassifier
from trainables.corpora.audio import read_audio
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.inventory import content_digest, read_inventory
from trainables.divided import shuffle_labels
from trainables.errors import UserError
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import Protocol
from trainables.protocols.catalogue import DAIC_OFFICIAL
from trainables.session_descriptors import SHORTCUTS, SessionDescriptors, missing_shortcuts, timing
from trainables.shortcut_classifier import ShortcutClassifier
from trainables.tasks import TASKS
from trainables.units import Units, read_units

DESCRIPTORS = SessionDescriptors(corpus="mdd")
MIXED = Protocol(name="mixed", sentence="", source="", scheme="k_fold", group="unit", folds=10)


def describe(folder, planted=None, sessions=40, speakers=40):
    """A result of session descriptors in which nothing tells the diagnosis but what is planted."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    speaker = np.arange(sessions) % speakers
    table = pd.DataFrame({"unit": [f"s{n:02d}" for n in range(sessions)], "speaker": [f"p{n:02d}" for n in speaker]})
    depressed = speaker % 2
    table = table.assign(session=table["unit"], split="", depressed=depressed, gender=rng.choice(["female", "male"], sessions))
    table["timing_latency_mean"] = rng.standard_normal(sessions)
    table["timing_pause_mean"] = np.nan
    table["interviewer_words"] = rng.choice(["how are you", "tell me more"], sessions)
    for number in range(4):
        table[f"interviewer_mel_{number}"] = rng.standard_normal(sessions)
        table[f"voice_mel_{number}"] = rng.standard_normal(speakers)[speaker] + 0.01 * rng.standard_normal(sessions)
    if planted == "gender":
        table["gender"] = np.where(depressed, "female", "male")
    if planted == "timing":
        table["timing_latency_mean"] += 4 * depressed
    if planted == "interviewer":
        table["interviewer_words"] = np.where(depressed, "have you been diagnosed", "what do you enjoy")
    if planted == "voice":
        table[[f"voice_mel_{number}" for number in range(4)]] += 4 * depressed[:, None]
    table.to_parquet(folder / "descriptors.parquet", index=False)
    return folder


def score(folder, descriptors, shortcut, **settings):
    ShortcutClassifier(descriptors=DESCRIPTORS, shortcut=shortcut, **settings).run(FakeContext(folder, {DESCRIPTORS: descriptors}))
    return json.loads((folder / "metrics.json").read_text())["uar"]


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_control_finds_its_own_shortcut_and_no_other(tmp_path, shortcut):
    found = {planted: score(tmp_path / planted, describe(tmp_path / f"of_{planted}", planted), shortcut) for planted in SHORTCUTS}
    assert found.pop(shortcut) > 0.95
    assert max(found.values()) < 0.8, "12 test sessions: chance is 0.5 give or take 0.15"


def test_a_development_set_beside_the_test_set_is_told_too(tmp_path):
    descriptors = describe(tmp_path / "whole", "gender")
    splits = [("train", "train", "dev", "test")[number // 2 % 4] for number in range(40)]
    pd.read_parquet(descriptors / "descriptors.parquet").assign(split=splits).to_parquet(descriptors / "descriptors.parquet")
    assert score(tmp_path / "both", descriptors, "gender", protocol=DAIC_OFFICIAL) == 1.0
    assert json.loads((tmp_path / "both" / "metrics.json").read_text())["dev_uar"] == 1.0
    for name, split in (("predictions", "test"), ("predictions_dev", "dev")):
        told = pd.read_parquet(tmp_path / "both" / f"{name}.parquet")
        assert told["unit"].tolist() == [f"s{number:02d}" for number in range(40) if splits[number] == split]
    score(tmp_path / "dev", descriptors, "gender", protocol=DAIC_OFFICIAL, scored_on="dev")
    assert not (tmp_path / "dev" / "predictions_dev.parquet").exists()


def test_the_probe_of_voices_knows_the_speaker_where_a_division_mixes_them_and_not_where_it_does_not(tmp_path):
    descriptors = describe(tmp_path / "whole", sessions=80, speakers=20)
    assert score(tmp_path / "mixed", descriptors, "voice", protocol=MIXED) > 0.95
    assert score(tmp_path / "disjoint", descriptors, "voice") < 0.85


def turns(*rows):
    return pd.DataFrame(rows, columns=["talker", "start", "end"]).assign(recording="a.wav", text="", speaker="p", session="s")


def test_timing_is_what_the_turns_say():
    found = timing(turns(("interviewer", 0, 2), ("subject", 3, 5), ("subject", 6, 7), ("interviewer", 7, 8), ("subject", 7.5, 10)))
    assert found == pytest.approx(
        {
            "subject_seconds": 5.5, "subject_turns": 3, "subject_turn_mean": 5.5 / 3, "subject_turn_sd": np.std([2, 1, 2.5]),
            "interviewer_seconds": 3, "interviewer_turns": 2, "subject_share": 5.5 / 8.5,
            "latency_mean": (1 - 0.5) / 2, "latency_sd": 0.75, "pause_mean": 1, "silence_share": 2 / 10,
        }
    )  # fmt: skip
    alone = timing(turns(("subject", 0, 1)))
    assert np.isnan([alone["latency_mean"], alone["pause_mean"]]).all()


def test_what_a_corpus_does_not_have_is_named():
    alone = turns(("subject", 0, 1)).assign(gender="")
    assert set(missing_shortcuts(alone)) == {"gender", "interviewer"}
    assert missing_shortcuts(turns(("subject", 0, 1), ("interviewer", 1, 2)).assign(gender="female")) == {}


def hum(hertz, seconds):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(16000 * seconds)) / 16000)


def corpus(folder, waves, *turns):
    """A corpus of a session per wave; each has the turns ``(talker, start, end)``."""
    folder.mkdir()
    rows = []
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number}.wav", wave, 16000)
        for talker, start, end in turns:
            speaker, text = ("i", "how are you") if talker == "interviewer" else (f"p{number}", "fine")
            shared = {"file": f"{number}.wav", "session": f"s{number}", "depressed": number % 2, "gender": "female", "text": text}
            rows.append({**shared, "start": start, "end": end, "speaker": speaker, "talker": talker})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    source = CorpusSource(
        role="mdd", name="x", reader="generic", root=str(folder), options={"columns": {}, "values": {}}, digest=""
    )
    table = source.manifest()
    return source.model_copy(update={"digest": content_digest(table, read_inventory(folder, table["recording"]))})


def dialogues(folder):
    """The subject hums low, the interviewer high; the turn at the end has no end of its own."""
    wave = np.concatenate([hum(3000, 1), np.zeros(8000), hum(200, 1)])
    return corpus(folder, [wave] * 4, ("interviewer", 0, 1), ("subject", 1.5, ""))


def result(source, stage, store):
    executor = LocalExecutor(Setting(corpora={"mdd": source}, store=str(store), code=code_version()), lambda *call: None)
    executor.finish_chain(stage)
    return ArtifactStore(store).path(executor.setting.fingerprint(stage))


def test_the_descriptors_of_recordings_tell_the_talkers_apart(tmp_path):
    found = pd.read_parquet(result(dialogues(tmp_path / "corpus"), DESCRIPTORS, tmp_path / "store") / "descriptors.parquet")
    assert found["unit"].tolist() == ["s0", "s1", "s2", "s3"]
    assert found["speaker"].tolist() == ["p0", "p1", "p2", "p3"]
    assert found["depressed"].tolist() == [0, 1, 0, 1]
    assert set(found["interviewer_words"]) == {"how are you"}
    assert found["timing_latency_mean"].to_numpy() == pytest.approx(0.5)
    assert found["timing_subject_seconds"].to_numpy() == pytest.approx(1.0)
    loudest = {prefix: found[[f"{prefix}_{n}" for n in range(64)]].iloc[0].argmax() for prefix in ("interviewer_mel", "voice_mel")}
    assert loudest["voice_mel"] < 10 < 40 < loudest["interviewer_mel"]


def test_the_sessions_are_shared_out_and_the_bytes_are_the_same_in_however_many_parts(tmp_path, monkeypatch):
    source, calls, run_part = dialogues(tmp_path / "corpus"), [], SessionDescriptors.run_part
    whole = result(source, DESCRIPTORS, tmp_path / "whole")
    monkeypatch.setattr("trainables.parts.PART_UNITS", 1)
    monkeypatch.setattr(SessionDescriptors, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    divided = result(source, DESCRIPTORS, tmp_path / "divided")
    assert len(calls) == 4
    for name in ("descriptors.parquet", "metrics.json"):
        assert (divided / name).read_bytes() == (whole / name).read_bytes(), name


def test_every_damaged_recording_of_every_part_is_named(tmp_path, monkeypatch):
    source = dialogues(tmp_path / "corpus")
    monkeypatch.setattr("trainables.parts.PART_UNITS", 2)
    monkeypatch.setattr(CorpusSource, "verify", lambda corpus: None)  # as if it had been so when its digest was taken
    for number, value in ((0, np.nan), (3, 1e30)):  # 1e30 is finite, but its power is not
        wave = hum(200, 2.5)
        wave[30000] = value
        soundfile.write(tmp_path / "corpus" / f"{number}.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(StageFailed, match=r"2 faults[\s\S]*0\.wav[\s\S]*3\.wav"):
        result(source, DESCRIPTORS, tmp_path / "store")


def test_a_long_turn_is_never_read_as_a_whole_and_its_spectrum_is_that_of_all_its_frames(tmp_path, monkeypatch):
    """Beside librosa's spectrum of the whole turn; frames at the ends of pieces are a thousandth of all."""
    rng, read, seconds = np.random.default_rng(0), read_audio, []

    def measured(*arguments):
        samples = read(*arguments)
        seconds.append(len(samples) / 16000)
        return samples

    monkeypatch.setattr("trainables.corpora.audio.read_audio", measured)
    wave = 0.05 * rng.standard_normal(16000 * 95) * np.linspace(0.1, 1, 16000 * 95)
    source = corpus(tmp_path / "corpus", [wave, hum(200, 1), hum(200, 1), hum(200, 1)], ("subject", 0, ""))
    found = pd.read_parquet(result(source, DESCRIPTORS, tmp_path / "store") / "descriptors.parquet").iloc[0]
    assert max(seconds) <= 30
    assert sum(seconds) == pytest.approx(95 + 3, abs=0.001)
    power = librosa.feature.melspectrogram(
        y=soundfile.read(tmp_path / "corpus" / "0.wav")[0], sr=16000, n_fft=512, hop_length=160, n_mels=64, fmin=50, fmax=8000
    )
    expected = librosa.power_to_db(power, top_db=None)
    assert found[[f"voice_mel_{n}" for n in range(128)]].astype(float).to_numpy() == pytest.approx(
        np.concatenate([expected.mean(axis=1), expected.std(axis=1)]), abs=0.05
    )


def test_a_control_takes_the_facts_of_a_session_from_the_same_turn_as_the_model_beside_it(tmp_path, monkeypatch):
    """Of sessions with two subjects, in a manifest whose rows are in no order."""
    source = corpus(tmp_path / "corpus", [hum(200, 2)] * 4, ("subject", 0, 1), ("subject", 1, 2))
    table = source.manifest()
    table["speaker"] += table["start"].map({0.0: "-first", 1.0: "-second"})
    monkeypatch.setattr(CorpusSource, "manifest", lambda corpus: table[::-1].reset_index(drop=True))
    monkeypatch.setattr(CorpusSource, "verify", lambda corpus: None)  # the rows are not those that its digest stands for
    features = LogMelFeatures(corpus="mdd", unit="session")
    model = read_units(result(source, features, tmp_path / "store"), TASKS["depression"]).table.set_index("unit")["speaker"]
    descriptors = pd.read_parquet(result(source, DESCRIPTORS, tmp_path / "store") / "descriptors.parquet")
    assert descriptors.set_index("unit")["speaker"].to_dict() == model.to_dict()
    assert model.to_dict() == {f"s{n}": f"p{n}-first" for n in range(4)}


def test_a_control_refuses_sessions_without_a_diagnosis_as_the_model_beside_it_does(tmp_path):
    descriptors = describe(tmp_path / "descriptors")
    table = pd.read_parquet(descriptors / "descriptors.parquet")
    table.loc[[3, 7], "depressed"] = np.nan
    table.to_parquet(descriptors / "descriptors.parquet", index=False)
    table[["unit", "speaker", "session", "split", "depressed"]].assign(position=0, seconds=5.0).to_parquet(
        tmp_path / "segments.parquet", index=False
    )
    refusal = r"'depressed' is missing for 's03', 's07'; fill it in"
    with pytest.raises(UserError, match=refusal):
        score(tmp_path / "control", descriptors, "gender")
    with pytest.raises(UserError, match=refusal):
        read_units(tmp_path, TASKS["depression"])


def sessions(count):
    table = pd.DataFrame({"unit": [f"u{n}" for n in range(2 * count)], "speaker": [f"p{n // 2}" for n in range(2 * count)]})
    return Units(table, tuple(np.array([n]) for n in range(2 * count)), np.arange(2 * count) // 2 % 2, TASKS["depression"])


def test_shuffled_labels_keep_the_numbers_and_each_speakers_unity_and_break_the_link():
    whole = sessions(40)
    shuffled = shuffle_labels(whole, 0, "train")
    assert shuffled.truth.sum() == whole.truth.sum()
    assert (shuffled.truth[::2] == shuffled.truth[1::2]).all()
    assert 0.25 < (shuffled.truth == whole.truth).mean() < 0.75
    assert (shuffle_labels(whole, 0, "train").truth == shuffled.truth).all()
    assert (shuffle_labels(whole, 1, "train").truth != shuffled.truth).any()


def test_labels_are_shuffled_in_training_and_never_where_they_are_scored():
    stage = ChanceClassifier(features=LogMelFeatures(corpus="mdd", unit="session"), strategy="uniform", shuffled_labels=True)
    whole = sessions(40)
    plain, shuffled = (s.sets(whole) for s in (stage.with_upstream({}, shuffled_labels=False), stage))
    assert (shuffled["test"].truth == plain["test"].truth).all()
    assert (shuffled["train"].truth != plain["train"].truth).any()
    assert shuffled["train"].table.equals(plain["train"].table)


def test_speakers_with_several_classes_have_their_units_shuffled_one_by_one_and_no_class_is_lost():
    whole = sessions(10)
    mixed = Units(whole.table, whole.segments, np.arange(20) % 2, whole.task)
    assert np.bincount(shuffle_labels(mixed, 0, "train").truth).tolist() == [10, 10]
