"""Contract of trainables/sentence_embeddings.py and trainables/turns.py: one vector per turn, in the order of the turns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from orchestrator.checks import check_corpora
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.tiny_weights import POSITIONS, WORDS, write_tiny_bert
from tests.trainables.fake_context import FakeContext
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError
from trainables.pretrained import find_weights
from trainables.sentence_embeddings import SentenceEmbeddings, TextEncoder
from trainables.stage import StopRequested
from trainables.turns import turn_table
from trainables.units import subject_turns

RATE, SESSIONS = 8000, 12
STAGE = SentenceEmbeddings(corpus="mdd", unit="session", model="tiny")
MARKS = "<laughter> it was xxx"
LONG = " ".join(["i am not happy"] * POSITIONS)  # four times as many words as the model takes


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("weights") / "tiny")


def write_corpus(folder: Path, words: bool = True) -> Path:
    """12 sessions of four turns, the second of them the interviewer's; among the texts marks, nothing, and too much."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = []
    for session in range(SESSIONS):
        soundfile.write(folder / f"s{session:02d}.wav", rng.normal(0, 0.1, RATE * 4), RATE)
        for turn, talker in enumerate(("subject", "interviewer", "subject", "subject")):
            text = " ".join(rng.choice(WORDS, size=rng.integers(1, 9)))
            row = {"file_name": f"s{session:02d}.wav", "start": float(turn), "end": turn + 1.0, "talker": talker, "text": text}
            rows.append({**row, "speaker": f"{talker}{session}", "session": f"s{session:02d}", "depressed": session % 2})
    for number, text in enumerate((MARKS, "good night", "", LONG, "good night", "  \t", "Good NIGHT ")):
        rows[4 * number]["text"] = text
    table = pd.DataFrame(rows)[::-1]  # the manifest's order is its own, whatever the file's is
    table.drop(columns=[] if words else ["text"]).to_csv(folder / "metadata.csv", index=False)
    (folder / "corpora.toml").write_text('[mdd]\nroot = "."\n')
    return folder / "corpora.toml"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return open_corpora(str(write_corpus(folder / "mdd")), folder, ["mdd"])["mdd"]


class Context(FakeContext):
    """With a corpus and pretrained weights."""

    def __init__(self, directory, corpus, weights, **settings):
        super().__init__(directory, {}, **settings)
        self.corpus = lambda role: corpus
        self.pretrained = lambda name: weights


def embed(directory: Path, corpus, weights: Path, stage: SentenceEmbeddings = STAGE):
    stage.run(Context(directory, corpus, weights))
    read = json.loads((directory / "metrics.json").read_text())
    return np.load(directory / "embeddings.npy"), pd.read_parquet(directory / "segments.parquet"), read


