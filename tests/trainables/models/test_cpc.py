"""Contract of trainables.models.cpc."""

from __future__ import annotations

import json
import math

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.gloo_ranks import run_on_ranks
from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.losses.info_nce import draw_negatives, info_nce
from trainables.models.cpc import CpcNetwork, FrameSettings

FRAMES = FrameSettings(sample_rate=16000, window=400, hop=160, mels=6, deltas=False)
SOURCES = ("batch", "others", "utterance")
LENGTHS = torch.tensor([11, 4, 9, 1, 11])
SHARES = (slice(0, 3), slice(3, 5))  # of unequal size


@pytest.fixture
def network():
    return small_network()


def small_network():
    torch.manual_seed(0)
    network = CpcNetwork(FRAMES, size=8, encoder_layers=2, prediction_steps=3)
    network.set_statistics(torch.linspace(-8, -3, 6), torch.linspace(1, 2, 6))
    return network


def chunks(lengths=LENGTHS, seed=0):
    """Frames such as log-mel ones, zero beyond each length."""
    batch = torch.randn(len(lengths), int(lengths.max()), 6, generator=torch.Generator().manual_seed(seed)) - 5
    for chunk, length in enumerate(lengths):
        batch[chunk, length:] = 0
    return batch


def drawn(source, lengths=LENGTHS):
    return draw_negatives(lengths, 7, source, torch.Generator().manual_seed(1))


def gradients(network):
    return {name: value.grad.clone() for name, value in network.named_parameters()}


@pytest.mark.parametrize("last_kept", [0, 4, 9])
def test_the_future_does_not_change_a_context_by_one_bit(network, last_kept):
    """The causal proof: whatever follows frame i, all contexts up to c_i stay as they were; those after it do not."""
    frames = chunks(torch.tensor([11, 11]))
    other = frames.clone()
    other[:, last_kept + 1 :] = torch.randn(2, 10 - last_kept, 6) * 100
    before, after = (network.contexts(network.encode(given))[0] for given in (frames, other))
    assert torch.equal(before[:, : last_kept + 1], after[:, : last_kept + 1])
    assert (before[:, last_kept + 1 :] != after[:, last_kept + 1 :]).any(dim=-1).all()


def test_no_gradient_flows_from_a_context_to_frames_after_it_and_one_flows_to_all_frames_before(network):
    frames = chunks(torch.tensor([11])).requires_grad_()
    network.contexts(network.encode(frames))[0][:, 6].sum().backward()
    heard = frames.grad.abs().sum(dim=-1)[0] > 0
    assert heard.tolist() == [True] * 7 + [False] * 4


def test_an_embedding_is_of_its_frame_alone(network):
    frames = chunks(torch.tensor([11, 11]))
    other = frames.clone()
    other[1, 5] += 1
    changed = (network.encode(frames) != network.encode(other)).any(dim=-1)
    assert changed.nonzero().tolist() == [[1, 5]]


def test_the_predictions_of_a_step_are_a_linear_function_of_the_context(network):
    contexts = torch.randn(2, 5, 8)
    predicted = network.predict(contexts)
    assert predicted.shape == (2, 5, 3, 8)
    for step, weight in enumerate(network.predictors.weight.chunk(3)):
        torch.testing.assert_close(predicted[:, :, step], contexts @ weight.T)


def test_a_recording_read_in_pieces_has_the_contexts_that_it_has_as_a_whole(network):
    embeddings = network.encode(chunks(torch.tensor([11, 11])))
    whole, last = network.contexts(embeddings)
    state, found = None, []
    for piece in embeddings.split([4, 1, 6], dim=1):
        contexts, state = network.contexts(piece, state)
        found.append(contexts)
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(state, last, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("source", SOURCES)
def test_a_batch_gives_the_info_nce_of_its_embeddings_contexts_and_predictions(network, source):
    embeddings = network.encode(chunks())
    expected = info_nce(network.predict(network.contexts(embeddings)[0]), embeddings, LENGTHS, drawn(source))
    found = network(chunks(), LENGTHS, drawn(source))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize("source", SOURCES)
def test_padding_changes_nothing(network, source):
    """Neither what it holds nor that a chunk is padded at all."""
    padded = chunks()
    for chunk, length in enumerate(LENGTHS):
        padded[chunk, length:] = 77
    network(chunks(), LENGTHS, drawn(source)).loss.backward()
    expected = gradients(network)
    network.zero_grad()
    network(padded, LENGTHS, drawn(source)).loss.backward()
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7)
    alone = network.contexts(network.encode(padded[1:2, :4]))[0]
    torch.testing.assert_close(network.contexts(network.encode(padded))[0][1:2, :4], alone, rtol=1e-6, atol=1e-7)


def test_chunks_too_short_for_any_step_have_a_finite_loss_and_gradient(network):
    lengths = torch.tensor([1, 1])
    found = network(chunks(lengths), lengths, drawn("batch", lengths))
    found.loss.backward()
    assert found.loss.item() == 0
    assert all(gradient.isfinite().all() for gradient in gradients(network).values())


