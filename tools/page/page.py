"""A page that needs no kernel: `make page`, or `page.py [FILE]`, writes explorer.html, one file with everything in it.

The networks are those of the notebooks, from kept runs where there are any, with the settings of notebook 2. Their
weights go into the file, nearly all in float16, and explorer.js decodes them with plain loops: nothing is
loaded from elsewhere.
"""

import base64
import contextlib
import copy
import hashlib
import html
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from string import Template
from types import SimpleNamespace
from typing import NamedTuple

import nbformat
import torch
from matplotlib.colors import to_hex
from torch import Tensor, nn

import hw2
from hw2.latent import grid, walk
from hw2.plotting import COLORS, beta_colors, beta_label, class_colors
from hw2.study import metrics
from hw2.study.walks import strokes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BETAS = (1e-5, 1e-2)  # the range of the network for every β, as in notebook 4
CREDITS = {
    "mnist": "MNIST is by Y. LeCun, C. Cortes and C. Burges (CC BY-SA 3.0).",
    "fashion-mnist": "Fashion-MNIST is by H. Xiao, K. Rasul and R. Vollgraf, Zalando (MIT licence).",
    "kmnist": "KMNIST is by the ROIS-DS Center for Open Data in the Humanities (CC BY-SA 4.0).",
}
PER_DECADE = 8  # β at which error and rate of a network for every β are measured
START = """
const data = JSON.parse(document.getElementById("data").textContent);
render({ model: { get: (name) => data[name] }, el: document.querySelector("main") });
"""


class Networks(NamedTuple):
    """What the page shows. All are fully connected."""

    one: hw2.ConditionedVAE  # for every β: the panels "β" and "your own digit"
    trained: Mapping[float, hw2.VAE]  # by the one β that each was trained at
    moving: hw2.ConditionedVAE  # for every β, of two latent dimensions: the plane
    planes: Mapping[float, hw2.VAE]  # of two latent dimensions, for β that `moving` does not reach
    ae: hw2.AutoEncoder  # with `vae`: interpolation
    vae: hw2.VAE
    about: str = ""  # a sentence on how they were trained


def settings() -> SimpleNamespace:
    """Notebook 2's settings cell: SEED, EPOCHS, BETAS and so on, as they stand there."""
    cells = nbformat.read(ROOT / "notebooks" / "02_vae_beta_sweep.ipynb", as_version=4).cells
    values = {"hw2": hw2}
    with contextlib.chdir(ROOT / "notebooks"):  # where it finds settings.toml
        exec(next(cell.source for cell in cells if cell.id == "settings"), values)
    if values["ARCH"] != "mlp":
        raise SystemExit(f'the page shows fully connected networks: set ARCH to "mlp", it is {values["ARCH"]!r}')
    low, high = BETAS
    if not low <= values["TUNED"] <= high:
        raise SystemExit(
            f"the page compares the tuned network with one for every β from {beta_label(low)} to {beta_label(high)}: "
            f"set the tuned β between them, it is {values['TUNED']}"
        )
    return SimpleNamespace(**values)


