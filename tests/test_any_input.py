"""Whatever is passed in: a right answer, or an error of a stated type that names what was wrong."""

import math
import random
from fractions import Fraction
from numbers import Real

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

from hw2 import (
    VAE,
    AutoEncoder,
    Digits,
    TrainConfig,
    codes,
    effective_beta,
    fit,
    interpolate,
    kl_normal,
    load_checkpoint,
    reconstruct,
    sample_prior,
    save,
    traverse,
)
from hw2.plotting import image_grid, image_rows, posteriors

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64, torch.bool]
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple) | st.sampled_from(
    [(3, 1, 28, 28), (3, 28, 28), (1, 1, 28, 28), (1, 28, 28), (3, 1, 28, 27), (3, 3, 28, 28), (28, 28), (3, 784)]
)
SPECIAL = st.sampled_from([0.0, 1.0, -1.0, 255.0, 1e-45, 1e38, math.inf, -math.inf, math.nan])


@st.composite
def tensors(draw, shapes=SHAPES):
    """Any small tensor: its kind, its shape, its range, and now and then one number that does not belong."""
    shape, dtype = draw(shapes), draw(st.sampled_from(DTYPES))
    scale, seed = draw(st.sampled_from([0.3, 1.0, 255.0, 1e20])), draw(st.integers(0, 2**31))
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * scale
    if values.numel() and draw(st.booleans()):
        values.view(-1)[seed % values.numel()] = draw(SPECIAL)
    if not dtype.is_floating_point:
        values = values.nan_to_num(0).clamp(-100, 200)
    return values.to(dtype)


def is_image_batch(x) -> bool:
    return (
        x.dtype == torch.float32
        and x.ndim == 4
        and x.shape[1:] == (1, 28, 28)
        and len(x) > 0
        and bool(((x >= 0) & (x <= 1)).all())
    )


def outcome(call):
    """(what it returned, None) or (None, the error)."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def assert_said(error, *words):
    """An error of hw2's own, not of something that it calls: a documented type, and words that name the cause."""
    assert isinstance(error, (TypeError, ValueError)), error
    assert any(word in str(error) for word in words), error


@given(x=tensors(), y=tensors(st.just((3,)) | SHAPES))
def test_every_batch_of_images_with_its_labels_is_taken_and_nothing_else(x, y):
    digits, error = outcome(lambda: Digits(x, y))
    assert (error is None) == (is_image_batch(x) and y.shape == (len(x),) and y.dtype == torch.int64)
    if error:
        assert_said(error, "images", "pixels", "labels")
    else:
        assert torch.equal(digits.images, x)


@given(n=st.integers(1, 4), epochs=st.integers(-1, 2), batch=st.integers(-1, 5) | st.just(2.5),
       lr=SPECIAL | st.floats(1e-5, 0.1), beta=SPECIAL | st.floats(0, 10) | st.just("1"), seed=st.integers(-2, 2**64),
       likelihood=st.sampled_from(["gaussian", "bernoulli", ""]), vae=st.booleans())  # fmt: skip
def test_fit_trains_or_says_why_not(n, epochs, batch, lr, beta, seed, likelihood, vae, make_digits):
    values = {"beta": beta, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": seed, "likelihood": likelihood}
    config, error = outcome(lambda: TrainConfig(**values))
    sizes = epochs >= 1 and isinstance(batch, int) and batch >= 1 and 0 <= seed < 2**63 and likelihood != ""
    rates = 0 < lr < math.inf and beta != "1" and 0 <= beta < math.inf and math.isfinite(784 * beta)
    assert (error is None) == (sizes and rates)
    if error:
        assert_said(error, *values)
        return
    model = (VAE if vae else AutoEncoder)(2, hidden=(4,))
    history, error = outcome(lambda: fit(model, make_digits(n), config, progress=False))
    if error:
        assert isinstance(error, FloatingPointError)
        assert "at step" in str(error)
        assert lr > 1 or beta > 1e30
        return
    assert history.loss.shape == history.recon.shape == history.kl.shape == (epochs * math.ceil(n / batch),)
    assert torch.stack([history.loss, history.recon, history.kl]).isfinite().all()


@given(x=tensors(), good=st.booleans(), steps=st.integers(-2, 9), method=st.sampled_from(["linear", "slerp", "", "L"]),
       vae=st.booleans(), swap=st.booleans())  # fmt: skip
def test_interpolate_ends_at_both_reconstructions_or_says_why_not(x, good, steps, method, vae, swap):
    model = (VAE if vae else AutoEncoder)(2, hidden=(4,))
    other = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1))
    pair = (other if good else x, other)[:: -1 if swap else 1]
    single = [t.unsqueeze(0) if t.ndim == 3 else t for t in pair]
    strip, error = outcome(lambda: interpolate(model, *pair, steps, method))
    images = all(is_image_batch(t) and len(t) == 1 for t in single)
    assert (error is None) == (images and steps >= 2 and method in ("linear", "slerp")), error
    if error:
        assert_said(error, "image", "pixels", "steps", "method")
        return
    assert strip.shape == (steps, 1, 28, 28)
    assert ((strip >= 0) & (strip <= 1)).all()
    torch.testing.assert_close(strip[[0, -1]], reconstruct(model, torch.cat(single)), rtol=0, atol=1e-5)


