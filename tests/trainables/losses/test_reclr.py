"""Contract of trainables.losses.reclr, against the paper's formulas written as loops."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from trainables.losses import reclr
from trainables.losses.reclr import contrastive_loss


def batch(size=12, dim=7, speakers=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    query, key, reference = (torch.randn(size, width, generator=generator, dtype=dtype) for width in (dim, dim, 5))
    return query, key, reference, torch.randint(speakers, (size,), generator=generator)


def loss_of(query, key, reference, speaker, own=None, lambda_=0.4, top_k=3, temperature=0.1, same_speaker_positives=True):
    own = torch.arange(len(query)) if own is None else own
    return contrastive_loss(
        query,
        key,
        reference,
        speaker,
        own=own,
        lambda_=lambda_,
        top_k=top_k,
        temperature=temperature,
        same_speaker_positives=same_speaker_positives,
    )


def cosine(a, b):
    norms = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / norms if norms else 0.0


def paper_positives(i, reference, speaker, top_k, same_speaker):
    size = len(speaker)
    others = [j for j in range(size) if j != i]
    positives = {i}
    if top_k:
        positives |= set(sorted(others, key=lambda j: -cosine(reference[i], reference[j]))[:top_k])
    if same_speaker:
        positives |= {j for j in others if speaker[j] == speaker[i]}
    return positives


def paper_loss(query, key, reference, speaker, own, lambda_, top_k, temperature, same_speaker_positives):
    """Equations (1), (2) and (6), sample by sample, in Python floats."""
    losses = []
    for row, i in enumerate(own.tolist()):
        positives = paper_positives(i, reference, speaker, top_k, same_speaker_positives)
        scores = [cosine(query[row], key[j]) for j in range(len(key))]
        sum_positive = sum(math.exp(scores[p] / temperature) for p in positives)
        numerator = sum_positive / len(positives)
        negatives = [n for n in range(len(key)) if n not in positives]
        loss = 0.0
        if lambda_ < 1:
            denominator = sum_positive + sum(math.exp(scores[n] / temperature) for n in negatives)
            loss += (1 - lambda_) * -math.log(numerator / denominator)
        if lambda_ > 0:
            weights = {n: -cosine(reference[i], reference[n]) for n in negatives}
            denominator = sum_positive + sum(math.exp(scores[n] * weights[n] / temperature) for n in negatives)
            loss += lambda_ * -math.log(numerator / denominator)
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("lambda_", [0.0, 0.2, 0.4, 1.0])
@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("same_speaker", [True, False])
def test_the_loss_is_the_papers_written_sample_by_sample(lambda_, top_k, same_speaker):
    query, key, reference, speaker = batch(seed=top_k)
    own = torch.arange(12)
    expected = paper_loss(query, key, reference, speaker, own, lambda_, top_k, 0.1, same_speaker)
    found = loss_of(query, key, reference, speaker, own, lambda_, top_k, 0.1, same_speaker).loss
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("top_k", [11, 12, 1000])
def test_a_k_of_all_others_or_more_makes_every_sample_a_positive(top_k):
    query, key, reference, speaker = batch()
    expected = paper_loss(query, key, reference, speaker, torch.arange(12), 0.4, 11, 0.1, False)
    found = loss_of(query, key, reference, speaker, top_k=top_k, same_speaker_positives=False)
    assert found.loss.item() == pytest.approx(expected, rel=1e-12)
    assert found.negative_cosine.item() == 0


def test_a_batch_of_one_speaker_has_the_finite_loss_of_no_negatives():
    query, key, reference, _ = batch()
    speaker = torch.zeros(12, dtype=torch.int64)
    # Numerator: mean over all; denominator: sum over all.
    assert loss_of(query, key, reference, speaker).loss.item() == pytest.approx(math.log(12), rel=1e-12)


def test_a_batch_of_one_sample_has_loss_zero():
    assert loss_of(*batch(size=1)).loss.item() == pytest.approx(0, abs=1e-12)


def test_zero_vectors_have_cosine_zero_and_finite_gradients():
    query, key, reference, speaker = batch()
    query[0], key[1], reference[2] = 0, 0, 0
    query.requires_grad_()
    expected = paper_loss(query.detach(), key, reference, speaker, torch.arange(12), 0.4, 0, 0.1, True)
    found = loss_of(query, key, reference, speaker, top_k=0).loss
    assert found.item() == pytest.approx(expected, rel=1e-12)
    found.backward()
    assert query.grad.isfinite().all()


def test_scores_far_apart_neither_overflow_nor_underflow_in_float32():
    query, key, reference, speaker = batch(dtype=torch.float32)
    loss = loss_of(query, key, reference, speaker, temperature=1e-3).loss
    expected = paper_loss(*(x.double() for x in (query, key, reference)), speaker, torch.arange(12), 0.4, 3, 1e-2, True)
    assert loss.isfinite()
    found = loss_of(query, key, reference, speaker, temperature=1e-2).loss.item()
    assert found == pytest.approx(expected, rel=1e-4)


def loss_of_scores(score, reference, speaker, lambda_, temperature=0.1):
    similarity = reclr._cosine(reference, reference)
    positive = reclr._positives(similarity, speaker, torch.arange(len(speaker)), 3, True)
    return reclr._loss(score, similarity, positive, lambda_, temperature), similarity, positive


@pytest.mark.parametrize("lambda_", [0.0, 1.0])
def test_gradients_of_negative_scores_are_equation_4(lambda_):
    query, key, reference, speaker = batch()
    score = reclr._cosine(query, key).requires_grad_()
    loss, similarity, positive = loss_of_scores(score, reference, speaker, lambda_)
    loss.backward()
    s, r, tau = score.detach(), similarity, 0.1
    weight = -r if lambda_ else torch.ones_like(r)
    terms = torch.where(positive, (s / tau).exp(), (s * weight / tau).exp())
    expected = terms / terms.sum(dim=1, keepdim=True) * weight / tau
    negative = ~positive
    assert negative.any()
    # Equation (4) is of one sample's loss, the batch's is the mean.
    torch.testing.assert_close(score.grad[negative] * len(score), expected[negative], rtol=1e-10, atol=1e-14)


def test_the_gradient_of_the_whole_loss_is_that_of_finite_differences():
    query, key, reference, speaker = batch(size=6, dim=4)
    query.requires_grad_()
    assert torch.autograd.gradcheck(lambda q: loss_of(q, key, reference, speaker, top_k=1).loss, (query,))


def test_lambda_0_is_exactly_coclr_and_does_not_depend_on_negative_references():
    query, key, reference, speaker = batch(dtype=torch.float32)
    coclr = loss_of(query, key, reference, speaker, lambda_=0.0).loss
    logits = reclr._cosine(query, key) / 0.1
    positive = reclr._positives(reclr._cosine(reference, reference), speaker, torch.arange(12), 3, True)
    sum_positive = logits.masked_fill(~positive, -math.inf).logsumexp(1)
    expected = (logits.logsumexp(1) - (sum_positive - positive.sum(1, dtype=torch.float32).log())).mean()
    assert torch.equal(coclr, expected)


def test_k_0_without_same_speaker_positives_is_simclrs_infonce():
    query, key, _, speaker = batch()
    scores = F.cosine_similarity(query[:, None], key[None], dim=2)
    expected = F.cross_entropy(scores / 0.1, torch.arange(12))
    found = loss_of(query, key, None, speaker, lambda_=0.0, top_k=0, same_speaker_positives=False).loss
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("lambda_", "top_k"), [(0.0, 0), (0.0, 3), (0.4, 3)], ids=["simclr", "coclr", "reclr"])
def test_the_order_of_the_batch_does_not_matter(lambda_, top_k):
    query, key, reference, speaker = batch()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    of = partial(loss_of, lambda_=lambda_, top_k=top_k)
    one = of(query, key, reference, speaker)
    other = of(query[order], key[order], reference[order], speaker[order])
    torch.testing.assert_close(torch.stack(one), torch.stack(other), rtol=1e-12, atol=1e-14)


def test_the_mean_over_workers_is_the_loss_of_the_whole_batch():
    query, key, reference, speaker = batch()
    parts = [
        loss_of(query[own], key, reference, speaker, own=own, top_k=0, same_speaker_positives=False).loss
        for own in torch.arange(12).chunk(3)
    ]
    whole = loss_of(query, key, reference, speaker, top_k=0, same_speaker_positives=False).loss
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_the_reported_cosines_are_means_over_each_querys_positives_and_negatives():
    query, key, reference, speaker = batch()
    found = loss_of(query, key, reference, speaker)
    positives = [paper_positives(i, reference, speaker, 3, True) for i in range(12)]
    for value, wanted in ((found.positive_cosine, True), (found.negative_cosine, False)):
        rows = [[cosine(query[i], key[j]) for j in range(12) if (j in positives[i]) == wanted] for i in range(12)]
        assert value.item() == pytest.approx(sum(sum(row) / len(row) for row in rows) / 12, rel=1e-12)


def test_autocast_does_not_lower_the_precision_of_the_loss():
    query, key, reference, speaker = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss_of(query, key, reference, speaker).loss
    assert torch.equal(inside, loss_of(query, key, reference, speaker).loss)
