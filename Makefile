# Everything runs in one virtual environment, made by whichever target needs it first and renewed when pyproject.toml changes.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Most of the time goes into compiling on one core; a file stays with one worker, so that nothing is compiled twice.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

# The first interpreter that is new enough and can make virtual environments; `make PYTHON=...` names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.14; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && echo $$python && break; done)

# The newest one, which pyenv hides where .python-version names another.
NEWEST_PYTHON ?= $(shell for version in 3.14 3.13 3.12; do \
	PYENV_VERSION=$$version python$$version -c 'import ensurepip, venv' >/dev/null 2>&1 && echo env PYENV_VERSION=$$version python$$version && break; done)

# What leans on the dependencies most, in a minute or two; each set of versions has its own virtual environment.
SHORT := -p no:cacheprovider tests/_common/test_numpyro_seam.py tests/_common/test_inputs.py tests/_common/test_checks.py \
	tests/methods/test_programs.py tests/objectives/test_step_sampling.py
SHORT_NEEDS := '.[analysis,ode]' beartype pytest

.DEFAULT_GOAL := help
.PHONY: help install demo paper test test-all test-lowest test-newest lint format docs bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## the virtual environment, with everything in it

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.12 or newer with the venv module was found: install one (e.g. pyenv install 3.12), or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the main job in small: fit the digits and the swiss roll, print the table, write the pictures
	$(BIN)/dpm-ppl demo

paper: $(STAMP) ## the tables and figures of the paper made again, in hours; make paper WITH=--quick in 20 minutes
	$(BIN)/dpm-ppl paper $(WITH)

test: $(STAMP) ## the tests, without the slow ones
	$(PYTEST)

test-all: $(STAMP) ## all tests
	$(PYTEST) -m ""

test-lowest: .venv-lowest/.installed ## a few tests on the lowest versions that pyproject.toml allows
	.venv-lowest/bin/python -m pytest $(SHORT)

test-newest: .venv-newest/.installed ## a few tests on the newest Python that is there, with the newest versions
	.venv-newest/bin/python -m pytest $(SHORT)

.venv-lowest/.installed: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python .ci/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --disable-pip-version-check --quiet --constraint .venv-lowest/lowest.txt --editable $(SHORT_NEEDS)
	@touch $@

.venv-newest/.installed: pyproject.toml
	$(NEWEST_PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --disable-pip-version-check --quiet --editable $(SHORT_NEEDS)
	@touch $@

lint: $(STAMP) ## style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: $(STAMP) ## put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMP) ## the documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

bench: $(STAMP) ## timings and memory
	$(BIN)/python -m benchmarks

clean: ## remove what was built; runs/ and the virtual environment stay
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
