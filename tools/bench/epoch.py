"""An epoch of the classic 784-400-20 VAE, as others write it and as `hw2.fit` does.

    python tools/bench/epoch.py    pythae and Lightning come with the extra `bench`; their rows are left out without

The same images, batch of 128, Adam at 0.001, cross-entropy, sampled z, float32. Every side trains two epochs on the
60,000 training images in each round; a row is the median over the rounds, per epoch.
"""

import contextlib
import gzip
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import in_turn, keep
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import hw2

EPOCHS, BATCH, LR, ROUNDS = 2, 128, 1e-3, 5


class Classic(nn.Module):
    """The network of PyTorch's own VAE example."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> Tensor:
        """Negative ELBO, summed over the batch."""
        x = x.view(-1, 784)
        hidden = F.relu(self.fc1(x))
        mu, logvar = self.fc21(hidden), self.fc22(hidden)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        image = torch.sigmoid(self.fc4(F.relu(self.fc3(z))))
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return F.binary_cross_entropy(image, x, reduction="sum") + kl


def loop(epochs: Callable[[], Iterable[Tensor]], fused: bool) -> float:
    """Train as tutorials do; the mean loss per image in the last epoch."""
    model = Classic()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)
    for _ in range(EPOCHS):
        total = 0.0
        for x in epochs():
            optimizer.zero_grad()
            loss = model(x)
            loss.backward()
            total += loss.item()
            optimizer.step()
    return total / 60_000


def extract(root: str) -> None:
    """Put the package's MNIST where torchvision looks for it."""
    raw = Path(root) / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in hw2.data.ASSETS.glob("*-ubyte.gz"):
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))


def published(root: str) -> datasets.MNIST:
    return datasets.MNIST(root, train=True, transform=transforms.ToTensor())


def tutorial(root: str) -> float:
    loader = DataLoader(published(root), batch_size=BATCH, shuffle=True)
    return loop(lambda: (x for x, _ in loader), fused=False)


def in_memory(images: Tensor, fused: bool = False) -> float:
    return loop(lambda: (images[rows] for rows in torch.randperm(len(images)).split(BATCH)), fused)


def ours(digits: hw2.Digits) -> float:
    config = hw2.TrainConfig(beta=1 / 784, epochs=EPOCHS, batch_size=BATCH, lr=LR, likelihood="bernoulli")
    history = hw2.fit(hw2.VAE(20, hidden=(400,)), digits, config, progress=False)
    return history.per_epoch("loss")[-1].item()


def with_lightning(root: str) -> float:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = Classic(), []

        def training_step(self, batch):
            loss = self.net(batch[0])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=LR)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(published(root), batch_size=BATCH, shuffle=True))
    return sum(module.losses[len(module.losses) // EPOCHS * (EPOCHS - 1) :]) / 60_000


def with_pythae(images: Tensor) -> float:
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mu, self.logvar = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)

        def forward(self, x):
            hidden = F.relu(self.body(x.flatten(1)))
            return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z).view(-1, 1, 28, 28))

    class Trainer(BaseTrainer):
        def train_step(self, epoch):
            self.last_loss = super().train_step(epoch)
            return self.last_loss

    from pythae.data.preprocessors import DataProcessor

    shape = (1, 28, 28)
    model = VAE(VAEConfig(input_dim=shape, latent_dim=20, reconstruction_loss="bce"), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=EPOCHS, learning_rate=LR, per_device_train_batch_size=BATCH, no_cuda=True
        )
        trainer = Trainer(model, DataProcessor.to_dataset(images), training_config=config)
        trainer.train()
    return float(trainer.last_loss)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        extract(root)
        compare(root)


def compare(root: str) -> None:
    """root: where torchvision finds MNIST."""
    digits = hw2.load("mnist", "train")
    sides = {
        "tutorial: DataLoader, ToTensor, sigmoid, BCE": lambda: tutorial(root),
        "Lightning, the same DataLoader": lambda: with_lightning(root),
        "pythae, images in memory": lambda: with_pythae(digits.images),
        "plain loop, images in memory": lambda: in_memory(digits.images),
        "the same with the fused Adam": lambda: in_memory(digits.images, fused=True),
        "`hw2.fit`": lambda: ours(digits),
    }
    losses: dict[str, float] = {}

    def quiet(name: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            losses[name] = sides[name]()

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in list(sides):
        try:
            quiet(name)  # and a first round that is not timed
        except ImportError as error:
            print(f"left out: {name} ({error})")
            del sides[name]
    times = in_turn({name: lambda name=name: quiet(name) for name in sides}, ROUNDS)
    first, *_ = times.values()
    rows = [
        (name, f"{seconds / EPOCHS:.2f}", f"{first / seconds:.2f}", f"{losses[name]:.2f}")
        for name, seconds in times.items()
    ]
    head = ("784-400-20, batch 128", "seconds per epoch", "times as fast", "training loss in epoch 2, nats per image")
    keep("epoch", head, rows)


if __name__ == "__main__":
    main()
