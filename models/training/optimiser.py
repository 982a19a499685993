"""Muon for the convolutions, Nesterov SGD for the rest, and the running average of the weights.

Muon (Jordan et al., 2024) turns the momentum of a weight matrix into the nearest matrix with equal
singular values by a few Newton-Schulz steps, so that all directions learn at one pace.
"""

from functools import partial
from typing import Any

import torch
from machine import together
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: Tensor, steps: int = 4) -> Tensor:
    """Return `matrix` (M, N) with singular values near 1, by `steps` quintic iterations."""
    first, second, third = NEWTON_SCHULZ
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    if not wide:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = first * x + (second * gram + third * gram @ gram) @ x
    return (x if wide else x.T).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; the step of a filter bank is relative to its own norm.

    Weights keep the norm they start with (a batch norm follows, so their scale means nothing),
    which makes weight decay unnecessary.
    """

    def __init__(self, parameters: list[nn.Parameter], *, rate: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # noqa: ARG002 (the signature is torch's)
        """Take one step with the gradients at hand."""
        for group in self.param_groups:
            together(partial(self._move, group), group["params"])

    @torch.no_grad()
    def _move(self, group: dict[str, Any], weight: nn.Parameter) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
            state["norm"] = weight.norm()
        trend = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
        ahead = weight.grad.add(trend, alpha=group["momentum"])
        update = orthogonalised(ahead.flatten(1)).view_as(weight)
        update *= state["norm"] / (update.norm() + 1e-7)
        weight.add_(update, alpha=-group["lr"])
        weight.mul_(state["norm"] / weight.norm())


class Average:
    """Running average of a network's weights and batch statistics.

    Parameters
    ----------
    network : Module
        Whose state is averaged.
    decay : float
        Share that the average keeps at each update, once it has seen enough of them.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network as it is."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, weight)
            else:
                self.state[name].copy_(value)
