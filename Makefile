# Every target sets up what it needs in .venv. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
# TORCH=cpu takes PyTorch's own index of builds for machines without a GPU, which are far smaller.
TORCH ?= default
TORCH_INDEX := $(if $(filter cpu,$(TORCH)),--index-url https://download.pytorch.org/whl/cpu)
# uv, where it is installed, does the same as venv and pip, faster.
UV := $(shell command -v uv 2> /dev/null)
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet)
# Jupyter refuses to start for root, as in a container, unless told.
LAB_OPTIONS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

# Three files of tests at a time, because kernels and browsers often wait, and every process on one thread. In the order
# of tests/conftest.py: the longest may not be left for the end.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup lab check test notebooks student grade report lecture page bench stress lint format clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(BIN)/.tested ## everything that the other targets need, in .venv

# What opens the notebooks and nothing else: the download is PyTorch, Jupyter and their dependencies.
$(BIN)/.ready: pyproject.toml
	@echo "Setting up .venv, once. On Linux PyTorch's default build brings CUDA: a download of about 3 GB, 6 GB on the disk."
	@echo "Without a GPU 'make lab TORCH=cpu' downloads about 0.5 GB."
	$(if $(UV),uv venv --quiet --allow-existing --seed --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	$(INSTALL) torch torchvision $(TORCH_INDEX)
	$(INSTALL) --editable .
	touch $@

# What checks them, and the student edition.
$(BIN)/.tested: $(BIN)/.ready
	$(INSTALL) --editable '.[test,teacher]'
	touch $@

lab: $(BIN)/.ready ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(LAB_OPTIONS) notebooks/01_autoencoder.ipynb

check: setup ## lint, and the tests that take seconds; under two minutes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(PYTEST) -m 'not slow' tests

test: setup ## lint, then train everything from scratch and check all notebooks and the module
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@kept=$$(mktemp -d) && trap 'rm -rf "$$kept"' EXIT && \
	export HW2_CACHE="$$kept" && $(BIN)/python -m pytest --nbval --solutions notebooks && \
	$(PYTEST) tests

notebooks: setup ## run the notebooks and save them in their fixed form (from kept runs where there are any)
	$(BIN)/python tools/notebooks/execute.py
	$(BIN)/python tools/notebooks/animate.py

student: setup ## the student edition, as a course for nbgrader, in course/
	$(BIN)/python tools/classroom/student.py

grade: setup ## grade what lies in course/submitted, and list what was amiss
	$(BIN)/python tools/classroom/grade.py

report: setup ## the hand-in as report.pdf; other settings with SET="SEED=1 EPOCHS=5"
	$(BIN)/python tools/classroom/report.py $(if $(SET),--set $(SET))

lecture: setup ## the whole story as one page without code, from kept runs
	$(BIN)/python tools/classroom/lecture.py
	$(BIN)/voila lecture.ipynb

page: setup ## explorer.html: the explorers as one file that needs no kernel, from kept runs
	$(BIN)/python tools/page/page.py

bench: setup ## the timings, on this machine; some 40 minutes on two cores
	$(INSTALL) --editable '.[test,bench]'
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
