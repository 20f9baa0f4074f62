"""The training step, judged by the gradients that it hands to an optimiser which does not move."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .mistake import Mistake


def training_step(
    function: Callable[[nn.Module, torch.optim.Optimizer, Tensor], object],
    vae: nn.Module,
    loss: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> None:
    """Your training step: function(model, optimizer, x) takes one step of `vae` on a batch x, (B, 1, 28, 28).

    loss: loss(model, x), whose gradient the step must follow; it must draw the same noise as the step does.
    """
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    watch = _Watch(vae.parameters())
    for _ in range(4):
        function(vae, watch, x)
    if len(watch.seen) != 4:
        raise Mistake(f"four calls took {len(watch.seen)} steps: call optimizer.step() once in each")
    sizes = [gradient.norm().item() for gradient in watch.seen]
    if not any(sizes):
        raise Mistake("no gradient arrives at the optimiser: call loss.backward() after zero_grad() and before step()")
    if not sizes[0]:
        raise Mistake("the first step comes before any gradient: call loss.backward() before optimizer.step()")
    ratio = sizes[3] / sizes[0]
    if ratio > 2:
        raise Mistake(
            f"the gradient is not zeroed: of one batch it is {ratio:.1f} times as large in the fourth step as in the "
            "first. Call optimizer.zero_grad() in each step"
        )
    if loss:
        expected = _flat(torch.autograd.grad(loss(vae, x), list(vae.parameters()), materialize_grads=True))
        close = 1e-3 * expected.abs().max().item()
        if torch.allclose(watch.seen[0], -expected, atol=close):
            raise Mistake("the step climbs: the gradient has the wrong sign, minimise the loss")
        if not torch.allclose(watch.seen[0], expected, atol=close):
            raise Mistake(
                "the gradient is not that of the loss: call backward() on the whole loss, as loss_terms gives it"
            )


class _Watch(torch.optim.SGD):
    """An optimiser that does not move, and keeps each gradient that it is given."""

    def __init__(self, parameters) -> None:
        super().__init__(parameters, lr=0.0)
        self.seen: list[Tensor] = []

    def step(self, closure=None):
        loss = closure() if closure else None
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.seen.append(_flat(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters))
        return loss


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])
