"""Contract of trainables.losses.supcon, against the paper's equations written as loops."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.losses.supcon import supcon_loss

PAPER = {"temperature": 0.07, "alpha": 0.5, "margin": 0.4}


def features(count=8, size=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, size, generator=generator, dtype=dtype).requires_grad_() for _ in range(2))


def cosine(x, y):
    return (x @ y) / (x.norm() * y.norm())


def equation_2(x_p, x_n, i, j, tau):
    """l_ij, of which the negative logarithm is taken: the printed ratio."""
    pair = torch.exp(cosine(x_p[i], x_p[j]) / tau)
    return pair / (pair + sum(torch.exp(cosine(x_p[i], negative) / tau) for negative in x_n))


def equation_3(x_p, x_n, tau):
    """Summed over i and j > i, with the printed factor 4 / (N (N - 2))."""
    batch_size = len(x_p) + len(x_n)
    total = 0
    for i in range(batch_size // 2):
        for j in range(i + 1, batch_size // 2):
            total = total - torch.log(equation_2(x_p, x_n, i, j, tau)) - torch.log(equation_2(x_p, x_n, j, i, tau))
    return 4 / (batch_size * (batch_size - 2)) * total


def equation_4(x_p, x_n, alpha, m):
    count = len(x_p)
    apart = [1 - cosine(x_p[i], x_p[i + count // 2]) for i in range(count // 2)]
    near = [torch.clamp(cosine(x_p[i], x_n[i]) - m, min=0) for i in range(count)]
    return alpha * sum(apart) / len(apart) + sum(near) / len(near)


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_the_contrast_loss_is_equations_2_and_3_and_so_is_its_gradient(count, tau):
    x_p, x_n = features(count)
    found, expected = supcon_loss(x_p, x_n, **PAPER | {"temperature": tau}).contrast, equation_3(x_p, x_n, tau)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(torch.autograd.grad(found, (x_p, x_n)), torch.autograd.grad(expected, (x_p, x_n)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("alpha", "margin"), [(0.5, 0.4), (0.0, -1.0), (2.0, 0.0), (1.0, 1.0)])
def test_the_cosine_margin_loss_is_equation_4_and_so_is_its_gradient(alpha, margin):
    x_p, x_n = features()
    found, expected = (
        supcon_loss(x_p, x_n, temperature=0.07, alpha=alpha, margin=margin).margin,
        equation_4(x_p, x_n, alpha, margin),
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(torch.autograd.grad(found, (x_p, x_n)), torch.autograd.grad(expected, (x_p, x_n)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_the_loss_is_equation_5_and_its_gradient_that_of_finite_differences():
    x_p, x_n = features(4, 3)
    found = supcon_loss(x_p, x_n, **PAPER)
    assert found.loss.item() == pytest.approx((equation_3(x_p, x_n, 0.07) + equation_4(x_p, x_n, 0.5, 0.4)).item(), rel=1e-12)
    assert torch.autograd.gradcheck(lambda p, n: supcon_loss(p, n, **PAPER).loss, (x_p, x_n))


@pytest.mark.parametrize("batch_size", range(4, 68, 4))
def test_the_printed_factor_makes_a_mean_over_the_ordered_pairs_of_positives(batch_size):
    pairs = batch_size // 2 * (batch_size // 2 - 1)
    assert 4 / (batch_size * (batch_size - 2)) == pytest.approx(1 / pairs, rel=1e-15)
    # Pairs that are all alike have a mean equal to the loss of one.
    same, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    half = batch_size // 2
    one = -math.log(math.exp(1.0) / (math.exp(1.0) + half))
    found = supcon_loss(same.repeat(half, 1), other.repeat(half, 1), temperature=1.0, alpha=0.0, margin=1.0)
    assert found.loss.item() == pytest.approx(one, rel=1e-6)


def test_the_loss_falls_where_positives_come_together_and_negatives_go_apart():
    """The printed ratio would rise: without its logarithm's minus equation (2) is no loss."""
    x_p, x_n = (x.detach() for x in features(8, 16))
    together = x_p + 3 * x_p.mean(dim=0)
    away = x_n - 3 * x_p.mean(dim=0)
    losses = [supcon_loss(p, n, **PAPER).contrast.item() for p, n in ((x_p, x_n), (together, x_n), (together, away))]
    ratios = [equation_2(p, n, 0, 1, 0.07).item() for p, n in ((x_p, x_n), (together, x_n), (together, away))]
    assert losses[0] > losses[1] > losses[2]
    assert ratios[0] < ratios[1] < ratios[2]


@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_equal_positives_and_opposite_negatives_have_the_smallest_loss_there_is(tau):
    x = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    found = supcon_loss(x.repeat(6, 1), -2 * x.repeat(6, 1), **PAPER | {"temperature": tau})
    assert found.contrast.item() == pytest.approx(math.log1p(6 * math.exp(-2 / tau)), rel=1e-9)
    assert found.margin.item() == pytest.approx(0, abs=1e-15)


