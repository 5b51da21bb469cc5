# `make run` and `make test` work on a fresh clone; everything goes into .venv, nothing outside.

VENV := .venv
BIN := $(VENV)/bin
# The Python that builds .venv: 3.11 by preference, else any newer one. Or: make PYTHON=/path/to/python
PYTHON ?= python3.11

ARCH ?= arch_configs/sparse_pe.yaml
TRACE ?= traces/cifar10.npz
RUN_ARGS ?=
TRACES_ARGS ?=
PYTEST_ARGS ?=
# Each worker may load torch, so four are enough on any machine.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1); \
             [ $$n -le 4 ] && echo $$n || echo 4)

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The part of the tests that is quick enough without the compiler.
NOJIT := NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m nojit -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run test thorough packages lint format bench reliability docs pictures traces clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.core  ## simulate the ready trace on the ready machine (ARCH=, TRACE=, RUN_ARGS=)
	$(BIN)/python -m simulator.run --arch $(ARCH) --trace $(TRACE) $(RUN_ARGS)

test: $(VENV)/.all packages lint  ## lint, types, floors, then every test (PYTEST_ARGS= for the last step)
	$(NOJIT)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

thorough: $(VENV)/.all packages  ## the tests that take minutes each, an hour in all
	$(BIN)/python -m pytest -n $(WORKERS) -m thorough $(PYTEST_ARGS)

# A C++ compiler for the RTL, yosys and a library of cells for its synthesis, a browser for the pages.
# Tests whose program is missing are skipped and say so; where CI is set, those of the pages fail.
packages:  ## the machine's programs that tests use, by apt where it can
	@missing=; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	command -v yosys >/dev/null || missing="$$missing yosys"; \
	test -f /usr/share/qflow/tech/osu018/osu018_stdcells.lib || missing="$$missing qflow-tech-osu018"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" -ne 0 ]; then \
		echo "not there:$$missing. Tests that need them are skipped." \
			"Where there is apt: sudo apt-get install$$missing" >&2; exit 0; fi; \
	echo "installing$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } || \
		echo "could not install:$$missing. Tests that need them are skipped." >&2

lint: $(VENV)/.dev  ## style, types, floors, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.all  ## measure (no workers: they would disturb each other)
	$(BIN)/python -m pytest tests/bench --benchmark-enable --benchmark-only $(PYTEST_ARGS)

reliability: $(VENV)/.all  ## run the fault laboratory and write docs/reliability.md
	RELIABILITY=docs/reliability.md $(BIN)/python -m pytest -q tests/faults

docs: $(VENV)/.all  ## build the site of the documentation into build/site
	$(BIN)/python -m mkdocs build --strict

pictures: $(VENV)/.all packages  ## make the pictures of the documentation
	$(BIN)/python -m tests.browser.make_pictures

traces: $(VENV)/.all  ## capture the shipped traces anew, from images that packages carry (TRACES_ARGS=)
	$(BIN)/python -m experiments.make_traces $(TRACES_ARGS)

clean:  ## remove the environment, builds and caches (results and traces stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.benchmarks .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed, as stamps: a second call finds them and is instant.

$(BIN)/python:
	@chosen=; for candidate in "$(PYTHON)" python3.11 python3 python3.12 python3.13 python3.14; do \
		if "$$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
			>/dev/null 2>&1; then chosen=$$candidate; break; fi; done; \
	if [ -z "$$chosen" ]; then echo "no Python >= 3.11 with venv found;" \
		"name one: make PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "building $(VENV) with $$chosen"; "$$chosen" -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	@echo "installing the simulator"
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing the simulator and the tools of its developers"
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.core

$(VENV)/.all: pyproject.toml | $(BIN)/python
	@echo "installing the simulator, its developers' tools and torch (some minutes the first time)"
	@$(PIP_INSTALL) -e ".[dev,models,search,cluster,rtl,fpga,cocotb,docs]"
	@touch $@ $(VENV)/.dev $(VENV)/.core