def networks(s: SimpleNamespace) -> Networks:
    """The notebooks' networks, kept or trained."""
    train, betas = hw2.load(s.DATASET)[:50_000], (1e-5, 0.03)  # the range of notebook 2's slider
    one_cycle = hw2.TrainConfig(epochs=s.EPOCHS, lr=3e-3, schedule="one-cycle", seed=s.SEED, device=s.DEVICE)
    fast = replace(one_cycle, epochs=5, lr=5e-3)  # notebook 2's planes, which are small networks
    plane = {"hidden": (256, 128), "seed": s.SEED}
    epochs = dict.fromkeys(s.BETAS, s.EPOCHS) | {s.TUNED: s.TUNED_EPOCHS}

    def swept(grid: Mapping[float, tuple[hw2.VAE, hw2.TrainConfig]]) -> dict[float, hw2.VAE]:
        return {beta: run.model for beta, run in hw2.sweep(grid, train).items()}

    configs = {b: hw2.TrainConfig(beta=b, epochs=n, seed=s.SEED, device=s.DEVICE) for b, n in epochs.items()}
    trained = swept({b: (hw2.VAE(s.LATENT_DIM, seed=s.SEED), config) for b, config in configs.items()})
    outside = [b for b in s.PLANES if not betas[0] <= b <= betas[1]]
    ae_config = hw2.TrainConfig(beta=0, epochs=s.AE_EPOCHS, seed=s.SEED, device=s.DEVICE)
    return Networks(
        one=hw2.train_or_load(hw2.ConditionedVAE(s.LATENT_DIM, betas=BETAS, seed=s.SEED), train, one_cycle).model,
        trained=trained,
        moving=hw2.train_or_load(hw2.ConditionedVAE(2, betas=betas, **plane), train, one_cycle).model,
        planes=swept({b: (hw2.VAE(2, **plane), replace(fast, beta=b)) for b in outside}),
        ae=hw2.train_or_load(hw2.AutoEncoder(s.LATENT_DIM, seed=s.SEED), train, ae_config).model,
        vae=trained[s.TUNED],
        about=f"Trained on 50,000 images of {s.DATASET.upper()} for {s.EPOCHS} epochs ({s.TUNED_EPOCHS} at β = "
        f"{beta_label(s.TUNED)}, {fast.epochs} for the planes at β = {' and '.join(map(beta_label, outside))}), "
        f"with SEED = {s.SEED} and torch {torch.__version__}. {CREDITS[s.DATASET]}",
    )


def base64_of(tensor: Tensor) -> str:
    return base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()


def bytes_of(images: Tensor) -> str:
    """Pixels in [0, 1] as one byte each, which is what test images are."""
    return base64_of((images * 255).round().to(torch.uint8))


def small(linear: nn.Linear) -> bool:
    """Whether a layer keeps its float32: those that take a code, which may be far from 0, cost next to nothing."""
    return linear.in_features <= 32


def layer(linear: nn.Linear, after: str = "", exact: bool = False) -> dict:
    """A linear layer, a row of weights for each *input*: explorer.js skips inputs that are 0.

    A large one is rounded to float16, unless it is to be exact.
    """
    weight, exact = linear.weight.T, exact or small(linear)
    return {
        "outputs": linear.out_features,
        "exact": exact,
        "weight": base64_of(weight if exact else weight.half()),
        "bias": base64_of(linear.bias),
        "after": after,
    }


def layers(network: nn.Sequential, last: str = "", between: str = "relu", exact: bool = False) -> list[dict]:
    """All linear layers of a network, with what follows each. last: what follows the last one."""
    linears = [part for part in network if isinstance(part, nn.Linear)]
    return [layer(part, last if part is linears[-1] else between, exact) for part in linears]


def conditioned(model: hw2.ConditionedVAE) -> dict:
    """A network for every β: each layer with the layer that gives its scale and shift."""
    encoder, decoder = layers(model.encoder), layers(model.decoder, "sigmoid")
    for part, modulation in zip(encoder + decoder, model.modulations, strict=True):
        part["modulation"] = layer(modulation)
    embedding = layers(model.embedding, "tanh", "tanh")
    return {"betas": model.betas, "embedding": embedding, "encoder": encoder, "decoder": decoder}


def without_idle_units(decoder: nn.Sequential, z: Tensor) -> Iterator[nn.Linear]:
    """A decoder's linear layers without the hidden units that are 0 for every z, (N, latent_dim)."""
    linears = [part for part in decoder if isinstance(part, nn.Linear)]
    kept = torch.arange(linears[0].in_features)
    for part in linears:
        z = part(z)
        used = (z > 0).any(0).nonzero().flatten() if part is not linears[-1] else torch.arange(part.out_features)
        smaller = nn.Linear(len(kept), len(used))
        smaller.weight, smaller.bias = nn.Parameter(part.weight[used][:, kept]), nn.Parameter(part.bias[used])
        kept, z = used, z.relu()
        yield smaller


