# Set-up and every-day commands. `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test chaos lint bench

help:
	@echo "make demo    embedded Supabase, worker, relay and made-up events; Ctrl-C stops it all"
	@echo "make test    the whole test suite"
	@echo "make chaos   everything fails in turn, SECONDS=120 long, from a SEED; counts what is lost"
	@echo "make lint    ruff and mypy"
	@echo "make bench   the relay, the floor and its peers, about an hour; QUICK=1: three minutes, relay and floor alone"
	@echo "make .venv   the Python environment that the others use"

.venv: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch -t 200001010000 .venv # older than its source until the installation has succeeded
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch .venv

demo: .venv
	@exec $(BIN)/python -m demo $(ARGS)

test: .venv
	$(BIN)/python -m pytest -n 2

SECONDS ?= 120
chaos: .venv
	@exec $(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
	  --output .chaos $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# ARGS has further options: make bench ARGS="--only relay,bun --sizes 1000"
bench: .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@exec $(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)
