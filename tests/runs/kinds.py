"""Every kind of model that can be kept, and settings that are nowhere the defaults."""

from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig

CONFIG = TrainConfig(beta=0.02, epochs=2, batch_size=16, lr=3e-3, schedule="one-cycle", seed=4)
MODELS = {
    "AE": lambda: AutoEncoder(3, hidden=(8,), seed=2),
    "no hidden layer": lambda: VAE(3, hidden=()),
    "VAE": lambda: VAE(2, hidden=(8, 6), seed=2**63 - 1),
    "conv": lambda: VAE(3, "conv", (2, 3, 4, 5), seed=7),
    "conditioned": lambda: ConditionedVAE(3, (8,), betas=(1e-4, 0.3), seed=2),
}
