"""Contract of trainables.models.attentive_pooling."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.models.attentive_pooling import AttentivePooling, attention_penalty, steps_present

PRESENT = torch.tensor(
    [[True] * 7, [False, False, False, True, True, True, False], [False] * 3 + [True] + [False] * 3, [True, False] * 3 + [True]]
)


def numbers(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pooling(size=3, hidden=6):
    torch.manual_seed(0)
    return AttentivePooling(size, hidden).double()


def random_attention(present, heads=5):
    scores = numbers(len(present), heads, present.shape[1]) * 2
    return scores.masked_fill(~present.unsqueeze(1), -torch.inf).softmax(dim=2)


def extremes(steps, spiky=3, heads=5):
    """Attention ``[1, heads, steps]``: the first heads each to a step of its own, the others to all steps alike."""
    attention = torch.full((1, heads, steps), 1 / steps, dtype=torch.float64)
    attention[0, :spiky] = torch.eye(steps, dtype=torch.float64)[:spiky]
    return attention, torch.ones(1, steps, dtype=torch.bool)


def test_pooling_is_what_a_slow_loop_over_rows_heads_and_steps_gives():
    layer, x = pooling().requires_grad_(False), numbers(4, 7, 3)
    pooled, attention = layer(x, PRESENT)
    for row in range(4):
        for head in range(5):
            steps = [t for t in range(7) if PRESENT[row, t]]
            weights = {}
            for t in steps:
                hidden = [math.tanh(sum(w * h for w, h in zip(line, x[row, t], strict=True))) for line in layer.inner.weight]
                weights[t] = math.exp(sum(w * h for w, h in zip(layer.outer.weight[head], hidden, strict=True)))
            total = sum(weights.values())
            expected = sum(weights[t] / total * x[row, t] for t in steps)
            torch.testing.assert_close(pooled[row, 3 * head : 3 * head + 3], expected)
            assert attention[row, head].tolist() == pytest.approx([weights.get(t, 0.0) / total for t in range(7)])


def test_its_parameters_are_two_matrices():
    assert {name: tuple(value.shape) for name, value in AttentivePooling(512, 128).named_parameters()} == {
        "inner.weight": (128, 512),
        "outer.weight": (5, 128),
    }


def test_absent_steps_get_exactly_no_attention_and_the_others_all_of_it():
    attention = pooling()(numbers(4, 7, 3) * 100, PRESENT)[1]
    assert not attention.masked_select(~PRESENT.unsqueeze(1)).any()
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(4, 5).double())


def test_rows_with_different_steps_give_what_each_gives_alone_without_its_absent_steps():
    layer, x = pooling(), numbers(4, 7, 3)
    pooled, attention = layer(x, PRESENT)
    for row, present in enumerate(PRESENT):
        alone = x[row : row + 1, present]
        expected = layer(alone, torch.ones(alone.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(pooled[row], expected[0][0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(attention[row][:, present], expected[1][0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("value", [1e30, torch.inf, torch.nan])
def test_what_stands_where_a_step_is_absent_has_no_influence(value):
    """On outputs and gradients."""
    layer, clean = pooling(), numbers(4, 7, 3)
    found = []
    for x in (clean, clean.masked_fill(~PRESENT.unsqueeze(-1), value)):
        x.requires_grad_()
        pooled, attention = layer(x, PRESENT)
        loss = pooled.square().sum() + attention_penalty(attention, PRESENT)
        found.append([pooled, attention, *torch.autograd.grad(loss, [x, *layer.parameters()])])
    assert all(torch.equal(before, after) for before, after in zip(*found, strict=True))


def test_a_row_without_any_step_is_refused():
    with pytest.raises(ValueError, match="at least one present step"):
        pooling()(numbers(2, 7, 3), PRESENT[:2] & torch.tensor([[True], [False]]))


def test_the_pooled_vectors_have_the_gradient_of_their_formula():
    layer, x = pooling(hidden=4), numbers(2, 7, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, PRESENT[1:3]), x)


@pytest.mark.parametrize("spiky", [0, 3, 5])
def test_the_penalty_is_the_mean_of_its_formula_over_rows(spiky):
    """||A A^T - Lambda||_F^2 with every element of the matrices written out."""
    attention, expected = random_attention(PRESENT), 0.0
    for row in range(4):
        for i in range(5):
            for j in range(5):
                product = sum(float(attention[row, i, t] * attention[row, j, t]) for t in range(7))
                diagonal = 1.0 if i < spiky else 1.0 / int(PRESENT[row].sum())
                expected += (product - (diagonal if i == j else 0.0)) ** 2 / 4
    assert float(attention_penalty(attention, PRESENT, spiky)) == pytest.approx(expected, rel=1e-12)


def test_the_penalty_has_the_gradient_of_its_formula():
    attention = random_attention(PRESENT).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: attention_penalty(a, PRESENT), attention)


def test_padding_does_not_change_the_penalty():
    present = PRESENT[:, [0, 1, 2, 3, 4, 5, 6] + [1] * 4] & (torch.arange(11) < 7)
    padded = torch.cat([random_attention(PRESENT), torch.zeros(4, 5, 4).double()], dim=2)
    torch.testing.assert_close(attention_penalty(padded, present), attention_penalty(random_attention(PRESENT), PRESENT))


@pytest.mark.parametrize("steps", [7, 300])
def test_heads_at_their_extremes_are_only_penalised_for_where_they_overlap(steps):
    """Of the 20 products off the diagonal, 6 are of spiky heads, which share no step; each of the other 14 is 1 / steps."""
    assert float(attention_penalty(*extremes(steps))) == pytest.approx(14 / steps**2, rel=1e-9)


@pytest.mark.parametrize("head", range(5))
def test_a_head_at_the_other_extreme_is_penalised(head):
    attention, present = extremes(7)
    least = attention_penalty(attention, present)
    attention[0, head] = attention[0, 4] if head < 3 else torch.eye(7).double()[head]
    assert attention_penalty(attention, present) > least + 0.5


def test_two_spiky_heads_on_one_step_are_penalised():
    attention, present = extremes(7)
    least = attention_penalty(attention, present)
    attention[0, 1] = attention[0, 0]
    assert attention_penalty(attention, present) > least + 1.9


def test_minimising_the_penalty_makes_three_heads_spiky_at_different_steps_and_two_smooth():
    scores = numbers(6, 5, 12).requires_grad_()
    present = torch.ones(6, 12, dtype=torch.bool)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        attention_penalty(scores.softmax(dim=2), present).backward()
        optimizer.step()
    attention = scores.softmax(dim=2).detach()
    assert attention[:, :3].amax(dim=2).min() > 0.95
    assert all(len(set(row.tolist())) == 3 for row in attention[:, :3].argmax(dim=2))
    assert attention[:, 3:].amax(dim=2).max() < 0.25
    assert attention_penalty(attention, present) <= 14 / 12**2


def test_steps_are_present_up_to_the_length():
    assert steps_present(torch.tensor([2, 3]), 3).tolist() == [[True, True, False], [True, True, True]]