@given(mu=tensors(), logvar=tensors(), alike=st.booleans())
def test_kl_normal_is_the_kl_or_says_why_not(mu, logvar, alike):
    if alike:
        logvar = mu.flip(-1) if mu.ndim else mu
    kl, error = outcome(lambda: kl_normal(mu, logvar))
    floats = mu.dtype.is_floating_point and logvar.dtype.is_floating_point
    assert (error is None) == (mu.shape == logvar.shape and mu.ndim > 0 and floats), error
    if error:
        assert_said(error, "mu and logvar must")
        return
    assert kl.shape == mu.shape[:-1]
    m, v = mu.double(), logvar.double()
    if {mu.dtype, logvar.dtype} <= {torch.float32, torch.float64} and ((m.abs() < 1e3) & (v.abs() < 50)).all():
        expected = kl_divergence(Normal(m, (v / 2).exp(), validate_args=False), Normal(0.0, 1.0)).sum(-1)
        torch.testing.assert_close(kl.double(), expected, rtol=1e-4, atol=1e-4)


@given(beta=SPECIAL | st.floats() | st.sampled_from(["0.001", None]), recon=st.sampled_from(["mean", "sum", "none", 1]),
       kl=st.sampled_from(["mean", "sum", "avg", None]), pixels=st.integers(-2, 10**6),
       latent_dim=st.none() | st.integers(-2, 512))  # fmt: skip
def test_effective_beta_converts_or_says_why_not(beta, recon, kl, pixels, latent_dim):
    result, error = outcome(lambda: effective_beta(beta, recon, kl, pixels=pixels, latent_dim=latent_dim))
    number = isinstance(beta, float) and math.isfinite(beta) and beta >= 0
    sizes = pixels >= 1 and (latent_dim is None or latent_dim >= 1) and not (kl == "mean" and latent_dim is None)
    known = recon in ("mean", "sum") and kl in ("mean", "sum")
    large = number and sizes and recon == "mean" and not math.isfinite(beta * pixels)
    assert (error is None) == (number and sizes and known and not large), error
    if error:
        assert_said(error, "beta", "recon", "kl", "pixels", "latent_dim")
        return
    expected = beta * (pixels if recon == "mean" else 1) / (latent_dim if kl == "mean" else 1)
    assert result == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, make_digits):
    """A small checkpoint and its bytes."""
    path = tmp_path_factory.mktemp("saved") / "run.safetensors"
    model, config = VAE(2, hidden=(4,)), TrainConfig(epochs=1)
    save(path, model, fit(model, make_digits(6), config, progress=False), config)
    return path, path.read_bytes()