def measured(model: hw2.VAE, beta: float, test: hw2.Digits) -> dict:
    """Error, rate and number of active dimensions on the test images."""
    terms = hw2.evaluate(model, test, hw2.TrainConfig(beta=beta))
    active = metrics.active_units(hw2.codes(model, test.images))
    return {"beta": beta, "error": terms.recon, "rate": terms.kl, "active": active}


def curve(model: hw2.ConditionedVAE, test: hw2.Digits) -> list[dict]:
    """`measured` at β that are evenly spaced on a log axis, over the range of a network for every β."""
    low, high = torch.tensor(model.betas, dtype=torch.float64).log10().tolist()
    betas = torch.logspace(low, high, round(PER_DECADE * (high - low)) + 1, dtype=torch.float64).clamp(*model.betas)
    return [measured(model.at(beta), beta, test) for beta in betas.tolist()]


@torch.no_grad()
def contents(nets: Networks, test: hw2.Digits, seed: int = 0, ellipses: int = 300) -> dict:
    """All that the page needs, by name, as explorer.js asks for it. ellipses: how many test digits the plane shows."""
    hundred = [test.index_of(label, nth) for label in range(10) for nth in range(10)]
    rows, x = sorted({*range(ellipses), *hundred}), test.images[hundred]
    z = torch.randn(20, nets.one.latent_dim, generator=torch.Generator().manual_seed(seed))
    colors = beta_colors(sorted(nets.trained))
    data = {
        "digits": {"images": bytes_of(test.images[rows]), "labels": test.labels[rows].tolist(), "test": rows},
        "ellipses": ellipses,
        "hundred": [rows.index(i) for i in hundred],
        "z": base64_of(z),
        "colors": {**COLORS, "classes": [to_hex(color) for color in class_colors()]},
        "one": conditioned(nets.one) | {"curve": curve(nets.one, test)},
        "trained": [
            measured(model, beta, test)
            | {"images": bytes_of(torch.cat([hw2.reconstruct(model, test.images[:10]), hw2.decode(model, z)]))}
            | {"color": to_hex(colors[beta])}
            for beta, model in sorted(nets.trained.items())
        ],
        "moving": conditioned(nets.moving) | {"curve": curve(nets.moving, test)},
        "planes": [],
        "walks": {
            name: {"codes": base64_of(hw2.codes(model, x)), "decoder": layers(model.decoder, "sigmoid")}
            for name, model in (("AE", nets.ae), ("VAE", nets.vae))
        },
    }  # fmt: skip
    for beta, model in sorted(nets.planes.items()):
        code = torch.cat(model.encode(test.images[:ellipses]), 1)
        limit = max(3.2, code[:, :2].abs().max().item())
        decoder = nn.Sequential(*without_idle_units(model.decoder, grid(limit, 150)))
        plane = {"limit": limit, "codes": base64_of(code), "decoder": layers(decoder, "sigmoid", exact=True)}
        data["planes"].append(measured(model, beta, test) | plane)
    return data | {"panels": panels(facts(nets, data, test))}


def rounding(model: hw2.AutoEncoder, z: Tensor, beta: float | None = None) -> float:
    """The largest change of a pixel, of 255, that float16 weights make in the decoded z. beta: of a network for all."""
    rounded = copy.deepcopy(model)
    for part in rounded.modules():
        if isinstance(part, nn.Linear) and not small(part):
            part.weight.data = part.weight.half().float()
    before, after = (m if beta is None else m.at(beta) for m in (model, rounded))
    return 255 * (hw2.decode(before, z) - hw2.decode(after, z)).abs().max().item()


