"""The training step, judged by what it returns, and by the gradients that an optimiser gets of it that stays put."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .explain import explained
from .mistake import Mistake


@explained
def training_step(
    function: Callable[[nn.Module, torch.optim.Optimizer, Tensor], object],
    vae: nn.Module,
    loss: Callable[[nn.Module, Tensor], Tensor] | None = None,
    terms: Callable[[nn.Module, Tensor], tuple[Tensor, ...]] | None = None,
) -> None:
    """Your training step: function(model, optimizer, x) takes one step of `vae` on a batch x, (B, 1, 28, 28).

    loss: loss(model, x), whose gradient the step must follow; it must draw the same noise as the step does. terms:
    terms(model, x), what the step must return, as it was before the step, without its graph; the last is the loss.
    """
    if terms and not loss:
        return training_step(function, vae, lambda model, x: terms(model, x)[-1], terms)
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    watch, kept, mode = _Watch(vae.parameters()), x.clone(), vae.training
    weights = [p.detach().clone() for p in vae.parameters()]
    for _ in range(4):
        function(vae, watch, x)
    if vae.training != mode or not torch.equal(x, kept) or x.requires_grad:
        raise Mistake(
            "a step must leave the model's mode and the batch as they are: no train(), eval(), x.mul_() or "
            "x.requires_grad_()"
        )
    if len(watch.seen) != 4:
        raise Mistake(
            f"four calls took {len(watch.seen)} steps: call step() of the optimizer that is passed in, once in each"
        )
    if not all(torch.equal(p, before) for p, before in zip(vae.parameters(), weights, strict=True)):
        raise Mistake("the weights are changed by hand: only optimizer.step() may do that")
    sizes = [gradient.norm().item() for gradient in watch.seen]
    if not any(sizes):
        raise Mistake(
            "no gradient arrives at the optimiser: call loss.backward() after zero_grad() and before step(), of "
            "the loss as it comes, without detach()"
        )
    if not sizes[0]:
        raise Mistake("the first step comes before any gradient: call loss.backward() before optimizer.step()")
    ratio = sizes[3] / sizes[0]
    if ratio > 2:
        raise Mistake(
            f"the gradient is not zeroed: of one batch it is {ratio:.1f} times as large in the fourth step as in the "
            "first. Call optimizer.zero_grad() in each step"
        )
    if loss:
        _check_gradient(watch.seen, vae, x, loss, terms)
    if terms:
        _check_returned(function, vae, x, terms)
    return None


def _check_gradient(seen: list[Tensor], vae: nn.Module, x: Tensor, loss: Callable, terms: Callable | None) -> None:
    """The gradient must be that of the loss."""

    def gradient(of: Tensor) -> Tensor:
        return _flat(torch.autograd.grad(of, list(vae.parameters()), materialize_grads=True))

    expected = gradient(loss(vae, x))
    close = 1e-3 * expected.abs().max().item()
    if torch.allclose(seen[0], expected, atol=close):
        return
    if torch.allclose(seen[0], -expected, atol=close):
        raise Mistake("the step climbs: the gradient has the wrong sign, minimise the loss")
    if not torch.allclose(seen[0], seen[1], atol=close):
        raise Mistake(
            "two steps with the same noise have different gradients: the generator is not passed on, or the gradient "
            "of the step before is not zeroed"
        )
    ratio = (seen[0].norm() / expected.norm()).item()
    if torch.allclose(seen[0], ratio * expected, atol=close * max(1, ratio)):
        raise Mistake(
            f"the gradient is {ratio:.3g} times that of the loss: it is scaled or clipped on the way, or "
            "backward() is called more than once"
        )
    cause = ""
    if terms:
        others = {"recon alone": (1, 0), "the KL alone": (0, 1), "recon + kl, without β": (1, 1)}
        for name, (a, b) in others.items():
            recon, kl, *_ = terms(vae, x)
            if torch.allclose(seen[0], gradient(a * recon + b * kl), atol=close):
                cause = f", but that of {name}"
    raise Mistake(
        f"the gradient is not that of the loss{cause}: call loss_terms once, with the config and the generator that "
        "are passed in, and backward() on the whole loss that it gives"
    )


def _check_returned(function: Callable, vae: nn.Module, x: Tensor, terms: Callable) -> None:
    """What the step returns is kept for the curves: numbers in tensors, of before the step."""
    wanted = torch.stack([t.detach() for t in terms(vae, x)])
    before = {name: t.clone() for name, t in vae.state_dict().items()}
    answer = function(vae, torch.optim.SGD(vae.parameters(), lr=1e-3), x)
    after = torch.stack([t.detach() for t in terms(vae, x)])
    vae.load_state_dict(before)
    names = "it must return (recon, kl, loss), three tensors of one number each"
    if not isinstance(answer, tuple | list) or len(answer) != len(wanted):
        forgotten = ": is its `return` forgotten?" if answer is None else ""
        raise Mistake(f"{names}, got {type(answer).__name__}{forgotten}")
    if not all(isinstance(t, Tensor) and t.shape == () for t in answer):
        got = ", ".join(str(tuple(t.shape)) if isinstance(t, Tensor) else type(t).__name__ for t in answer)
        raise Mistake(f"{names}, got {got}: neither .item() nor numbers per image")
    if any(t.requires_grad for t in answer):
        raise Mistake("what it returns carries its graph, so that every step of a run is kept in memory: detach() it")
    returned = torch.stack(list(answer))
    if not torch.allclose(returned, wanted, rtol=1e-4):
        cause = (
            "they are those of after the step: compute them once, before it"
            if torch.allclose(returned, after, rtol=1e-4)
            else "they are in another order, or not what loss_terms gives"
        )
        shown = [", ".join(f"{v:.4g}" for v in t.tolist()) for t in (returned, wanted)]
        raise Mistake(f"it must return recon, kl and loss as before the step, {shown[1]}, got {shown[0]}: {cause}")


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
