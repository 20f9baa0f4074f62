"""One network for all β against one network per β: the gap of the objective on the test images.

    python tools/evidence/conditioned.py [EPOCHS of the one network ...]

Same size, likelihood, images, batch, one-cycle rate with the same peak. The separate networks have 10 epochs each, the
one network as many as given (10 by default). Some 5 minutes on two cores with one argument. A positive gap is in
favour of the separate network.
"""

import sys

import hw2

BETAS = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2)


def config(beta: float, epochs: int) -> hw2.TrainConfig:
    """The same for both sides, but for the β, which the one network draws."""
    return hw2.TrainConfig(beta=beta, epochs=epochs, lr=3e-3, schedule="one-cycle")


def main(epochs: list[int]) -> None:
    train, test = hw2.load("mnist", "train")[:50_000], hw2.load("mnist", "test")

    def result(model: hw2.VAE, beta: float) -> hw2.training.Terms:
        return hw2.evaluate(model, test, config(beta, 10))

    separate = {}
    for beta in BETAS:
        run = hw2.train_or_load(hw2.VAE(32), train, config(beta, 10), progress=False)
        separate[beta] = result(run.model, beta)
        print(f"separate, 10 epochs   β = {beta:<7g} {show(separate[beta])}", flush=True)
    for n in epochs:
        one = hw2.train_or_load(hw2.ConditionedVAE(32), train, config(1e-3, n), progress=False).model
        for beta in BETAS:
            terms = result(one.at(beta), beta)
            gap = terms.loss - separate[beta].loss
            print(f"one, {n} epochs        β = {beta:<7g} {show(terms)}   gap {gap:+.2f}", flush=True)


def show(terms: hw2.training.Terms) -> str:
    return f"squared error {terms.recon:6.2f}   KL {terms.kl:6.2f}   objective {terms.loss:6.2f}"


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [10])
