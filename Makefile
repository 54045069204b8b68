# Each target does its own set-up: a virtual environment in .venv with the locked packages, a Temporal server among them.
# All that has to be there is make and Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARALLEL := -n 2 --dist loadscope --no-loadscope-reorder
PYTEST := $(BIN)/pytest $(PARALLEL)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
# Each run imports its workflow anew: without bytecode on disk it would be compiled each time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo dev lint check-fast test test-long check bench chaos

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install everything that the other targets need

demo: $(INSTALLED) ## Show what longrun does, without any key
	$(BIN)/longrun demo $(ARGS)

dev: $(INSTALLED) ## Run Temporal, a worker and the gateway until Ctrl-C
	$(BIN)/longrun dev $(ARGS)

check-fast: lint ## Lint, and every test that needs no Temporal server (2 to 4 minutes)
	$(PYTEST) -m "not server and not live" $(ARGS)

ifeq ($(strip $(ARGS)),)
test: $(INSTALLED) ## Run the tests under coverage (8 minutes); ARGS="tests/store -x" runs some, without
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage report --include='workflows/*' --fail-under=100
else
test: $(INSTALLED)
	$(PYTEST) $(ARGS)
endif

test-long: $(INSTALLED) ## Run the tests in their long forms (half an hour)
	LONGRUN_TEST_LONG=1 $(PYTEST) --timeout 1800 $(ARGS)

lint: $(INSTALLED) ## Check form, rules, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

check: lint test ## lint and test: what a change must pass

bench: $(INSTALLED) ## Measure against a bare Temporal workflow
	$(BIN)/python -m tests.bench $(ARGS)

chaos: $(INSTALLED) ## Kill everything at every moment, 576 times, and keep the table
	$(BIN)/python -m tests.chaos --docs --json bench-results/reliability.json $(ARGS)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "longrun needs Python 3.11 or newer, $(PYTHON) is not: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
