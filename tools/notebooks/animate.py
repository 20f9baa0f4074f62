"""The README's animation: a VAE's latent space while β rises, docs/beta.gif. `make notebooks` writes it.

It is of the network that notebook 2's slider shows, taken from the kept runs or trained.
"""

from pathlib import Path

import torch
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

import hw2
from hw2.explore.views import plane_entry
from hw2.notebook_settings import Settings
from hw2.plotting import beta_label, class_colors

ROOT = Path(__file__).resolve().parents[2]
FILE, FOLDER = ROOT / "docs" / "beta.gif", ROOT / "notebooks"
FRAMES, MILLISECONDS, REST = 14, 400, 1600  # it rests at both ends


def network(s: Settings) -> hw2.ConditionedVAE:
    """Notebook 2's, of two latent dimensions, for every β."""
    config = hw2.TrainConfig(epochs=s.passes(s.arch), lr=3e-3, schedule="one-cycle", seed=s.seed, device=s.device)
    model = hw2.ConditionedVAE(2, hidden=(256, 128), betas=(1e-5, 0.03), seed=s.seed)
    return hw2.train_or_load(model, hw2.load(s.dataset)[:50_000], config).model


def frame(model: hw2.VAE, beta: float, test: hw2.Digits, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Both pictures of the plane side by side, under a line that says what they are of."""
    terms = hw2.evaluate(model, test, hw2.TrainConfig(beta=beta))
    entry = plane_entry(model, terms, test[:300], n=11)
    left, right = (chart.picture.convert("RGB") for chart in (entry.posteriors, entry.plane))
    picture = Image.new("RGB", (left.width + right.width, left.height + 26), "white")
    shown = beta_label(float(f"{beta:.2g}"))
    text = f"β = {shown}: {terms.kl:.1f} nats per image, squared error {terms.recon:.1f}"
    ImageDraw.Draw(picture).text((picture.width / 2, 5), text, "black", font, anchor="ma")
    picture.paste(left, (0, 26))
    picture.paste(right, (left.width, 26))
    return picture


def palette() -> Image.Image:
    """One for all frames, so that a class keeps its colour: greys, and each class's as an edge and as ellipses."""
    colours = [(grey,) * 3 for grey in range(0, 256, 15)]
    for colour in class_colors():
        rgb = to_rgb(colour)
        colours += [tuple(round(255 * (1 + share * (c - 1))) for c in rgb) for share in (1, 0.75, 0.58, 0.35)]
    image = Image.new("P", (1, 1))
    image.putpalette([value for colour in colours for value in colour])
    return image


def main() -> None:
    from matplotlib.font_manager import findfont

    s = hw2.notebook_settings(FOLDER)
    one, test = network(s), hw2.load(s.dataset, "test")
    font = ImageFont.truetype(findfont("DejaVu Sans"), 14)
    betas = torch.logspace(-5, -1.55, FRAMES).tolist()
    frames = [frame(one.at(beta), beta, test, font) for beta in betas]
    frames = [f.quantize(palette=palette(), dither=Image.Dither.NONE) for f in frames + frames[-2:0:-1]]
    durations = [REST if i in (0, FRAMES - 1) else MILLISECONDS for i in range(len(frames))]
    FILE.parent.mkdir(exist_ok=True)
    frames[0].save(FILE, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
    print(f"wrote {FILE.name}, {FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
