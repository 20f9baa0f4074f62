"""The loss of a Bernoulli VAE on the MNIST test images, to hold against PyTorch's example.

All 60,000 training images, 10 epochs, effective β = 1 (the loss would be a negative ELBO if pixels were 0 or 1; these
are grey, so it compares only with others made the same way), one-cycle rate. Under a minute on two cores.
`bernoulli.py SEED …` runs other seeds.
"""

import sys

import hw2
from hw2.training import Terms


def run(seed: int = 0) -> Terms:
    """Train on all training images and evaluate on the test images, one sampled z per image."""
    config = hw2.TrainConfig(beta=1 / 784, epochs=10, lr=3e-3, schedule="one-cycle", likelihood="bernoulli", seed=seed)
    model = hw2.VAE(32, hidden=(512, 256), seed=seed)
    hw2.fit(model, hw2.load("mnist", "train"), config, progress=False)
    return hw2.evaluate(model, hw2.load("mnist", "test"), config)


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0"]):
        recon, kl, loss = run(seed)
        print(
            f"seed {seed}: loss {loss:.2f} nats per test image (reconstruction {recon:.2f}, KL {kl:.2f})",
            flush=True,
        )
