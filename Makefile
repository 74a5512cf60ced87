# Kelvin: one scale for hot and cold diffusion. `make` lists what there is.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed
# The environment first on PATH, for the stages that DVC starts; one thread a process (params.yaml).
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help setup repro smoke full record test check ui bench lint publish clean

help:    ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv and install the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Kelvin needs Python 3.11 or newer: make setup PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

repro: $(STAMP)  ## reproduce everything (JOBS=2 stages side by side), then name the report
	@kelvin repro --jobs $(JOBS)

smoke: $(STAMP)  ## every stage at smoke scale, nine runs of all studies, in a throw-away copy
	@python -m kelvin.pipeline.throwaway --jobs $(JOBS)

full: $(STAMP)   ## every run, in a throw-away copy; its record goes to reports/reference/
	@kelvin record full --jobs $(JOBS)

record: $(STAMP)  ## NAME=<entry of `records`>: run that study in a copy, keep its record
	@kelvin record $(NAME) --jobs $(JOBS)

test: $(STAMP)   ## all tests, the pipeline end to end among them
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## ruff, the layers and the fast tests
	@ruff check . && lint-imports --no-cache --no-logo
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

ui: $(STAMP)     ## compare all results in a browser: MLflow
	@kelvin ui

bench: $(STAMP)  ## speed against peers, both sides in one run; DEVICE=cuda: on a GPU
	@kelvin bench $(if $(DEVICE),--device $(DEVICE))

lint: $(STAMP)   ## ruff, the layers of src/kelvin, and its types
	@ruff check . && lint-imports --no-cache --no-logo && mypy

publish: $(STAMP)  ## refresh weights/ and the README's picture and table from reports/
	@kelvin publish

clean:   ## remove scratch and results that dvc can bring back; keeps .venv and DVC's cache
	rm -rf .kelvin .pytest_cache .ruff_cache .mypy_cache .hypothesis data/prepared data/models data/samples data/evaluations data/plan
	find src stages tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
