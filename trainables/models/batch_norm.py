"""Batch norm over the batches of all workers, so that N workers normalise as one worker with the whole batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace every batch norm in ``module`` by one over all ranks; parameters and buffers are kept, names do not change.

    On CUDA that is ``nn.SyncBatchNorm``; on a CPU, for which PyTorch has none, :class:`CpuSyncBatchNorm`. Ranks may have
    batches of different sizes. Needs an initialised process group; with one rank it changes nothing.
    """
    if dist.get_world_size() == 1:
        return module
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    if isinstance(module, _BatchNorm):
        return CpuSyncBatchNorm.like(module)
    for name, child in module.named_children():
        setattr(module, name, synchronise_batch_norm(child, device))
    return module


class CpuSyncBatchNorm(_BatchNorm):
    """Affine batch norm whose statistics are those of all ranks' batches together; input ``[B, C, ...]``."""

    @classmethod
    def like(cls, original: _BatchNorm) -> CpuSyncBatchNorm:
        """One that has the parameters and buffers of ``original`` (the very tensors)."""
        ours = cls(original.num_features, original.eps, original.momentum)
        ours._parameters, ours._buffers = original._parameters, original._buffers
        return ours.train(original.training)

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Any number of dimensions will do: what is not the channel is averaged over."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise by the statistics of all ranks' inputs and update the running ones; in evaluation as any batch norm."""
        if not self.training:
            return super().forward(x)
        mean, variance, count = _global_statistics(x)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return _Normalise.apply(x, self.weight, self.bias, mean, variance, count, self.eps)


@torch.no_grad()
def _global_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean ``[C]``, biased variance ``[C]`` (float32) and number of values per channel, over all ranks."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    variance, mean = torch.var_mean(x.float(), dim=axes, correction=0)
    local = torch.stack([mean, variance, torch.full_like(mean, x.numel() // x.shape[1])])
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, local)
    means, variances, counts = torch.stack(gathered, dim=1)
    # Chan et al.'s pairwise formula: squares of the raw values are never summed, so a large mean costs no digits.
    count = counts.sum(dim=0)
    mean = (means * counts).sum(dim=0) / count
    variance = ((variances + (means - mean).square()) * counts).sum(dim=0) / count
    return mean, variance, count[0]


class _Normalise(torch.autograd.Function):
    """Normalisation by given statistics forward; backward, those statistics count as functions of all ranks' inputs.

    With ``g`` the gradient of the output and ``x_hat`` the normalised input:
    ``dx = weight / std * (g - mean(g) - x_hat * mean(g * x_hat))``, both means over all ranks. The native kernels of
    evaluation mode give the first term and the sums behind the means.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor,
        count: torch.Tensor, eps: float
    ) -> torch.Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        scaled, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([weight_gradient, bias_gradient]).float()
        dist.all_reduce(sums)
        mean_gx, mean_g = sums / count
        inverse_std = (variance + ctx.eps).rsqrt()
        slope = weight * inverse_std * mean_gx * inverse_std
        offset = weight * inverse_std * mean_g - slope * mean
        shape = [1, -1] + [1] * (x.dim() - 2)
        correction = torch.addcmul(offset.view(shape), x, slope.view(shape))
        return (scaled - correction).to(x.dtype), weight_gradient, bias_gradient, None, None, None, None