def test_opposite_halves_and_negatives_equal_to_positives_have_the_largest_margin_loss():
    x = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    x_p = torch.cat([x.repeat(3, 1), -x.repeat(3, 1)])
    found = supcon_loss(x_p, 5 * x_p, **PAPER)
    assert found.margin.item() == pytest.approx(0.5 * 2 + (1 - 0.4), rel=1e-12)


def test_identical_embeddings_have_the_loss_of_a_guess_and_a_finite_gradient():
    x = torch.ones(16, 8).requires_grad_()
    found = supcon_loss(x, x, **PAPER)
    assert found.contrast.item() == pytest.approx(math.log(17), rel=1e-6)
    assert found.margin.item() == pytest.approx(0.6, rel=1e-6)
    found.loss.backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("tau", [1e-3, 0.07])
def test_scores_far_apart_neither_overflow_nor_underflow_in_float32(tau):
    """At tau = 0.001 the exponentials of equation (2) are beyond float32 and float64; its logarithm is not."""
    x_p, x_n = features(8, dtype=torch.float32)
    found = supcon_loss(x_p, x_n, **PAPER | {"temperature": tau})
    cosines = [[cosine(a, b).item() / tau for b in [*x_p.detach().double(), *x_n.detach().double()]] for a in x_p.detach().double()]
    expected = 0.0
    for i in range(8):
        for j in set(range(8)) - {i}:
            logits = [cosines[i][j], *cosines[i][8:]]
            expected += max(logits) + math.log(sum(math.exp(x - max(logits)) for x in logits)) - cosines[i][j]
    assert found.contrast.item() == pytest.approx(expected / 56, rel=1e-4)
    found.loss.backward()
    assert x_p.grad.isfinite().all()
    assert x_n.grad.isfinite().all()


def test_a_zero_vector_has_cosine_0_with_everything_and_a_finite_gradient():
    x_p, x_n = (torch.eye(4)[:2].repeat(2, 1).clone() for _ in range(2))
    x_p[0], x_n[1] = 0, 0
    x_p.requires_grad_(), x_n.requires_grad_()
    found = supcon_loss(x_p, x_n, temperature=1.0, alpha=0.5, margin=0.4)
    # Halves: a zero vector with e_0, and e_1 with e_1; positives 0 and 1 meet a zero vector, 2 and 3 themselves.
    assert found.margin.item() == pytest.approx(0.5 * (1 + 0) / 2 + (0 + 0 + 0.6 + 0.6) / 4, rel=1e-6)
    found.loss.backward()
    assert x_p.grad.isfinite().all()
    assert x_n.grad.isfinite().all()


def test_the_order_of_the_negatives_decides_nothing_of_the_contrast_loss_nor_does_that_of_the_positives():
    x_p, x_n = features()
    first, other = supcon_loss(x_p, x_n, **PAPER), supcon_loss(x_p.flip(0), x_n.roll(3, 0), **PAPER)
    assert other.contrast.item() == pytest.approx(first.contrast.item(), rel=1e-12)


def test_the_margin_loss_pairs_the_halves_of_the_positives_and_each_positive_with_the_negative_at_its_place():
    x_p = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    far = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    assert supcon_loss(x_p, far, **PAPER).margin.item() == pytest.approx(0, abs=1e-15)
    assert supcon_loss(x_p, far.flip(0), **PAPER).margin.item() == pytest.approx(0.6, rel=1e-12)
    assert supcon_loss(x_p[[0, 2, 1, 3]], far[[0, 2, 1, 3]], **PAPER).margin.item() == pytest.approx(0.5, rel=1e-12)


def test_the_loss_is_computed_in_float32_under_autocast():
    x_p, x_n = features(dtype=torch.float32)
    plain = supcon_loss(x_p, x_n, **PAPER)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(a, b) for a, b in zip(plain, supcon_loss(x_p, x_n, **PAPER), strict=True))
        halved = supcon_loss(x_p.bfloat16(), x_n.bfloat16(), **PAPER).loss
    assert halved.dtype == torch.float32
    assert halved.item() == pytest.approx(
        supcon_loss(x_p.bfloat16().float(), x_n.bfloat16().float(), **PAPER).loss.item(), rel=1e-6
    )


@pytest.mark.parametrize(("positives", "negatives"), [(3, 3), (0, 0), (4, 2), (2, 4)])
def test_an_odd_number_of_positives_or_another_of_negatives_is_refused(positives, negatives):
    with pytest.raises(ValueError, match=rf"{positives} positives and {negatives} negatives; give equally many, and an even"):
        supcon_loss(torch.ones(positives, 3), torch.ones(negatives, 3), **PAPER)
