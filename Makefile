# Set-up and every-day commands. `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test tabs chaos lint docs bench .venv

help:
	@echo "make demo    embedded Supabase, worker, relay and made-up events; Ctrl-C stops it all; ARGS=--auth, ARGS=--help"
	@echo "make test    the whole test suite"
	@echo "make tabs    ten browser tabs while relays, network and tabs fail, some twelve minutes; the suite has a short run"
	@echo "make chaos   everything fails in turn, SECONDS=120 long, from a SEED; counts what is lost"
	@echo "make lint    ruff, mypy and the layers of imports"
	@echo "make docs    the documentation, into site/; fails on a page, link or anchor that is not there"
	@echo "make bench   the relay, the floor and its peers, about an hour; QUICK=1: three minutes, relay and floor alone"
	@echo "make .venv   the Python environment that the others use"

.DELETE_ON_ERROR:
.venv: .venv/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "1/2 a Python environment in .venv"
	@$(PYTHON) -m venv .venv

# uv installs in a third of pip's time: it is fetched for this alone, where it is not there already. Without
# it, or where it does not know the way to the packages that pip knows, pip does the same.
UV ?= $(shell command -v uv)
PIP = $(BIN)/python -m pip --disable-pip-version-check
define install
	@echo "2/2 $(2)"
	@uv="$(UV)"; [ -n "$$uv" ] || { $(PIP) --quiet install --target .venv/.uv uv && uv=.venv/.uv/bin/uv; }; \
	  { [ -x "$$uv" ] && "$$uv" pip install --python $(BIN)/python --editable '.[$(1)]'; } || \
	  $(PIP) install --editable '.[$(1)]'
	@rm -rf .venv/.uv
	@touch $@
endef

.venv/.demo: pyproject.toml | $(BIN)/python
	$(call install,demo,what the demo needs: some 160 MB)

.venv/.dev: pyproject.toml | $(BIN)/python
	$(call install,dev,all that the tests and tools need: some 500 MB)

demo: $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.demo)
	@exec $(BIN)/python -m demo $(ARGS)

test: .venv
	$(BIN)/python -m pytest -n 2

tabs: .venv
	TABS_AT_LENGTH=1 $(BIN)/python -m pytest tests/browser/test_tabs.py -k long

SECONDS ?= 120
chaos: .venv
	@exec $(BIN)/python -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
	  --output .chaos $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: .venv
	$(BIN)/zensical build --clean --strict

# ARGS has further options: make bench ARGS="--only relay,bun --sizes 1000"
bench: .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@exec $(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)