@given(data=st.data())
def test_load_checkpoint_gives_what_was_saved_or_refuses(saved, data):
    path, content = saved
    whole = load_checkpoint_of(path, content)
    kind = data.draw(st.sampled_from(["bits", "cut", "noise", "insert", "repeat", "swap", "nothing"]))
    changed, rng = bytearray(content), random.Random(data.draw(st.integers(0, 2**31)))
    if kind == "bits":
        for _ in range(rng.randint(1, 5)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del changed[rng.randrange(len(changed)) :]
    elif kind == "noise":
        changed = bytearray(rng.randbytes(rng.randrange(500)))
    elif kind == "insert":
        at = rng.randrange(len(changed))
        changed[at:at] = rng.randbytes(rng.randint(1, 8))
    elif kind == "repeat":
        changed = changed * 2
    elif kind == "swap":
        a, b = sorted(rng.sample(range(len(changed)), 2))
        changed[a], changed[b] = changed[b], changed[a]
    if bytes(changed) == content:
        assert torch.equal(load_checkpoint_of(path, changed), whole)
        return
    with pytest.raises(ValueError, match="is damaged") as caught:
        load_checkpoint_of(path, changed)
    assert str(path) in str(caught.value)


def load_checkpoint_of(path, content):
    """The weights in a file of this content, as one vector."""
    path.write_bytes(content)
    return torch.nn.utils.parameters_to_vector(load_checkpoint(path).model.parameters())


# Numbers as NumPy, torch and people write them


def written(value):
    """One number in the ways that a person may write it, and things that look like numbers and are none."""
    kinds = [np.int64, np.int32, np.float64, np.float32, int, float, Fraction, str, torch.tensor, np.array, bool]
    return st.sampled_from(kinds).map(lambda kind: kind(value)) | st.none()


def is_whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def zero_dimensional(value) -> bool:
    """A tensor or an array of one integer, which Python itself takes as an index."""
    return isinstance(value, (torch.Tensor, np.ndarray)) and "int" in str(value.dtype)


@given(value=st.integers(-1, 5).flatmap(written))
def test_a_whole_number_may_be_numpys_and_anything_else_is_named(value):
    model, x = VAE(2, hidden=(4,)), torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    taken, number = is_whole(value) or zero_dimensional(value), 0 if value is None else int(value)
    calls = {
        "n": (1, 9, lambda: len(sample_prior(model, value, torch.Generator().manual_seed(0)))),
        "steps": (2, 9, lambda: len(interpolate(model, x[0], x[1], value))),
        "columns": (1, 9, lambda: image_grid(x, value) and number),
        "latent_dim": (1, 9, lambda: VAE(value, hidden=(4,)).latent_dim),
        "epochs": (1, 9, lambda: TrainConfig(epochs=value).epochs),
        "batch_size": (1, 9, lambda: TrainConfig(batch_size=value).batch_size),
        "seed": (0, 9, lambda: TrainConfig(seed=value).seed),
        "pixels": (1, 9, lambda: round(effective_beta(1, pixels=value))),
        "dim": (0, 1, lambda: len(traverse(model, x[0], value, torch.zeros(1))) and number),
    }
    for name, (least, most, call) in calls.items():
        result, error = outcome(call)
        assert (error is None) == (taken and least <= number <= most), (name, error)
        if error:
            assert_said(error, name)
        else:
            assert type(result) is int
            assert result == number
    plt.close("all")


@given(value=st.sampled_from([0.0, 0.25, 2.0, -1.0]).flatmap(written))
def test_a_number_may_be_numpys_and_anything_else_is_named(value):
    number = 0 if value is None else float(value)
    taken = isinstance(value, Real) and not isinstance(value, bool)
    for name, least, call in (
        ("beta", 0, lambda: effective_beta(value, "sum")),
        ("beta", 0, lambda: TrainConfig(beta=value).beta),
        ("lr", 1e-9, lambda: TrainConfig(lr=value).lr),
    ):
        result, error = outcome(call)
        assert (error is None) == (taken and number >= least), (name, error)
        if error:
            assert_said(error, name)
        else:
            assert type(result) is float
            assert result == number


# Whatever is drawn is what was passed


@given(x=tensors())
def test_images_are_drawn_as_they_are_or_refused(x):
    drawn = x.ndim == 4 and x.shape[1:] == (1, 28, 28) and len(x) > 0
    drawn = drawn and bool(((x.float() >= 0) & (x.float() <= 1)).all())
    for draw, columns in ((lambda: image_grid(x, 2), 2), (lambda: image_rows({"a": x}), 4)):
        ax, error = outcome(draw)
        assert (error is None) == drawn, error
        if error:
            assert_said(error, "images", "pixels", "row")
            continue
        picture = np.asarray(ax.images[0].get_array())
        for i, image in enumerate(x.float()):
            top, left = (29 * k + 1 for k in divmod(i, min(columns, len(x))))
            assert np.array_equal(picture[top : top + 28, left : left + 28], image[0].numpy())
    plt.close("all")


@given(
    mu=tensors(st.tuples(st.integers(0, 6), st.integers(1, 3))), logvar=tensors(), labels=tensors(), alike=st.booleans()
)
def test_posteriors_show_every_image_or_say_why_not(mu, logvar, labels, alike):
    if alike:  # else hardly ever
        logvar, labels = mu.flip(0), labels.to(torch.int64).clamp(0, 9).flatten()[: len(mu)]
    plt.close("all")
    ax, error = outcome(lambda: posteriors(mu, logvar, labels))
    if error:
        assert_said(error, "mu and logvar", "labels")
        return
    assert mu.shape == logvar.shape == (len(labels), 2)
    assert sum(len(c.get_offsets()) for c in ax.collections) == len(labels)
    plt.close("all")


@given(x=tensors(), dtype=st.sampled_from([torch.float32, torch.float64]), arch=st.sampled_from(["mlp", "conv"]))
def test_what_a_model_makes_of_images_is_an_image_for_each_or_an_error(x, dtype, arch):
    """Also where a person has made torch's default a double."""
    torch.set_default_dtype(dtype)
    try:
        model = VAE(2, arch, hidden=(4,) if arch == "mlp" else (1, 1, 1, 1))
        for call in (codes, reconstruct):
            result, error = outcome(lambda call=call: call(model, x))
            assert (error is None) == is_image_batch(x), error
            if error:
                assert_said(error, "images", "pixels")
            else:
                assert result.dtype == torch.float32
                assert result.shape == ((len(x), 2) if call is codes else x.shape)
                assert result.isfinite().all()
    finally:
        torch.set_default_dtype(torch.float32)


@given(x=tensors(), labels=st.booleans(), batch=st.integers(1, 4))
def test_a_dataset_becomes_digits_of_the_same_images_or_an_error(x, labels, batch):
    y = torch.arange(len(x)) if x.ndim else torch.tensor(0)
    try:
        dataset = TensorDataset(x, y) if labels else TensorDataset(x)
        loader = DataLoader(dataset, batch_size=batch) if len(dataset) else dataset
    except (TypeError, AssertionError, IndexError):  # no dataset, says torch
        return
    for source in (dataset, loader):
        digits, error = outcome(lambda source=source: Digits.of(source))
        assert (error is None) == (is_image_batch(x) and labels), error
        if error:
            assert_said(error, "images", "pixels", "item", "dataset")
        else:
            assert torch.equal(digits.images, x)
            assert torch.equal(digits.labels, y)
