"""Every mistake in the list gets its sentence, and the functions as they are pass."""

import re
import types

import pytest
import torch
from mistakes import ARGUMENTS, CASES, submission

import hw2
from hw2.checks.mistake import judge
from hw2.checks.tasks import TASKS, Mistake, run

BY_TITLE = {task.title: task for task in TASKS}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_gets_its_sentence(name):
    title, function, body, says = CASES[name]
    with submission(function, body) as module, pytest.raises(Mistake, match=re.escape(says).replace(r"\|", "|")):
        run(BY_TITLE[title], module)


def test_a_scale_that_is_none_is_named_also_after_a_model_was_compiled(monkeypatch):
    """torch.compile tells torch.distributions, for the whole process, to look at no argument."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)
    test_a_mistake_gets_its_sentence("losses.kl_per_dimension: a Normal of logvar")
    assert torch.distributions.Distribution._validate_args is False


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)
def test_the_solution_passes(task):
    run(task, hw2)


def test_a_file_that_is_no_python_is_said_because_older_functions_would_pass(tmp_path):
    """After an error of syntax a notebook keeps the functions that it had."""
    file = tmp_path / "losses.py"
    file.write_text("x = 1\ny = ((2)\n")
    package = types.SimpleNamespace(**vars(hw2) | {"losses": types.SimpleNamespace(**vars(hw2.losses))})
    package.losses.__file__ = str(file)
    with pytest.raises(Mistake, match=r"losses.py, line 2: '\(' was never closed. Until that is mended"):
        run(BY_TITLE["The KL"], package)


@pytest.mark.parametrize(
    ("found", "said"),
    [([2.0, 4.0], "got 4, expected 3"), ([2.0, 3.0, 1.0], "got the shape (3,), expected (2,)")],
)
def test_the_number_that_is_shown_is_one_that_differs(found, said):
    with pytest.raises(Mistake, match=re.escape(said)):
        judge("it", [torch.tensor(found)], [torch.tensor([2.0, 3.0])], {})


def test_every_function_has_mistakes():
    assert {function for _, function, *_ in CASES.values()} == {f for task in TASKS for f in task.functions}
    assert ARGUMENTS.keys() == {f for task in TASKS for f in task.functions}