def plainly(weights: Path, text: str) -> np.ndarray:
    """The definition: one piece after the other by itself, without padding; the mean over the vectors of all tokens."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(weights), AutoModel.from_pretrained(weights).eval()
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    vectors = []
    for start in range(0, len(tokens), POSITIONS - 2):
        piece = [tokenizer.cls_token_id, *tokens[start : start + POSITIONS - 2], tokenizer.sep_token_id]
        with torch.no_grad():
            vectors.append(model(torch.tensor([piece])).last_hidden_state[0])
    return torch.cat(vectors).mean(dim=0).numpy()


def test_each_vector_is_the_mean_over_the_tokens_of_its_own_text_alone(tmp_path, corpus, tiny):
    embeddings, _, _ = embed(tmp_path / "out", corpus, tiny)
    texts = subject_turns(corpus.manifest(), "session")["text"].str.strip()
    assert {MARKS, LONG, "", "good night"} <= set(texts)
    for vector, text in zip(embeddings, texts, strict=True):
        expected = plainly(tiny, text) if text else np.zeros(16)
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)


def test_a_padded_batch_gives_what_each_text_gives_unpadded(tiny):
    encoder = TextEncoder(tiny, torch.device("cpu"))
    pieces = encoder.cut(["i", "i am so very happy it was a good day", "sad night"])
    together = encoder.sums(pieces)
    for row, piece in zip(together, pieces, strict=True):
        torch.testing.assert_close(row, encoder.sums([piece])[0], rtol=1e-5, atol=1e-5)


def test_what_is_longer_than_the_model_takes_is_cut_and_no_token_is_lost(tiny):
    encoder = TextEncoder(tiny, torch.device("cpu"))
    pieces = encoder.cut(["happy", LONG])
    assert [(piece.text, piece.number) for piece in pieces] == [(0, 0), *((1, number) for number in range(5))]
    assert max(len(piece.tokens) for piece in pieces) == POSITIONS
    assert sum(len(piece.tokens) - 2 for piece in pieces[1:]) == len(LONG.split())


def test_metrics_say_what_was_without_words_and_what_was_cut(tmp_path, corpus, tiny):
    embeddings, segments, metrics = embed(tmp_path / "out", corpus, tiny)
    assert metrics["turns"] == len(segments) == len(embeddings) == 3 * SESSIONS
    assert metrics["without_words"] == 2 == (embeddings == 0).all(axis=1).sum()
    assert (metrics["cut_into_pieces"], metrics["dimensions"]) == (1, 16)


def test_equal_texts_are_computed_once(tmp_path, corpus, tiny, monkeypatch):
    seen, sums = [], TextEncoder.sums
    monkeypatch.setattr(TextEncoder, "sums", lambda self, pieces: (seen.extend(pieces), sums(self, pieces))[1])
    embeddings, _, metrics = embed(tmp_path / "out", corpus, tiny)
    texts = subject_turns(corpus.manifest(), "session")["text"].str.strip().to_numpy()
    assert sum(piece.number == 0 for piece in seen) == metrics["distinct_texts"] == len(set(texts) - {""}) < (texts != "").sum()
    assert len(np.unique(embeddings[texts == "good night"], axis=0)) == 1


def test_the_interviewer_is_not_heard_and_no_word_is_kept(tmp_path, corpus, tiny):
    _, segments, _ = embed(tmp_path / "out", corpus, tiny)
    assert segments["speaker"].str.startswith("subject").all()
    assert not any(b"laughter" in path.read_bytes() for path in (tmp_path / "out").iterdir())


def test_the_turns_are_rows_in_the_order_in_which_all_stages_take_them(tmp_path, corpus, tiny):
    _, segments, _ = embed(tmp_path / "out", corpus, tiny)
    columns = ["unit", "position", "seconds", "turn", "recording", "start", "end", "speaker", "session", "split", "depressed"]
    assert list(segments) == columns
    assert list(segments["turn"]) == list(subject_turns(corpus.manifest(), "session")["segment"])
    assert segments["position"].tolist() == [0, 1, 2] * SESSIONS
    assert (segments["seconds"] == 1.0).all()
    utterances = turn_table(corpus, "utterance")
    assert (utterances["unit"] == utterances["turn"]).all()
    assert (utterances["position"] == 0).all()


def test_a_turn_until_the_recordings_end_and_one_from_before_its_start_last_as_long_as_they_sound(corpus, monkeypatch):
    manifest = corpus.manifest()
    last = manifest.groupby("session")["start"].transform("max") == manifest["start"]
    manifest.loc[last, "end"] = np.nan
    manifest.loc[manifest["start"] == 0, "start"] = -0.5
    monkeypatch.setattr(type(corpus), "manifest", lambda self: manifest)
    assert turn_table(corpus, "session")["seconds"].tolist() == [1.0] * 3 * SESSIONS


def test_every_recording_whose_length_cannot_be_read_is_named(tmp_path, monkeypatch):
    corpus = open_corpora(str(write_corpus(tmp_path / "mdd")), tmp_path, ["mdd"])["mdd"]
    manifest = corpus.manifest().assign(end=np.nan)
    monkeypatch.setattr(type(corpus), "manifest", lambda self: manifest)
    for name in ("s03.wav", "s05.wav"):
        (tmp_path / "mdd" / name).write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"(?s)2 faults.*s03\.wav.*s05\.wav"):
        turn_table(corpus, "session")


@pytest.mark.parametrize("stop_after", [1, 3, 8])
def test_a_stage_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, corpus, tiny, monkeypatch, stop_after):
    monkeypatch.setattr("trainables.sentence_embeddings._BATCH", 4)
    calls, sums = [], TextEncoder.sums
    monkeypatch.setattr(TextEncoder, "sums", lambda self, pieces: (calls.append(1), sums(self, pieces))[1])
    STAGE.run(Context(tmp_path / "whole", corpus, tiny))
    batches = len(calls)
    with pytest.raises(StopRequested):
        STAGE.run(Context(tmp_path / "stopped", corpus, tiny, stop_after=stop_after))
    STAGE.run(Context(tmp_path / "stopped", corpus, tiny))
    whole = (tmp_path / "whole" / "embeddings.npy").read_bytes()
    assert (tmp_path / "stopped" / "embeddings.npy").read_bytes() == whole
    assert len(calls) == 2 * batches > 2 * stop_after  # nothing was computed twice


def test_a_corpus_without_transcripts_is_told_before_anything_is_computed(tmp_path, tiny):
    silent = open_corpora(str(write_corpus(tmp_path / "mdd", words=False)), tmp_path, ["mdd"])["mdd"]
    with pytest.raises(UserError, match="none of the 36 turns of corpus 'mdd' has a transcript"):
        check_corpora([STAGE], {"mdd": silent})
    with pytest.raises(UserError, match="column text"):
        STAGE.run(Context(tmp_path / "out", silent, tiny))


def test_weights_of_anything_but_text_are_refused(tmp_path, corpus):
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": (8,), "conv_stride": (5,), "conv_kernel": (10,), "num_conv_pos_embedding_groups": 2}
    WavLMModel(WavLMConfig(**sizes, **convolutions)).save_pretrained(tmp_path / "wavlm")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "wavlm")
    with pytest.raises(UserError, match="no tokenizer"):
        embed(tmp_path / "out", corpus, tmp_path / "wavlm")


def test_the_stage_runs_like_any_other_and_its_weights_are_found_by_the_setting(tmp_path, corpus, tiny):
    weights = {"tiny": find_weights("tiny", {"tiny": str(tiny)})}
    setting = Setting(corpora={"mdd": corpus}, weights=weights, store=str(tmp_path / "store"), code=code_version())
    executor = LocalExecutor(setting, lambda *call: None)
    executor.finish_chain(STAGE)
    found = np.load(executor.store.path(setting.fingerprint(STAGE)) / "embeddings.npy")
    np.testing.assert_array_equal(found, embed(tmp_path / "out", corpus, tiny)[0])
