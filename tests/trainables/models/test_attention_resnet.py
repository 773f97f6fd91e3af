"""Contract of trainables.models.attention_resnet."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch.nn import functional as F

from trainables.errors import UserError
from trainables.models.attention_resnet import AttentionResnet, ZeroPaddedShortcut
from trainables.models.block_attention import BlockAttention, SpatialAttention

DEPTHS = (18, 34, 50, 101)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
OPTIONS = list(itertools.product(("none", "stages", "blocks"), ("zeros", "projection")))


def small(depth=18, attention="stages", shortcut="zeros", width=4, **changes):
    torch.manual_seed(0)
    return AttentionResnet(depth, 2, 8, width, attention, shortcut, **changes)


def frames(batch=4, length=20, coefficients=8):
    return torch.randn(batch, length, coefficients, generator=torch.Generator().manual_seed(0))


def count(depth, attention="none", shortcut="projection", classes=1000):
    """Parameters at the published width; nothing is allocated."""
    with torch.device("meta"):
        return sum(value.numel() for value in AttentionResnet(depth, classes, 20, 64, attention, shortcut).parameters())


def stage_channels(depth):
    return [64 * 2**number * (4 if depth >= 50 else 1) for number in range(4)]


def attention_count(channels):
    hidden = channels // 16
    return 2 * channels * hidden + hidden + channels + 98


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)])
def test_without_attention_it_has_as_many_parameters_as_torchvisions(depth, published):
    """Torchvision's first convolution sees three channels, this one sees one."""
    assert count(depth) == published - 2 * 7 * 7 * 64


@pytest.mark.parametrize(("depth", "published"), [(50, 28.09), (101, 49.33)])
def test_with_attention_in_each_block_it_has_as_many_million_parameters_as_woo_et_als(depth, published):
    assert round((count(depth, "blocks") + 2 * 7 * 7 * 64) / 1e6, 2) == published


@pytest.mark.parametrize("depth", DEPTHS)
def test_attention_costs_one_module_for_each_stage_or_for_each_block(depth):
    channels = stage_channels(depth)
    assert count(depth, "stages") == count(depth) + sum(attention_count(each) for each in channels)
    by_blocks = sum(blocks * attention_count(each) for blocks, each in zip(BLOCKS[depth], channels, strict=True))
    assert count(depth, "blocks") == count(depth) + by_blocks


@pytest.mark.parametrize("depth", DEPTHS)
def test_zero_padded_shortcuts_have_no_parameters(depth):
    """Projections are a 1x1 convolution and a batch norm wherever the number of channels changes."""
    sizes = [64, *stage_channels(depth)]
    projections = sum(before * after + 2 * after for before, after in itertools.pairwise(sizes) if before != after)
    assert count(depth, shortcut="zeros") == count(depth) - projections


@pytest.mark.parametrize("depth", DEPTHS)
def test_four_seconds_of_20_coefficients_become_4_places(depth):
    """Coefficients down, frames across; each size is half of the one before, rounded up."""
    network, seen = small(depth, width=4), []
    for module in (network.first, *network.stages):
        module.register_forward_hook(lambda _module, _given, found: seen.append(tuple(found.shape[1:])))
    network = network.eval()
    assert network(frames(1, 126)).shape == (1, 2)
    widths = [width // 16 for width in stage_channels(depth)]
    assert seen == [(4, 4, 63), *zip(widths, (2, 1, 1, 1), (32, 16, 8, 4), strict=True)]
    assert AttentionResnet(18, 5, 20, 4).eval()(frames(3, 126, 20)).shape == (3, 5)


def reference(network, x):
    """Logits in evaluation mode by functions of PyTorch alone, after He et al.'s Table 1; weights are used up in their order."""
    states = iter(value for name, value in network.state_dict().items() if name not in ("mean", "scale"))
    deep = network.depth >= 50

    def normed(x, kernel, stride=1):
        weight, gain, offset, mean, variance, _batches = itertools.islice(states, 6)
        assert weight.shape[-2:] == (kernel, kernel)
        x = F.conv2d(x, weight, stride=stride, padding=kernel // 2)
        broadcast = [value[:, None, None] for value in (gain, offset, mean, variance)]
        return (x - broadcast[2]) / (broadcast[3] + 1e-5).sqrt() * broadcast[0] + broadcast[1]

    def attended(x):
        w0, b0, w1, b1, kernel = itertools.islice(states, 5)
        pooled = x.flatten(2).mean(2), x.flatten(2).max(2).values
        channel = sum(F.linear(F.relu(F.linear(one, w0, b0)), w1, b1) for one in pooled).sigmoid()
        x = torch.einsum("bchw,bc->bchw", x, channel)
        return x * F.conv2d(torch.stack([x.mean(1), x.max(1).values], 1), kernel, padding=3).sigmoid()

    def block(x, inner, stride):
        steps = ((1, 1), (3, stride), (1, 1)) if deep else ((3, stride), (3, 1))
        y = x
        for number, (kernel, step) in enumerate(steps):
            y = normed(F.relu(y) if number else y, kernel, step)
        if network.attention == "blocks":
            y = attended(y)
        if y.shape == x.shape:
            return F.relu(y + x)
        if network.shortcut == "projection":
            return F.relu(y + normed(x, 1, stride))
        padded = torch.zeros_like(y)
        padded[:, : x.shape[1]] = x[:, :, ::stride, ::stride]
        return F.relu(y + padded)

    x = ((x - network.mean) / network.scale).transpose(1, 2)[:, None]
    x = F.max_pool2d(F.relu(normed(x, 7, 2)), 3, 2, 1)
    for stage, blocks in enumerate(BLOCKS[network.depth]):
        for number in range(blocks):
            x = block(x, network.width * 2**stage, 2 if stage and not number else 1)
        if network.attention == "stages":
            x = attended(x)
    weight, offset = states
    return F.linear(x.flatten(2).mean(2), weight, offset)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("attention", "shortcut"), OPTIONS)
def test_it_is_he_et_als_network_with_woo_et_als_attention(depth, attention, shortcut):
    network = small(depth, attention, shortcut).double()
    network.set_statistics(torch.linspace(-1, 1, 8), torch.linspace(1, 2, 8))
    x = frames(6, 37).double()
    network(x)  # running statistics that are not 0 and 1
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), reference(network, x))


