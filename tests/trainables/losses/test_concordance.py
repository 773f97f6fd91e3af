"""Contract of trainables.losses.concordance, against the slide's formula and against the mean squared error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.losses.concordance import ccc, concordance_loss


def ratings(count=30, seed=0, dtype=torch.float64, attributes=3):
    """Truth from 1 to 7, and predictions that follow it, shifted and shrunk."""
    generator = torch.Generator().manual_seed(seed)
    truth = 1 + 6 * torch.rand(count, attributes, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, attributes, generator=generator, dtype=torch.float64)
    return truth.to(dtype), (0.4 * truth + 2 + noise).to(dtype)


def slide(x, y):
    """The slide's formula of one column, by loops over plain numbers or autograd's scalars."""
    count = len(x)
    mu_x, mu_y = sum(x) / count, sum(y) / count
    sigma_x = (sum((value - mu_x) ** 2 for value in x) / count) ** 0.5
    sigma_y = (sum((value - mu_y) ** 2 for value in y) / count) ** 0.5
    rho = sum((a - mu_x) * (b - mu_y) for a, b in zip(x, y, strict=True)) / count / (sigma_x * sigma_y)
    return rho * 2 * sigma_x * sigma_y / (sigma_x**2 + sigma_y**2 + (mu_x - mu_y) ** 2)


@pytest.mark.parametrize("count", [2, 3, 30])
def test_it_is_the_slides_formula_of_every_column(count):
    truth, predicted = ratings(count)
    expected = [slide(x, y) for x, y in zip(truth.T.tolist(), predicted.T.tolist(), strict=True)]
    assert ccc(truth, predicted).tolist() == pytest.approx(expected, rel=1e-12)


def test_it_is_one_minus_the_mean_squared_error_as_a_share_of_what_independent_predictions_would_have():
    """Lin (1989): 1 - E[(X - Y)^2] / E[(X - Y)^2 where they are independent]; a formulation without a covariance."""
    truth, predicted = (values.numpy() for values in ratings(200))
    independent = truth.var(axis=0) + predicted.var(axis=0) + (truth.mean(axis=0) - predicted.mean(axis=0)) ** 2
    expected = 1 - ((truth - predicted) ** 2).mean(axis=0) / independent
    assert ccc(torch.tensor(truth), torch.tensor(predicted)).tolist() == pytest.approx(expected, rel=1e-12)


def test_it_is_pearsons_correlation_where_means_and_deviations_are_equal_and_less_where_they_are_not():
    truth, predicted = (values[:, :1].numpy() for values in ratings(200))
    same = (predicted - predicted.mean()) / predicted.std() * truth.std() + truth.mean()
    rho = np.corrcoef(truth[:, 0], predicted[:, 0])[0, 1]
    assert ccc(torch.tensor(truth), torch.tensor(same)).item() == pytest.approx(rho)
    assert 0 < ccc(torch.tensor(truth), torch.tensor(predicted)).item() < rho - 0.02


def test_full_agreement_is_one_full_disagreement_minus_one_and_the_two_sides_can_be_exchanged():
    truth, predicted = ratings()
    assert ccc(truth, truth).tolist() == pytest.approx([1, 1, 1])
    assert ccc(truth, 2 * truth.mean(dim=0) - truth).tolist() == pytest.approx([-1, -1, -1])
    torch.testing.assert_close(ccc(truth, predicted), ccc(predicted, truth))


def test_a_shift_of_both_that_is_large_beside_their_deviation_costs_no_precision():
    """float32 ratings at 1,000 +- 0.01: squares before centring would have no right digit."""
    generator = torch.Generator().manual_seed(0)
    truth = (1000 + 0.01 * torch.randn(64, 1, generator=generator)).float()
    predicted = (truth + 0.01 * torch.randn(64, 1, generator=generator)).float()
    assert ccc(truth, predicted).item() == pytest.approx(ccc(truth.double(), predicted.double()).item(), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([1.3, 4.1, 6.7], [2.9, 2.9, 2.9]),
        ([2.9, 2.9, 2.9], [1.3, 4.1, 6.7]),
        ([2.9, 2.9, 2.9], [4.7, 4.7, 4.7]),
        ([2.9, 2.9, 2.9], [2.9, 2.9, 2.9]),
        ([2.9], [4.7]),
        ([2.9], [2.9]),
    ],
    ids=["constant predictions", "constant truth", "both constant", "all equal", "one item", "one right item"],
)
def test_where_one_side_is_constant_it_is_exactly_0_and_its_gradient_finite(truth, predicted, dtype):
    truth = torch.tensor(truth, dtype=dtype)[:, None].expand(-1, 3)
    predicted = torch.tensor(predicted, dtype=dtype)[:, None].repeat(1, 3).requires_grad_()
    value, loss = ccc(truth, predicted), concordance_loss(truth, predicted, 1 / 3, 1 / 3)
    assert value.tolist() == [0, 0, 0]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(predicted.grad).all()


@pytest.mark.parametrize("scale", [1e-16, 1e-19, 1e-22, 1e-30])
def test_deviations_whose_squares_are_not_normal_numbers_leave_value_and_gradient_finite(scale):
    truth = torch.tensor([0.0, 1.0, 3.0])[:, None] * scale
    predicted = (torch.tensor([0.0, 2.0, 3.0])[:, None] * scale).requires_grad_()
    value = ccc(truth, predicted)
    value.sum().backward()
    assert -1 <= value.item() <= 1
    assert torch.isfinite(predicted.grad).all()


def test_constant_predictions_have_a_gradient_that_leads_away_from_them():
    """A network that begins with equal outputs must be able to learn."""
    truth, predicted = ratings()[0], torch.full((30, 3), 2.9, dtype=torch.float64, requires_grad=True)
    concordance_loss(truth, predicted, 1 / 3, 1 / 3).backward()
    assert ((predicted.grad < 0) == (truth > truth.mean(dim=0))).all()


def test_the_gradient_is_that_of_the_slides_formula_and_of_finite_differences():
    truth, predicted = ratings(12)
    predicted.requires_grad_()
    found = torch.autograd.grad(concordance_loss(truth, predicted, 0.5, 0.2), predicted)[0]
    parts = [slide(list(x), list(y)) for x, y in zip(truth.T, predicted.T, strict=True)]
    expected = torch.autograd.grad(1 - 0.5 * parts[0] - 0.2 * parts[1] - 0.3 * parts[2], predicted)[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda said: concordance_loss(truth, said, 0.5, 0.2), predicted)


@pytest.mark.parametrize(("alpha", "beta"), [(1 / 3, 1 / 3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.58, 0.42), (0.7, 0.3)])
def test_the_loss_is_one_minus_a_mean_of_the_coefficients_weighted_by_alpha_beta_and_the_rest(alpha, beta):
    """So it is 0 in full agreement, and every attribute with a weight is learnt: what is printed would leave out two of three."""
    truth, predicted = ratings()
    predicted.requires_grad_()
    loss = concordance_loss(truth, predicted, alpha, beta)
    assert loss.item() == pytest.approx(1 - np.average(ccc(truth, predicted).tolist(), weights=[alpha, beta, 1 - alpha - beta]))
    assert concordance_loss(truth, truth, alpha, beta).item() == pytest.approx(0)
    loss.backward()
    learnt = predicted.grad.abs().sum(dim=0) > 1e-12
    assert learnt.tolist() == [weight > 1e-9 for weight in (alpha, beta, 1 - alpha - beta)]


@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 0.5), (-0.1, 0.5), (0.5, -0.1), (1.1, 0.0)])
def test_weights_that_leave_dominance_less_than_nothing_are_refused(alpha, beta):
    with pytest.raises(ValueError, match=f"alpha={alpha} and beta={beta} leave dominance"):
        concordance_loss(*ratings(), alpha, beta)


def test_it_is_computed_in_float32_whatever_autocast_says():
    truth, predicted = ratings(dtype=torch.float32)
    expected = concordance_loss(truth, predicted, 0.4, 0.3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert concordance_loss(truth, predicted, 0.4, 0.3) == expected
        assert ccc(truth, predicted.bfloat16()).dtype == torch.float32


def test_columns_that_do_not_belong_together_are_refused():
    truth, predicted = ratings()
    with pytest.raises(ValueError, match=r"truth \(30, 3\) and predictions \(29, 3\)"):
        ccc(truth, predicted[:29])
    with pytest.raises(ValueError, match="N > 0"):
        ccc(truth[:0], predicted[:0])
    with pytest.raises(ValueError, match="columns activation, valence, dominance"):
        concordance_loss(truth[:, :2], predicted[:, :2], 0.5, 0.5)
