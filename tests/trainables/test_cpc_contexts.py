"""Contract of trainables/cpc_contexts.py: the context of every frame, of its own turn alone and of no frame that follows."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.fake_context import FakeContext
from tests.trainables.leakage.manifests import inventory, utterances
from tests.trainables.spoken_corpora import finished
from trainables import cpc_contexts
from trainables.corpora.registry import open_corpora
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining
from trainables.errors import UserError
from trainables.features.frames import FrameTable, FrameWriter
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.exposure import Exposure
from trainables.linear_probe import LinearProbe
from trainables.models.cpc import CpcNetwork, FrameSettings
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.stage import from_config, to_config
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet
from trainables.turn_statistics import TurnStatistics
from trainables.units import read_units
from trainables.utterances import Utterances

READ = FilterbankFeatures(corpus="librispeech", unit="utterance", deltas=False)
FRAMES = FilterbankFeatures(corpus="iemocap", unit="utterance", deltas=False)
ENCODER = CpcPretraining(frames=READ, size=16, encoder_layers=1, epochs=0)
STAGE = CpcContexts(encoder=ENCODER, frames=FRAMES)
LENGTHS = (7, 1, 300, 30, 31, 2, 64, 65, 12)
ROUNDING = 2**-12
"""Of float16 between -1 and 1."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """Frames of turns of :data:`LENGTHS`, and a network with statistics of its own."""
    folder, generator = tmp_path_factory.mktemp("upstream"), torch.Generator().manual_seed(0)
    (folder / "frames").mkdir()
    with FrameWriter(folder / "frames", 40) as writer:
        for length in LENGTHS:
            writer.append(3 * torch.randn(length, 40, generator=generator) - 9)
    places = {"first_frame": np.cumsum(LENGTHS) - LENGTHS, "frames": LENGTHS}
    pd.DataFrame({"unit": [f"u{n}" for n in range(len(LENGTHS))], **places}).to_parquet(folder / "frames/segments.parquet")
    (folder / "encoder").mkdir()
    torch.manual_seed(1)
    network = CpcNetwork(FrameSettings.of(READ), size=16, encoder_layers=1)
    network.set_statistics(torch.linspace(-10, -8, 40), torch.linspace(2, 4, 40))
    network.save(folder / "encoder")
    return {FRAMES: folder / "frames", ENCODER: folder / "encoder"}


class Context(FakeContext):
    """Hands out parts one after the other in this process, unless told that it is an accelerator."""

    def parts(self, work):
        assert self.device.type == "cpu"
        for number, part in enumerate(json.loads(json.dumps(work))):
            context = FakeContext(self.directory.with_name(f"{self.directory.name}-part{number}"), self._results)
            STAGE.run_part(part, context)
            yield context.directory


def run(upstream, directory, device="cpu"):
    context = Context(directory, upstream)
    context.device = torch.device(device)
    STAGE.run(context)
    return directory


def alone(upstream, turn):
    """The network on one whole utterance."""
    frames = torch.cat(list(FrameTable(upstream[FRAMES]).blocks(turn)))
    network = CpcNetwork.load(upstream[ENCODER])
    with torch.no_grad():
        return network.contexts(network.encode(frames[None]))[0][0]


@pytest.mark.parametrize("block", [16384, 64, 1])
def test_each_turns_contexts_are_those_of_the_network_on_the_whole_turn_alone(upstream, tmp_path, monkeypatch, block):
    """Also where it is read in several blocks, and where turns are read together."""
    monkeypatch.setattr(cpc_contexts, "_BLOCK", block)
    found = FrameTable(run(upstream, tmp_path / "out"))
    assert found.lengths.tolist() == list(LENGTHS)
    for turn in range(len(LENGTHS)):
        torch.testing.assert_close(torch.cat(list(found.blocks(turn))), alone(upstream, turn), rtol=0, atol=1.01 * ROUNDING)


def test_contexts_fit_float16_and_lie_where_their_frames_lie(upstream, tmp_path):
    directory = run(upstream, tmp_path / "out")
    contexts = np.load(directory / "frames.npy", mmap_mode="r")
    assert (contexts.dtype, contexts.shape) == (np.float16, (sum(LENGTHS), 16))
    assert np.abs(contexts).max() <= 1
    assert contexts.std(axis=0).min() > 0.01, "or any frame's would do for any other's"
    table, frames = (pd.read_parquet(path / "segments.parquet") for path in (directory, upstream[FRAMES]))
    pd.testing.assert_frame_equal(table, frames)
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics == {"turns": len(LENGTHS), "frames": sum(LENGTHS), "dimensions": 16}


def test_in_however_many_parts_the_bytes_are_the_same(upstream, tmp_path, monkeypatch):
    """And on an accelerator, where all is computed in this process (here this machine's CPU, under another name)."""
    monkeypatch.setattr(cpc_contexts, "_BLOCK", 64)
    whole = run(upstream, tmp_path / "whole")
    monkeypatch.setattr(CpcNetwork, "to", lambda network, device: network)
    here = run(upstream, tmp_path / "here", device="cuda")
    monkeypatch.setattr(cpc_contexts, "_PART_FRAMES", 100)
    divided = run(upstream, tmp_path / "divided")
    assert len(list(tmp_path.glob("divided-part*"))) > 2
    for name in ("frames.npy", "segments.parquet", "metrics.json"):
        assert len({(home / name).read_bytes() for home in (whole, here, divided)}) == 1, name


def test_turns_are_read_together_as_far_as_a_block_holds_them_and_longer_ones_alone():
    lengths = [5, 5, 6, 1, 100, 1, 16, 16, 17]
    groups = cpc_contexts._groups(lengths)
    assert [turn for group in groups for turn in range(*group)] == list(range(9))
    assert groups == [(0, 9)], "9 times 100 frames"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpc_contexts, "_BLOCK", 16)
        assert cpc_contexts._groups(lengths) == [(0, 2), (2, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]


def test_memory_does_not_grow_with_the_longest_turn(upstream, tmp_path, monkeypatch):
    """What the network is given and gives, in frames; a turn of an hour has 360,000."""
    monkeypatch.setattr(cpc_contexts, "_BLOCK", 64)
    given, encode = [], CpcNetwork.encode
    monkeypatch.setattr(CpcNetwork, "encode", lambda network, frames: (given.append(frames.shape), encode(network, frames))[1])
    run(upstream, tmp_path / "out")
    assert max(rows * frames for rows, frames, _ in given) <= 64
    assert len(given) < sum(LENGTHS) / 16, "not frame by frame"


@pytest.mark.parametrize("changed", [{"mels": 20}, {"deltas": True}, {"hop": 320}, {"window": 320}, {"sample_rate": 8000}])
def test_frames_of_another_kind_than_the_encoders_are_refused_before_anything_is_computed(changed):
    with pytest.raises(ValidationError, match=f"(?s)other frames.*{next(iter(changed))}.*use the same settings"):
        CpcContexts(encoder=ENCODER, frames=FRAMES.with_upstream({}, **changed))


def test_another_corpus_unit_and_storage_than_pretrained_on_are_accepted():
    frames = FilterbankFeatures(corpus="daic_woz", unit="session", deltas=False, storage="float32")
    stage = CpcContexts(encoder=ENCODER, frames=frames)
    assert (stage.corpus, stage.unit, stage.dimensions) == ("daic_woz", "session", 16)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage


def audited(encoder):
    """What the audit says of a probe of emotion on contexts by an encoder: kind and severity of each finding."""
    features = TurnStatistics(filterbanks=CpcContexts(encoder=encoder, frames=FRAMES))
    probe = LinearProbe(features=features, task="emotion4", protocol=SPEAKERS_5_FOLD)
    tables = {"iemocap": utterances(), "librispeech": utterances().drop(columns="emotion")}
    audit = ChainAudit({role: AuditedCorpus(role, table, inventory(table), place=role) for role, table in tables.items()})
    return {(leak.kind, leak.severity, leak.about) for leak in audit.find(probe)}


def test_what_the_audit_says_is_what_the_encoder_has_heard_and_nothing_besides():
    about = CpcPretraining.label
    assert STAGE.exposure() == Exposure(features=FRAMES)
    same = {("pretraining on test speakers", "stated", about), ("normalisation", "stated", about)}
    assert audited(CpcPretraining(frames=FRAMES)) == same
    within = TrainingSet(utterances=Utterances(corpus="iemocap"), task="emotion4", protocol=SPEAKERS_5_FOLD)
    assert audited(CpcPretraining(frames=FRAMES, within=within)) == set()
    other_fold = within.with_upstream({}, fold=1)
    found = audited(CpcPretraining(frames=FRAMES, within=other_fold))
    assert found == {("supervised on test speakers", "leak", TrainingSet.label)}


def test_recordings_of_a_copied_corpus_that_the_encoder_has_heard_are_stated():
    """Librispeech's role is played here by the very recordings that are scored."""
    assert ("pretraining on test recordings", "stated", CpcPretraining.label) in audited(ENCODER)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A chain on tiny corpora, pretrained on one and scored on the other: where its results lie."""
    folder = tmp_path_factory.mktemp("computed")
    corpora = open_corpora(str(write_tiny_corpora(folder / "corpora")), folder, ["librispeech", "iemocap"])
    settings = {"size": 16, "batch_size": 8, "negatives": 16, "epochs": 2, "learning_rate": 2e-3, "precision": "float32"}
    contexts = CpcContexts(encoder=CpcPretraining(frames=READ, **settings), frames=FRAMES)
    probe = LinearProbe(features=TurnStatistics(filterbanks=contexts), task="emotion4", protocol=SPEAKERS_5_FOLD)
    scores = finished(corpora, probe, folder / "store")
    return contexts, scores, {stage: finished(corpora, stage, folder / "store") for stage in probe.chain()}


def test_a_probe_reads_the_contexts_statistics_and_hears_the_planted_tones(computed):
    contexts, scores, results = computed
    (statistics,) = (home for stage, home in results.items() if isinstance(stage, TurnStatistics))
    embeddings, table = np.load(statistics / "embeddings.npy"), FrameTable(results[contexts])
    assert embeddings.shape == (80, 32)
    turn = torch.cat(list(table.blocks(7))).double()
    expected = torch.cat([turn.mean(dim=0), turn.std(dim=0, correction=0)])
    np.testing.assert_allclose(embeddings[7], expected, rtol=1e-5, atol=1e-6)
    assert json.loads((scores / "metrics.json").read_text())["uar"] > 0.5, "four classes"


def test_contexts_have_the_units_and_the_places_of_their_frames(computed):
    contexts, _, results = computed
    frames, found = (FrameTable(results[stage]) for stage in (FRAMES, contexts))
    assert torch.equal(found.first, frames.first)
    assert (found.dimensions, contexts.dimensions) == (16, 16)
    assert len(read_units(results[contexts], TASKS["emotion4"]).truth) == 54, "26 of the 80 have no class of these four"


def test_a_damaged_encoder_is_told_with_what_to_do(upstream, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(upstream[ENCODER], damaged)
    (damaged / "cpc.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"cpc\.safetensors.*run its stage again"):
        run({**upstream, ENCODER: damaged}, tmp_path / "out")