@pytest.mark.parametrize(("height", "width", "stride", "extra"), [(5, 4, 2, 3), (1, 1, 2, 2), (3, 6, 1, 4)])
def test_a_zero_padded_shortcut_is_each_strideth_place_and_then_zeros(height, width, stride, extra):
    x = torch.randn(2, 3, height, width)
    found = ZeroPaddedShortcut(3, 3 + extra, stride)(x)
    assert found.shape == (2, 3 + extra, -(-height // stride), -(-width // stride))
    for one, channel, row, column in itertools.product(*map(range, found.shape)):
        expected = x[one, channel, stride * row, stride * column] if channel < 3 else 0
        assert found[one, channel, row, column] == expected


def test_attention_after_stages_is_the_last_thing_of_each_stage_and_the_first_convolution_has_none():
    network = small(attention="stages")
    assert [isinstance(stage[-1], BlockAttention) for stage in network.stages] == [True] * 4
    assert sum(isinstance(module, BlockAttention) for module in network.modules()) == 4
    assert network.first[0].weight.shape == (4, 1, 7, 7)
    assert network.first[0].stride == (2, 2)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("attention", "shortcut"), OPTIONS)
def test_gradients_reach_every_parameter(depth, attention, shortcut):
    network = small(depth, attention, shortcut)
    F.cross_entropy(network(frames(8)), torch.arange(8) % 2).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("attention", ["none", "stages", "blocks"])
@pytest.mark.parametrize(("length", "coefficients"), [(20, 8), (1, 1)])
def test_small_images_will_do(depth, attention, length, coefficients):
    """Two of them in training, where the last stage has one place alone; one in evaluation."""
    network = AttentionResnet(depth, 3, coefficients, 4, attention)
    x = frames(2, length, coefficients)
    network(x).sum().backward()
    assert torch.isfinite(network.eval()(x[:1])).all()


def test_frames_are_standardised_and_a_deviation_of_0_counts_as_1():
    network, x = small().eval(), frames()
    expected = network(x)
    mean, scale = torch.linspace(-400, 3, 8), torch.tensor([100.0, 0, 3, 4, 5, 6, 7, 8])
    network.set_statistics(mean, scale)
    torch.testing.assert_close(network(x * scale.where(scale > 0, torch.tensor(1.0)) + mean), expected, rtol=1e-3, atol=1e-3)


def test_in_evaluation_a_segments_logits_are_its_own():
    network, x = small(), frames()
    network(x)
    network.eval()
    torch.testing.assert_close(torch.cat([network(one[None]) for one in x]), network(x), rtol=1e-5, atol=1e-5)


def test_memory_layout_changes_nothing(tmp_path):
    """Logits, gradients, and what is saved."""
    network, x, found = small(50, "blocks").double(), frames(8).double(), {}
    for layout in (torch.contiguous_format, torch.channels_last):
        network = network.to(memory_format=layout)
        network.zero_grad()
        logits = network(x)
        logits.square().sum().backward()
        found[layout] = [logits, *(value.grad.contiguous() for value in network.parameters())]
    assert network.stages[0][0].residual[3].weight.is_contiguous(memory_format=torch.channels_last)
    for contiguous, last in zip(*found.values(), strict=True):
        torch.testing.assert_close(last, contiguous, rtol=1e-7, atol=1e-9)
    network.save(tmp_path)
    loaded = AttentionResnet.load(tmp_path).double()
    torch.testing.assert_close(loaded(x), network.eval()(x), rtol=1e-4, atol=1e-4)


def test_it_runs_in_bfloat16():
    network, x = small(50).eval(), frames()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(x)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), network(x), rtol=0.1, atol=0.1)


