# One command a line below; `make help` lists them. Everything lives in .venv: nothing is installed
# outside this folder, except model weights in the user's cache directory.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The newest Python >= 3.11 on PATH that starts; `make PYTHON=/path/to/python3 ...` overrides it.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$name; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/.stamps
SAY = @printf '\n==> %s\n'

PYTEST_FLAGS := -n 2 -p tests.worker_coverage
COVERAGE_SUMMARY := { $(BIN)/coverage combine --quiet && \
	$(BIN)/coverage report --skip-covered --skip-empty --sort=cover; } || true

# Quotes in a folder or a question reach the workflow as they are: the shell reads them from the
# environment, never from the recipe's text.
export FOLDER QUESTION
MODEL ?= smollm2-135m

.PHONY: help demo test test-all test-clients check bench format clean python-is-new-enough
.DEFAULT_GOAL := help

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMPS)/model ## Digest a folder with a model on this machine: FOLDER=docs QUESTION="..."
	$(SAY) "Running workflows/digest.py"
	@arguments=(); \
	if [ -n "$${FOLDER:-}" ]; then arguments+=("--folder=$$FOLDER"); fi; \
	if [ -n "$${QUESTION:-}" ]; then arguments+=("--question=$$QUESTION"); fi; \
	$(BIN)/agentrt run workflows/digest.py --backend local $${arguments[@]+"$${arguments[@]}"}

test: check ## Format, lint, types, layers and every test that is not slow
	$(SAY) "Tests (without the slow ones; make test-all runs those)"
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not slow" $(PYTEST_ARGS) && status=0 || status=$$?; \
		$(COVERAGE_SUMMARY); exit $$status

test-all: check ## The same with the slow tests (a 1.5B model, minutes)
	$(SAY) "All tests"
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) $(PYTEST_ARGS) && status=0 || status=$$?; \
		$(COVERAGE_SUMMARY); exit $$status

test-clients: $(STAMPS)/clients ## Agents of other frameworks through the gateway (installs them: minutes)
	$(SAY) "Clients"
	@$(BIN)/python -m pytest -n 2 -m "not slow" tests/e2e/test_gateway_clients_*.py $(PYTEST_ARGS)

check: $(STAMPS)/dev
	$(SAY) "Format: ruff format --check"
	@$(BIN)/ruff format --check .
	$(SAY) "Lint: ruff check"
	@$(BIN)/ruff check .
	$(SAY) "Types: mypy"
	@$(BIN)/mypy
	$(SAY) "Types: basedpyright"
	@$(BIN)/basedpyright
	$(SAY) "Layers: lint-imports"
	@$(BIN)/lint-imports --no-cache

bench: $(STAMPS)/bench ## Measure the runtime beside other frameworks (minutes)
	$(SAY) "Benchmark"
	@$(BIN)/python -m tests.benchmarks.overhead $(BENCH_ARGS)

format: $(STAMPS)/dev ## Rewrite the code in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove .venv and caches (weights and runs stay in the user's directories)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python-is-new-enough:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: agentrt needs Python 3.11 or newer, and none is on PATH" >&2; \
		echo "hint: install one (or name it: make PYTHON=/path/to/python3.12 ...)" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: agentrt needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo no Python)" >&2; \
		echo "hint: name another one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }

# Order-only: a check on the way, not a reason to install again.
$(STAMPS)/venv: | python-is-new-enough
	$(SAY) "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "hint: on Debian and Ubuntu, venv is a package: apt install python3-venv" >&2; exit 1; }
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/local: $(STAMPS)/venv pyproject.toml
	$(SAY) "Installing agentrt with the embedded backend"
	@$(PIP) install --quiet --editable '.[local]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml
	$(SAY) "Installing agentrt with the development extras"
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(STAMPS)/local

$(STAMPS)/bench: $(STAMPS)/dev
	$(SAY) "Installing what the benchmark compares with"
	@$(PIP) install --quiet --editable '.[bench]'
	@touch $@

$(STAMPS)/clients: $(STAMPS)/dev
	$(SAY) "Installing agents of other frameworks"
	@$(PIP) install --quiet --editable '.[dev,clients]'
	@touch $@

# The pull looks for the file each time and is done in a moment when it is there: a stamp would
# outlive a cache somebody cleaned.
.PHONY: $(STAMPS)/model
$(STAMPS)/model: $(STAMPS)/local
	$(SAY) "Getting the model ($(MODEL))"
	@$(BIN)/agentrt models pull $(MODEL)
