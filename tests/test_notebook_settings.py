"""The settings that all notebooks share: one file, defaults where it says nothing, and a sentence for each mistake."""

from pathlib import Path

import pytest

from hw2 import notebook_settings

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture
def settings(tmp_path):
    """What is read of a file with this text."""

    def read(text, **defaults):
        (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
        return notebook_settings(tmp_path, **defaults)

    return read


def test_without_a_file_it_is_as_with_the_repositorys(tmp_path):
    """So a notebook that is opened alone shows what its outputs show."""
    assert notebook_settings(tmp_path, tuned=1e-3) == notebook_settings(NOTEBOOKS)


@pytest.mark.parametrize(
    ("text", "arch", "epochs", "longer"),
    [
        ("", "mlp", 10, (10, 20)),
        ('run = "quick"', "mlp", 2, (2, 4)),
        ('run = "reference"', "conv", 5, (10, 20)),
        ('arch = "conv"', "conv", 5, (5, 10)),
        ('run = "quick"\nepochs = 3', "mlp", 3, (3, 6)),
        ('run = "reference"\narch = "mlp"', "mlp", 10, (20, 40)),
    ],
)
def test_how_long_models_train(settings, text, arch, epochs, longer):
    found = settings(text)
    assert (found.arch, found.passes(found.arch), found.longer(epochs)) == (arch, epochs, longer)


def test_the_file_wins_over_a_default_and_holds_the_reports_name(settings):
    found = settings('tuned = 5e-4\nname = "Zoë"', tuned=1e-3)
    assert (found.beta, found.name, found.course) == (5e-4, "Zoë", "")
    assert settings("tuned = 10").beta == 10


def test_a_mark_at_the_beginning_is_no_mistake(settings):
    assert settings("\ufeff# mine\nseed = 3").seed == 3


def test_where_no_beta_was_chosen_it_says_where_to_write_one(settings):
    with pytest.raises(ValueError, match=r"no tuned β has been chosen: write a first guess into settings.toml"):
        _ = settings("").beta


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('run = "fast"', r"settings.toml: run must be one of 'quick', 'final', 'reference', got 'fast'"),
        ('arch = "vit"', r"arch must be one of 'mlp', 'conv', got 'vit'"),
        ('device = "gpu"', r"device must be one of 'cpu', 'auto', 'cuda', 'mps', got 'gpu'"),
        ('dataset = "MNIST"', r"dataset must be one of 'mnist', 'fashion-mnist', 'kmnist', got 'MNIST'"),
        ("epoch = 3", r"there is no setting epoch; there are name, course, date, run, arch, epochs"),
        ("epochs = 2.5", r"epochs must be an integer, got 2.5"),
        ("seed = -1", r"seed must be an integer >= 0"),
        ("tuned = -1", r"tuned is a β, so it must be 0 or more, got -1"),
        ('tuned = "0.1"', r"tuned must be a number, got '0.1'"),
        ("name = 3", r'name must be text in quotes, got 3: name = "3"'),
        ("run = final", r"settings.toml: Invalid value \(at line 1"),
    ],
)
def test_a_mistake_in_the_file_is_said(settings, text, says):
    with pytest.raises(ValueError, match=says):
        settings(text)
