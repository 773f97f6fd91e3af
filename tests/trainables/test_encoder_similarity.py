"""Contract of trainables/encoder_similarity.py."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.fake_context import FakeContext
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.corpus import CorpusSource
from trainables.encoder_similarity import EncoderSimilarity, mean_cosines
from trainables.errors import UserError
from trainables.identity import fingerprint
from trainables.initial_encoder import InitialEncoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder
from trainables.protocols.catalogue import SPEAKERS_4_FOLD, SPEAKERS_5_FOLD
from trainables.stage import from_config, to_config
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet
from trainables.units import read_units
from trainables.utterances import Utterances

SIZE, LAYERS = 8, 2
ENCODER = InitialEncoder(
    architecture="wavlm", weights="random", hidden_size=16, layers=LAYERS, heads=2, intermediate_size=32, convolution_size=SIZE
)
CORPORA = tuple(Utterances(corpus=role) for role in ("iemocap", "casia"))
CONVOLVED = tuple(ConvolutionalFeatures(encoder=ENCODER, utterances=utterances) for utterances in CORPORA)
SOURCES = (
    TrainingSet(utterances=CORPORA[0], task="emotion4", protocol=SPEAKERS_5_FOLD, fold=2),
    TrainingSet(utterances=CORPORA[1], task="casia6", protocol=SPEAKERS_4_FOLD, fold=2),
)
TUNED = SupervisedContrastive(encoder=ENCODER, sources=SOURCES)
CODES = {"iemocap": ("ang", "exc", "sad", "neu", "fru"), "casia": ("ang", "hap", "sad", "neu", "fea", "sur")}


def similarity(**settings):
    return EncoderSimilarity(**{"encoder": ENCODER, "sources": SOURCES, "convolved": CONVOLVED, **settings})


class Context(FakeContext):
    """With corpora, none of which is read."""

    def corpus(self, role):
        return CorpusSource(role=role, name=role, reader="generic", root="nowhere", digest="0")


def write_corpus(folder, utterances, frames, changed=()):
    """Forty utterances of 3 to 24 frames by ten speakers of iemocap or four of casia; other frames of those in ``changed``."""
    role, speakers = utterances.corpus, 10 if utterances.corpus == "iemocap" else 4
    rng, rows, sounds = np.random.default_rng(speakers), [], []
    for number in range(40):
        speaker, length = f"{role}{number % speakers}", int(rng.integers(3, 25))
        sound = rng.standard_normal((length, SIZE)).astype(np.float32)
        sounds.append(sound[::-1] * 3 if speaker in changed else sound)
        place = {"recording": f"{number}.wav", "start": 0.0, "end": length / 50, "seconds": length / 50, "turn": f"{number}"}
        name = f"u{rng.integers(10**6):06d}"  # in another order than the rows
        told = {"unit": name, "position": 0, **place, "speaker": speaker, "session": f"{number}", "split": ""}
        rows.append({**told, "emotion": CODES[role][number // speakers % len(CODES[role])]})
    table, lengths = pd.DataFrame(rows), np.array([len(sound) for sound in sounds])
    for home in (folder / role, folder / f"{role} convolved"):
        home.mkdir()
    table.to_parquet(folder / role / "segments.parquet", index=False)
    placed = table.assign(first_frame=lengths.cumsum() - lengths, frames=lengths)
    placed.to_parquet(folder / f"{role} convolved" / "segments.parquet", index=False)
    np.save(folder / f"{role} convolved" / "frames.npy", np.concatenate(sounds))
    return {utterances: folder / role, frames: folder / f"{role} convolved"}


def write_upstream(folder, changed=()):
    """Results of all stages above a similarity; the tuned encoder has another Transformer than the original one."""
    folder.mkdir()
    results = {ENCODER: write_tiny_encoder(folder / "encoder", "wavlm", convolution_size=SIZE, layers=LAYERS)}
    for utterances, frames in zip(CORPORA, CONVOLVED, strict=True):
        results |= write_corpus(folder, utterances, frames, changed)
    model, generator = EmotionEncoder(SpeechEncoder.load(results[ENCODER])), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.encoder.transformer_parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    (folder / "tuned").mkdir()
    model.save(folder / "tuned")
    return results | {TUNED: folder / "tuned"}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    return write_upstream(tmp_path_factory.mktemp("upstream") / "results")


def run(stage, upstream, directory):
    stage.run(Context(directory, upstream))
    return pd.read_parquet(directory / "similarity.parquet")


def described(encoder, upstream):
    """(emotion, mean over time of each layer) of each scored utterance, every one of them encoded alone."""
    found = []
    for source, frames in zip(SOURCES, CONVOLVED, strict=True):
        units = source.sets(read_units(upstream[source.utterances], TASKS[source.task]))["test"]
        placed, values = pd.read_parquet(upstream[frames] / "segments.parquet"), np.load(upstream[frames] / "frames.npy")
        for row, truth in zip(np.concatenate(units.segments), units.truth, strict=True):
            first, length = placed.loc[row, ["first_frame", "frames"]]
            alone = torch.from_numpy(values[first : first + length])[None]
            with torch.no_grad():
                hidden = encoder.hidden_layers(alone, torch.tensor([length]))
            found.append((units.task.classes[truth], hidden[:, 0].double().mean(dim=1)))
    return found


@pytest.mark.parametrize("tuned", [None, TUNED], ids=["original", "tuned"])
def test_a_layers_mean_is_that_of_every_pair_of_scored_utterances_of_all_corpora(upstream, tmp_path, tuned):
    home = upstream[TUNED if tuned else ENCODER]
    encoder = (EmotionEncoder.load(home).encoder if tuned else SpeechEncoder.load(home)).eval()
    cosines: dict[tuple[int, str], list[float]] = {}
    scored = described(encoder, upstream)
    for (emotion, left), (other, right) in combinations(scored, 2):
        kind = "positive" if emotion == other else "negative"
        for layer in range(LAYERS + 1):
            cosines.setdefault((layer, kind), []).append(float(torch.cosine_similarity(left[layer], right[layer], dim=0)))
    found = run(similarity(tuned=tuned), upstream, tmp_path / "out").set_index(["layer", "kind"])
    assert set(found.index) == set(cosines)
    assert {key: len(values) for key, values in cosines.items()} == found["pairs"].to_dict()
    for key, values in cosines.items():
        assert found.loc[key, "mean"] == pytest.approx(np.mean(values), abs=1e-6)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["utterances"], metrics["layers"]) == (len(scored), LAYERS)


def test_two_corpora_make_positive_pairs_with_each_other(upstream, tmp_path):
    whole = run(similarity(), upstream, tmp_path / "both")["pairs"]
    parts = [
        run(similarity(sources=SOURCES[n : n + 1], convolved=CONVOLVED[n : n + 1]), upstream, tmp_path / str(n))["pairs"]
        for n in range(2)
    ]
    assert whole[0] > parts[0][0] + parts[1][0]


def test_utterances_that_stage_one_has_trained_on_decide_nothing(upstream, tmp_path):
    before = run(similarity(), upstream, tmp_path / "before")
    sets = [source.sets(read_units(upstream[source.utterances], TASKS[source.task])) for source in SOURCES]
    speakers = {name: {speaker for part in sets for speaker in part[name].table["speaker"]} for name in ("train", "test")}
    other = write_upstream(tmp_path / "other training", changed=speakers["train"])
    pd.testing.assert_frame_equal(run(similarity(), other, tmp_path / "after"), before)
    other = write_upstream(tmp_path / "other test", changed=speakers["test"])
    assert not run(similarity(), other, tmp_path / "control")["mean"].equals(before["mean"])


def test_sums_of_unit_vectors_give_the_mean_over_all_pairs():
    rng, codes = np.random.default_rng(0), np.array([0, 0, 0, 1, 1, 2])
    units = rng.standard_normal((2, 6, 4))
    units /= np.linalg.norm(units, axis=2, keepdims=True)
    sums = np.stack([units[:, codes == code].sum(axis=1) for code in range(3)], axis=1)
    found = mean_cosines(sums, np.bincount(codes)).set_index(["layer", "kind"])
    for layer in range(2):
        pairs = [(codes[i] == codes[j], units[layer, i] @ units[layer, j]) for i, j in combinations(range(6), 2)]
        for kind, same in (("positive", True), ("negative", False)):
            expected = [cosine for alike, cosine in pairs if alike == same]
            assert found.loc[(layer, kind)].tolist() == pytest.approx([np.mean(expected), len(expected)])


def test_without_a_pair_of_one_kind_it_says_what_was_found(upstream, tmp_path):
    class One(Context):
        def result(self, stage):
            return tmp_path / "one" if stage == CORPORA[1] else super().result(stage)

    (tmp_path / "one").mkdir()
    table = pd.read_parquet(upstream[CORPORA[1]] / "segments.parquet")
    scored = SOURCES[1].sets(read_units(upstream[CORPORA[1]], TASKS["casia6"]))["test"].table["unit"]
    table["emotion"] = table["emotion"].mask(table["unit"].isin(scored), "ang")
    table.to_parquet(tmp_path / "one" / "segments.parquet", index=False)
    with pytest.raises(UserError, match=r"two emotions or more, .*; found \d+ angry: choose a protocol"):
        similarity(sources=SOURCES[1:], convolved=CONVOLVED[1:]).run(One(tmp_path / "out", upstream))


def test_only_utterances_that_stage_one_has_not_heard_can_be_asked_for():
    other = SOURCES[0].with_upstream({}, fold=1)
    with pytest.raises(ValidationError, match="tuned has trained on another division of iemocap; give the training set"):
        similarity(tuned=TUNED, sources=(other, SOURCES[1]))
    unheard = TrainingSet(utterances=CORPORA[1], task="casia6", protocol=SPEAKERS_4_FOLD)
    alone = SupervisedContrastive(encoder=ENCODER, sources=SOURCES[:1])
    assert similarity(tuned=alone, sources=(SOURCES[0], unheard)).sources[1] == unheard


def test_another_encoders_training_or_convolution_is_refused():
    other = ENCODER.with_upstream({}, seed=1)
    with pytest.raises(ValidationError, match="tuned began with another encoder"):
        similarity(tuned=SupervisedContrastive(encoder=other, sources=SOURCES))
    with pytest.raises(ValidationError, match="convolved must be of each source's utterances, in order, by this encoder"):
        similarity(convolved=CONVOLVED[::-1])


def test_convolved_features_are_no_part_of_the_identity_and_spare_one_pass_over_the_scored_utterances():
    bare, digests = similarity(convolved=()), {"iemocap": "1", "casia": "2"}
    assert fingerprint(bare, digests) == fingerprint(similarity(), digests)
    assert bare.repeated() == {"convolved.0": (CONVOLVED[0], 1 / 5), "convolved.1": (CONVOLVED[1], 1 / 4)}
    assert similarity().repeated() == {}


@pytest.mark.parametrize("settings", [{}, {"tuned": TUNED}, {"convolved": ()}], ids=str)
def test_it_can_be_described_and_rebuilt(settings):
    stage = similarity(**settings)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
