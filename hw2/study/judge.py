"""A judge: a small convolutional digit classifier, whose opinion and features the perceptual numbers rest on.

Its weights are in the package. It is trained on the first 50,000 MNIST training images, as the models are, by
`python -m hw2.study.judge`. Numbers in its features compare with each other, not with published Inception FIDs.
"""

import itertools
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import ASSETS, load
from ..inputs import check_images
from ..models import inference
from ..networks import initialise
from ..runs.files import pack, replacing, unpack

WEIGHTS = ASSETS / "judge.safetensors"


class Judge(nn.Module):
    """28 × 28 pixels to 64 features to 10 logits; about 61,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        channels = (1, 16, 32, 64)
        blocks = [
            layer
            for n_in, n in itertools.pairwise(channels)
            for layer in (nn.Conv2d(n_in, n, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ]
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64 * 9, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, (B, 10). x: (B, 1, 28, 28)."""
        return self.head(self.body(x))


@cache
def the_judge() -> Judge:
    """The trained judge. ValueError with the path if its file is damaged."""
    tensors, _ = unpack(WEIGHTS)
    judge = Judge()
    judge.load_state_dict(tensors)
    return judge.eval()


def features(images: Tensor) -> Tensor:
    """The judge's 64 features of each image, before its last layer. images: (N, 1, 28, 28); returns (N, 64)."""
    check_images(images)
    with inference(judge := the_judge()):
        return torch.cat([judge.body(part) for part in images.split(250)])  # fits the CPU's cache better than 1000


def probabilities(features: Tensor) -> Tensor:
    """The judge's probabilities of the ten classes. features: (N, 64); returns (N, 10)."""
    with inference(judge := the_judge()):
        return judge.head(features).softmax(1)


def accuracy(judge: Judge, images: Tensor, labels: Tensor) -> float:
    """Share of images whose most probable class is the label. images: (N, 1, 28, 28); labels: (N,)."""
    check_images(images)
    if labels.shape != (len(images),):
        raise ValueError(f"labels must be ({len(images)},), one per image, got {tuple(labels.shape)}")
    with inference(judge):
        return torch.cat([judge(part).argmax(1) for part in images.split(1000)]).eq(labels).float().mean().item()


def train(path: Path = WEIGHTS, epochs: int = 12, batch_size: int = 256, seed: int = 0) -> None:
    """Train a judge on images shifted by up to two pixels, print its accuracy, and write it to `path`."""
    published, test = load("mnist", "train"), load("mnist", "test")
    digits, validation = published[:50_000], published[50_000:]
    with torch.device("meta"):
        judge = Judge()
    initialise(judge, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * -(-len(digits) // batch_size)
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for epoch in range(epochs):
        for rows in torch.randperm(len(digits), generator=generator).split(batch_size):
            shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
            logits = judge(digits.images[rows].roll(shift, (2, 3)))
            optimizer.zero_grad()
            F.cross_entropy(logits, digits.labels[rows]).backward()
            optimizer.step()
            scheduler.step()
        print(f"epoch {epoch + 1}: validation {accuracy(judge, validation.images, validation.labels):.4f}", flush=True)
    print(f"test accuracy {accuracy(judge, test.images, test.labels):.4f}")
    with replacing(path) as temporary:
        temporary.write_bytes(pack(judge.state_dict(), {"trained_on": "the first 50,000 MNIST training images"}))


if __name__ == "__main__":
    train()