def facts(nets: Networks, data: dict, test: hw2.Digits) -> dict[str, str]:
    """The numbers that the page's sentences quote."""
    trained = {row["beta"]: row for row in data["trained"]}
    vae = next(beta for beta, model in nets.trained.items() if model is nets.vae)
    shared = measured(nets.one.at(vae), vae, test)
    low, high = data["moving"]["curve"][0], data["moving"]["curve"][-1]
    different = (test.labels[:-1] != test.labels[1:]).nonzero().flatten()[:1000]
    halfway = torch.tensor([0.5])
    broken = {
        name: (strokes(walk(model, test.images[different], test.images[different + 1], halfway)[0]) > 1).float().mean()
        for name, model in (("AE", nets.ae), ("VAE", nets.vae))
    }
    x = test.images[:1000]
    changes = [rounding(m, hw2.codes(m, x)) for m in (nets.ae, *nets.trained.values())]
    for one in (nets.one, nets.moving):
        changes += [rounding(one, hw2.codes(one.at(beta), x), beta) for beta in (one.betas[0], vae, one.betas[1])]
    return {
        "tuned": beta_label(vae),
        "price": f"{hw2.effective_beta(vae):.3g}",
        "tuned_error": f"{trained[vae]['error']:.1f}",
        "tuned_rate": f"{trained[vae]['rate']:.1f}",
        "tuned_sum": f"{trained[vae]['error'] + hw2.effective_beta(vae) * trained[vae]['rate']:.1f}",
        "shared_error": f"{shared['error']:.1f}",
        "shared_rate": f"{shared['rate']:.1f}",
        "shared_sum": f"{shared['error'] + hw2.effective_beta(vae) * shared['rate']:.1f}",
        "rounding": f"{max(changes):.2f}",
        "first": beta_label(min(trained)),
        "first_rate": f"{trained[min(trained)]['rate']:.0f}",
        "last": beta_label(max(trained)),
        "last_rate": f"{trained[max(trained)]['rate']:.1f}",
        "last_error": f"{trained[max(trained)]['error']:.0f}",
        "measured": str(len(data["one"]["curve"])),
        "ellipses": str(data["ellipses"]),
        "low": beta_label(low["beta"]),
        "low_rate": f"{low['rate']:.1f}",
        "high": beta_label(high["beta"]),
        "high_rate": f"{high['rate']:.1f}",
        "pairs": f"{len(different):,}",
        "broken_ae": f"{100 * broken['AE']:.0f}",
        "broken_vae": f"{100 * broken['VAE']:.0f}",
        "about": html.escape(nets.about),
    }


def panels(said: Mapping[str, str]) -> str:
    """The four panels' markup, with the numbers in their sentences."""
    return Template((HERE / "panels.html").read_text(encoding="utf-8")).substitute(said)


def page(data: dict) -> str:
    """The whole file. Its policy allows this one script and this one style, by their hashes, and no loading at all."""
    script = (HERE / "explorer.js").read_text(encoding="utf-8") + START
    style = (HERE / "explorer.css").read_text(encoding="utf-8")
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style))
    return Template((HERE / "template.html").read_text(encoding="utf-8")).substitute(
        dict(zip(("script_hash", "style_hash"), hashes, strict=True)),
        style=style,
        script=script,
        panels=data["panels"],
        data=json.dumps({k: v for k, v in data.items() if k != "panels"}, ensure_ascii=False).replace("<", "\\u003c"),
    )


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "explorer.html"
    s = settings()
    data = contents(networks(s), hw2.load(s.DATASET, "test"), s.SEED)
    file.write_text(page(data), encoding="utf-8")
    for name, part in data.items():
        print(f"{name:<10}{len(json.dumps(part)) / 1e6:8.2f} MB")
    print(f"wrote {file.name}, {file.stat().st_size / 1e6:.1f} MB: open it in a browser")


if __name__ == "__main__":
    main()
