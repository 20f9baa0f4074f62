"""The homework's list of tasks: how it is run, in a cell and from a shell, and what is shown of a mistake."""

import inspect
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch
from mistakes import MISTAKES, submission
from torch import nn

import hw2
from hw2 import checks
from hw2.checks import __main__, explain, tasks
from hw2.checks.mistake import Mistake


def bad(mu, logvar):
    return -hw2.kl_normal(mu, logvar)


def test_a_notebook_shows_the_sentence_alone_and_wrapped():
    with pytest.raises(checks.Mistake) as raised:
        checks.kl(bad)
    lines = raised.value._render_traceback_()
    assert " ".join(lines) == str(raised.value)
    assert len(lines) >= 1
    assert max(map(len, lines)) <= 76


def test_a_traceback_shows_no_list_of_known_mistakes():
    with pytest.raises(checks.Mistake) as raised:
        checks.kl(bad)
    shown = "".join(traceback.format_exception(raised.value))
    assert raised.value.__cause__ is raised.value.__context__ is None
    assert "direction" not in shown
    assert "terms.py" not in shown


def test_what_a_function_says_on_stderr_costs_no_points(recwarn):
    """nbgrader gives no points to a cell that writes there."""

    def warned(mu, logvar):
        import warnings

        warnings.warn("deprecated", stacklevel=1)
        return hw2.kl_normal(mu, logvar)

    checks.kl(warned)
    assert not recwarn.list


def test_an_error_is_said_with_its_place_and_what_to_do():
    def broken(mu, logvar):
        return mu.matmul(logvar) + undefined  # noqa: F821

    with pytest.raises(checks.Mistake) as raised:
        checks.kl(broken)
    sentence, place = str(raised.value).splitlines()
    assert sentence.startswith("RuntimeError: ")
    assert "mat1 and mat2 shapes cannot be multiplied" in sentence  # after which operation it was, from torch 2.15 on
    assert place.startswith(f"It happened in {Path(__file__).name}, line ")
    assert place.endswith("return mu.matmul(logvar) + undefined  # noqa: F821")


@pytest.mark.parametrize(
    ("raised", "advice"),
    [
        (lambda: torch.ones(2, requires_grad=True).numpy(), "Do not add detach()"),
        (lambda: torch.ones(2, requires_grad=True).add_(1), "writes into its tensor"),
        (lambda: torch.ones(2).sum().backward(), "has lost its graph"),
        (lambda: torch.ones(2, requires_grad=True).exp().backward(), "averaged over the batch"),
        (lambda: torch.ones(2).item(), "takes a single number"),
        (lambda: torch.ones(2, 3) + torch.ones(2, 4), "two shapes do not fit".capitalize()),
        (lambda: torch.ones(2).view(3), "print both before this line"),
        (lambda: nn.Linear(3, 2)(torch.ones(1, 3).double()), "is float64"),
        (lambda: nn.Linear(3, 2)(torch.ones(1, 4)), "nn.Flatten()"),
        (lambda: None + torch.ones(2), "is a `return` forgotten?"),
        (lambda: undefined, "imported at the top"),  # noqa: F821
        (lambda: hw2.reparametrize(torch.ones(2)), "keep the arguments"),
    ],
)
def test_what_torch_says_is_followed_by_what_to_do(raised, advice):
    with pytest.raises(Exception) as error:  # noqa: PT011
        raised()
    assert advice in explain.sentence(error.value)


def test_a_cell_prints_points_and_total_and_a_mistake_takes_them_away(capsys, monkeypatch):
    monkeypatch.setattr(tasks, "_passed", {})
    assert checks.task("The draw", hw2) is None  # what a cell shows as a result would be its points for nbgrader
    checks.task("The training step", hw2)
    assert capsys.readouterr().out.splitlines() == [
        "passed, 2 of 2; in all 2 of 14 so far",
        "passed, 1 of 1; in all 3 of 14 so far",
    ]
    body, says = MISTAKES["The draw"]["models.reparametrize"]["no noise"]
    with submission("models.reparametrize", body) as module, pytest.raises(checks.Mistake, match=says):
        checks.task("The draw", module)
    checks.total()
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("1 of 14 points; not yet: Encoder and decoder, fully connected; ")
    assert " ".join(rest) == tasks.PROMISE
    with pytest.raises(ValueError, match="expected one of Encoder"):
        checks.task("The moon", hw2)


OWN = """
import torch
from torch.nn.functional import mse_loss

def reparametrize(mu, logvar, eps):
    return mu + torch.exp(logvar.clamp(max=60) / 2) * eps

def kl_per_dimension(mu, logvar):
    return mu**2 + logvar.exp() - 1 - logvar

def kl_normal(mu, logvar):
    return kl_per_dimension(mu, logvar).sum(1)

def training_step(model, optimizer, x, config, generator=None):
    raise NotImplementedError
"""


def test_a_module_of_ones_own_gets_a_line_for_each_task(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    assert __main__.main(str(file)) == 2
    said = capsys.readouterr().out
    assert "The draw                                  2 of 2   passed" in said
    assert "The KL                                    0 of 2\n    the KL: got" in said
    assert "there is no sample_prior in mine" in said
    assert "in all                                    2 of 14" in said
    assert " ".join(said.split()).endswith(tasks.PROMISE)


def test_what_was_not_to_be_written_need_not_be_there(tmp_path, capsys):
    """A file of the training step alone: loss_terms is used, TrainConfig not even named."""
    file = tmp_path / "stepped.py"
    step = (
        inspect.getsource(hw2.training.training_step).replace("AutoEncoder", "object").replace("TrainConfig", "object")
    )
    file.write_text(f"import torch\nfrom torch import Tensor\nfrom hw2.training import loss_terms\n\n{step}")
    __main__.main(str(file))
    assert "The training step                         1 of 1   passed" in capsys.readouterr().out


def test_a_file_in_another_encoding_is_said(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    module = __main__.load(str(tmp_path / "mine.py"))
    (tmp_path / "mine.py").write_bytes("# für".encode("latin-1"))
    with pytest.raises(Mistake, match=r"mine\.py: (invalid or missing encoding|'utf-8' codec)"):
        tasks._check_file(module)


@pytest.mark.parametrize("name", ["nowhere/at_all.py", "no_such_module"])
def test_what_is_not_there_is_said(name):
    with pytest.raises(SystemExit, match="name a folder that holds hw2/, a file, or a module"):
        __main__.load(name)


@pytest.mark.slow
def test_the_command_checks_a_folder(tmp_path):
    command = [sys.executable, "-m", "hw2.checks", str(Path(hw2.__file__).parents[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in all                                   14 of 14" in done.stdout
