"""Every mistake in the list gets its sentence, and the functions as they are pass."""

import re

import pytest
from mistakes import ARGUMENTS, CASES, submission

import hw2
from hw2.checks.tasks import TASKS, Mistake, run

BY_TITLE = {task.title: task for task in TASKS}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_gets_its_sentence(name):
    title, function, body, says = CASES[name]
    with submission(function, body) as module, pytest.raises(Mistake, match=re.escape(says).replace(r"\|", "|")):
        run(BY_TITLE[title], module)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)
def test_the_solution_passes(task):
    run(task, hw2)


def test_every_function_has_mistakes():
    assert {function for _, function, *_ in CASES.values()} == {f for task in TASKS for f in task.functions}
    assert ARGUMENTS.keys() == {f for task in TASKS for f in task.functions}