def test_frames_are_standardised_by_statistics_that_are_part_of_the_weights(network):
    mean, scale = torch.linspace(-8, -3, 6), torch.linspace(1, 2, 6)
    plain = CpcNetwork(FRAMES, size=8, encoder_layers=2, prediction_steps=3)
    plain.load_state_dict(network.state_dict() | {"mean": torch.zeros(6), "scale": torch.ones(6)})
    torch.testing.assert_close(network.encode(chunks()), plain.encode((chunks() - mean) / scale))


def test_a_value_that_never_varies_has_finite_embeddings(network):
    network.set_statistics(torch.full((6,), -5.0), torch.zeros(6))
    assert network.encode(chunks()).isfinite().all()
    assert network.scale.tolist() == [1] * 6


def test_it_runs_under_autocast_and_the_loss_stays_in_float32(network):
    plain = network(chunks(), LENGTHS, drawn("batch")).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        found = network(chunks(), LENGTHS, drawn("batch")).loss
    found.backward()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(plain, rel=0.02)


def test_it_learns_what_follows(network):
    """Five frames that go round in a circle, begun anywhere, are soon foretold; at first all is a guess among 8."""
    network.set_statistics(torch.zeros(6), torch.ones(6))
    lengths, generator = torch.full((8,), 12), torch.Generator().manual_seed(0)
    circle = torch.randn(5, 6, generator=generator)
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=2e-2), []
    for _ in range(40):
        frames = circle[(torch.randint(5, (8, 1), generator=generator) + torch.arange(12)) % 5]
        loss = network(frames, lengths, draw_negatives(lengths, 7, "others", generator)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9 * math.log(8)
    assert losses[-1] < 0.6 * math.log(8)  # not 0: each fifth negative is as the positive


def test_frame_settings_are_those_of_the_stage_that_makes_the_frames():
    stage = FilterbankFeatures(corpus="librispeech", unit="utterance", mels=24, window=512, hop=128, deltas=True)
    settings = FrameSettings.of(stage)
    assert settings == FrameSettings(sample_rate=16000, window=512, hop=128, mels=24, deltas=True)
    assert settings.dimensions == stage.dimensions == 48


def share_on_rank(rank, _world_size, directory):
    """This worker's chunks by DDP, whose gradients are means, as the stage does it."""
    for source in SOURCES:
        parallel = DistributedDataParallel(small_network(), broadcast_buffers=False)
        part = parallel(chunks()[SHARES[rank]], LENGTHS, drawn(source), SHARES[rank].start)
        (dist.get_world_size() * part.loss).backward()
        torch.save({"outcome": tuple(part), "gradients": gradients(parallel.module)}, directory / f"{source}-{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cpc")
    run_on_ranks(share_on_rank, 2, directory, directory)
    return directory


@pytest.mark.parametrize("source", SOURCES)
def test_two_workers_with_shares_of_a_batch_sum_to_one_worker_with_all_of_it(network, ranks, source):
    whole = network(chunks(), LENGTHS, drawn(source))
    whole.loss.backward()
    parts = [torch.load(ranks / f"{source}-{rank}.pt", weights_only=True) for rank in range(2)]
    for mine, *theirs in zip(whole, *(part["outcome"] for part in parts), strict=True):
        torch.testing.assert_close(sum(theirs), mine, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients(network).items():
        for part in parts:
            torch.testing.assert_close(part["gradients"][name], gradient, rtol=1e-4, atol=1e-6)


def test_a_loaded_network_is_the_saved_one(tmp_path, network):
    network.save(tmp_path)
    loaded = CpcNetwork.load(tmp_path)
    assert (loaded.frames, loaded.size, loaded.encoder_layers, loaded.prediction_steps) == (FRAMES, 8, 2, 3)
    assert not loaded.training
    assert torch.equal(loaded.mean, network.mean)
    found, expected = (one(chunks(), LENGTHS, drawn("batch")) for one in (loaded, network))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("cpc.json", None),
        ("cpc.json", b"{"),
        ("cpc.json", b"\xff"),
        ("cpc.json", b"[]"),
        ("cpc.json", b"{}"),
        ("cpc.json", json.dumps({"frames": {"mels": 6}}).encode()),
        ("cpc.json", json.dumps({"frames": FRAMES._asdict(), "size": -8}).encode()),
        ("cpc.json", json.dumps({"frames": FRAMES._asdict(), "width": 8}).encode()),
        ("cpc.safetensors", None),
        ("cpc.safetensors", b"no weights"),
    ],
)
def test_a_missing_or_damaged_file_is_named_with_what_to_do(tmp_path, network, file, content):
    network.save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=f"{file}: expected .*; remove this result and run its stage again"):
        CpcNetwork.load(tmp_path)


def test_weights_of_another_size_are_told(tmp_path, network):
    network.save(tmp_path)
    description = json.loads((tmp_path / "cpc.json").read_text())
    (tmp_path / "cpc.json").write_text(json.dumps(description | {"size": 9}))
    with pytest.raises(UserError, match=r"expected the weights that cpc\.json tells of"):
        CpcNetwork.load(tmp_path)
