# Every target sets up .venv by itself. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
# Jupyter refuses to start for root, as in a container, unless told.
LAB_OPTIONS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help setup lab check test notebooks student report lecture bench stress lint format clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(BIN)/.ready ## the environment alone, in .venv

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(BIN)/.teacher: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[test,teacher]'
	touch $@

lab: setup ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(LAB_OPTIONS) notebooks/01_autoencoder.ipynb

check: setup $(BIN)/.teacher ## lint, and the tests that take seconds; under two minutes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest -m 'not slow' tests

test: setup $(BIN)/.teacher ## lint, then train everything from scratch and check all notebooks and the module
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@kept=$$(mktemp -d) && trap 'rm -rf "$$kept"' EXIT && \
	HW2_CACHE="$$kept" $(BIN)/python -m pytest --nbval notebooks tests

notebooks: setup ## run the notebooks and save them in their fixed form (from kept runs where there are any)
	$(BIN)/python tools/notebooks/execute.py
	$(BIN)/python tools/notebooks/animate.py

student: setup $(BIN)/.teacher ## the student edition, as a course for nbgrader, in course/
	$(BIN)/python tools/classroom/student.py

report: setup $(BIN)/.teacher ## the hand-in as report.pdf; other settings with SET="SEED=1 EPOCHS=5"
	$(BIN)/python tools/classroom/report.py $(if $(SET),--set $(SET))

lecture: setup ## the whole story as one page without code, from kept runs
	$(BIN)/python tools/classroom/lecture.py
	$(BIN)/voila lecture.ipynb

bench: setup ## the timings, on this machine; some 40 minutes on two cores
	$(BIN)/python -m pip install --quiet --editable '.[test,bench]'
	for script in epoch limit stacked startup growth; do $(BIN)/python tools/bench/$$script.py || exit 1; done
	@kept=$$(mktemp -d) && trap 'rm -rf "$$kept"' EXIT && HW2_CACHE="$$kept" $(BIN)/python tools/bench/cells.py
	$(BIN)/python tools/bench/schedules.py

stress: setup ## inject faults, many times; over an hour on two cores
	$(BIN)/python tools/evidence/stress.py
	$(BIN)/python tools/evidence/stress.py notebooks

lint: setup ## ruff over code and notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the environment and what tools left behind
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .hypothesis
