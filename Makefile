# Needs make, a C library, and Python 3.11 or 3.12 (another one: make PYTHON=/path/to/python3.11 ...).
# Packages go into .venv (serving, no torch), .venv-dev (tests, linters, training), .venv-bench; state into .deepfinance.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
DEV := .venv-dev
BENCH := .venv-bench
PYTHON ?=
ARGS ?=
PIP_ARGS ?=

export BENTOML_DO_NOT_TRACK := True
# set on some machines, it makes every start compile every package again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help serve test lint format train rollback evaluate bulk bench bento bentocheck imagecheck

help: ## Show what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

serve: $(VENV)/.ready ## Start the service on 127.0.0.1:$PORT (3000) and print how to call it
	@$(VENV)/bin/python serve.py

test: $(DEV)/.ready ## Run all tests; ARGS="-k name" runs some
	@$(DEV)/bin/python -m pytest $(ARGS)

lint: $(DEV)/.ready ## Check format, style and types
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/mypy .

format: $(DEV)/.ready ## Format the code
	@$(DEV)/bin/ruff check --fix --exit-zero --quiet .
	@$(DEV)/bin/ruff format .

train: $(DEV)/.ready ## Train a model set and publish it unless it is worse; ARGS=--help shows the options
	@$(DEV)/bin/python -m training.train $(ARGS)

rollback: $(DEV)/.ready ## Serve the previous model set again from the next start on
	@$(DEV)/bin/python -m training.rollback $(ARGS)

evaluate: $(DEV)/.ready ## Evaluate the published model set; ARGS="--data-dir D --start A --end B ..."
	@$(DEV)/bin/python -m training.evaluate $(ARGS)

bulk: $(DEV)/.ready ## Forecast a file of symbols without a server; ARGS="--symbols FILE.csv --out FILE.parquet ..."
	@$(DEV)/bin/python -m training.bulk $(ARGS)

bench: $(BENCH)/.ready ## Benchmark against reference peers, about a quarter of an hour; ARGS=--quick for two or three
	@$(BENCH)/bin/python -m bench.run $(ARGS)

bento: $(VENV)/.ready ## Build the Bento, and write what an image is made from into build/container
	@$(VENV)/bin/python deploy/container/context.py build/container

bentocheck: bento ## Install that into a new environment as an image does, serve it and call it
	@$(VENV)/bin/python deploy/container/check.py build/container

imagecheck: bento ## Build the image with Docker or Podman, run it and call it; ARGS go to its build
	@$(VENV)/bin/python -m deploy.container.image build/container $(ARGS)

$(VENV)/.ready: requirements/serving.txt
$(DEV)/.ready: requirements/dev.txt
$(BENCH)/.ready: requirements/bench.txt

$(VENV)/.ready $(DEV)/.ready $(BENCH)/.ready:
	@python="$(PYTHON)"; for candidate in python3.11 python3.12 python3; do \
	  [ -n "$$python" ] || ! $$candidate -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	    2>/dev/null || python=$$candidate; \
	done; \
	[ -n "$$python" ] || { echo "No Python 3.11 or 3.12 found. Name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	[ -x $(@D)/bin/python ] || "$$python" -m venv $(@D); \
	echo "Installing the packages of $< into $(@D), once. This can take a few minutes."; \
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) -r $<
	@touch $@