def test_initialisation_is_he_et_als():
    """Deviation sqrt(2 / fan in), which is 49 in the first convolution; offsets 0; batch norm the identity; CBAM's as PyTorch's."""
    network = small(width=32)
    attention = network.stages[3][-1]
    assert network.first[0].weight.std().item() == pytest.approx((2 / 49) ** 0.5, rel=0.05)
    assert network.stages[3][1].residual[0].weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert network.head.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.1)
    assert not network.head.bias.any()
    assert (network.first[1].weight == 1).all()
    assert not network.first[1].bias.any()
    assert attention.channel.mlp[0].weight.abs().max() <= 256**-0.5
    assert attention.spatial.convolution.weight.abs().max() <= (2 * 49) ** -0.5


def test_untrained_gates_are_neither_open_nor_shut():
    network, gates = small(width=16), []
    for module in network.modules():
        if isinstance(module, SpatialAttention) or module in [stage[-1].channel for stage in network.stages]:
            module.register_forward_hook(lambda _module, _given, found: gates.append(found.flatten()))
    network(frames(8, 40))
    assert len(gates) == 8
    assert torch.cat(gates).min() > 0.02
    assert torch.cat(gates).max() < 0.98


def trained(network, steps=1):
    """What it was and what it is after steps of SGD."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([value for value in network.parameters() if value.requires_grad], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(frames(8)), torch.arange(8) % 2).backward()
        optimizer.step()
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def test_of_a_frozen_body_the_last_layer_is_trained_and_batch_norm_gathers_statistics():
    network = small()
    network.freeze_body()
    gathered = {name for name, _ in network.named_buffers() if name not in ("mean", "scale")}
    assert trained(network) == {"head.weight", "head.bias"} | gathered


def test_a_frozen_body_normalises_by_the_batch():
    """So the head is trained on what it gets once all is trained."""
    network, x = small(), frames()
    expected = network(x)
    network.freeze_body()
    assert torch.equal(network(x), expected)


def test_thawed_everything_is_trained():
    network = small()
    network.freeze_body()
    network.unfreeze()
    assert trained(network) >= {name for name, _ in network.named_parameters()}


def test_it_learns_to_tell_a_rising_coefficient_from_a_falling_one():
    x = 0.3 * frames(16, 20)
    labels = torch.arange(16) % 2
    x[:, :, 3] += torch.linspace(-2, 2, 20) * (2 * labels[:, None] - 1)
    network = small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.4
    assert losses[-1] < 0.1


@pytest.mark.parametrize("wrong", [{"depth": 19}, {"attention": "all"}, {"shortcut": "pad"}])
def test_settings_that_do_not_exist_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected one of \(.*, found"):
        AttentionResnet(**({"depth": 18, "classes": 2, "coefficients": 8} | wrong))


@pytest.mark.parametrize(("attention", "shortcut"), OPTIONS)
def test_a_loaded_network_is_the_saved_one(tmp_path, attention, shortcut):
    network, x = small(18, attention, shortcut, reduction=2), frames()
    network.set_statistics(torch.linspace(-1, 1, 8), torch.linspace(1, 2, 8))
    network(x)
    network.freeze_body()
    network.save(tmp_path)
    loaded = AttentionResnet.load(tmp_path)
    assert not loaded.training
    assert all(value.requires_grad for value in loaded.parameters())
    assert torch.equal(loaded(x), network.eval()(x))


SIZES = {"depth": 18, "classes": 2, "coefficients": 8, "width": 4}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("attention_resnet.json", None),
        ("attention_resnet.json", b"{"),
        ("attention_resnet.json", b"\xff"),
        ("attention_resnet.json", b"[]"),
        ("attention_resnet.json", b"{}"),
        ("attention_resnet.json", json.dumps(SIZES | {"depth": [18]}).encode()),
        ("attention_resnet.json", json.dumps(SIZES | {"depth": 19}).encode()),
        ("attention_resnet.json", json.dumps(SIZES | {"width": -4}).encode()),
        ("attention_resnet.json", json.dumps(SIZES | {"width": "4"}).encode()),
        ("attention_resnet.json", json.dumps(SIZES | {"reduction": 0}).encode()),
        ("attention_resnet.json", json.dumps(SIZES | {"layers": 4}).encode()),
        ("attention_resnet.safetensors", None),
        ("attention_resnet.safetensors", b"no weights"),
    ],
)
def test_a_missing_or_damaged_file_is_named_with_what_to_do(tmp_path, file, content):
    small().save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=f"{file}: expected .*; remove this result and run its stage again"):
        AttentionResnet.load(tmp_path)


@pytest.mark.parametrize("other", [{"width": 5}, {"depth": 34}, {"attention": "blocks"}, {"shortcut": "projection"}])
def test_weights_of_another_network_are_told(tmp_path, other):
    small().save(tmp_path)
    file = tmp_path / "attention_resnet.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | other))
    with pytest.raises(UserError, match=r"expected the weights that attention_resnet\.json tells of"):
        AttentionResnet.load(tmp_path)
