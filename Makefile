# Everything a stranger needs: `make run` and `make test` work on a bare clone with Python 3.11+.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test check nightly format docs bench clean

help: ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml hatch_build.py $(wildcard build_model/*.py)
	@scripts/install.sh '$(PYTHON)' '$(VENV)' run
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	@scripts/install.sh '$(PYTHON)' '$(VENV)' test
	@touch $@

run: $(VENV)/.installed ## Install, serve the docs as a sample, ask a question
	@$(BIN)/python scripts/run_sample.py

test: $(VENV)/.tested ## Everything: format, lint, types, layers, tests, coverage
	@scripts/test.sh '$(BIN)'

check: $(VENV)/.tested ## The quick half: format, lint, types, layers, unit tests
	@scripts/check.sh '$(BIN)'

nightly: $(VENV)/.tested ## Long profiles of property, fault and load tests
	@RAGSTONE_PROFILE=nightly scripts/test.sh '$(BIN)'

format: $(VENV)/.tested ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: $(VENV)/.tested ## Generate docs/status.md and docs/configuration.md
	@$(BIN)/python scripts/generate_docs.py

bench: $(VENV)/.tested ## Run every benchmark; results go to benchmarks/results
	@for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script; done

clean: ## Remove what was installed and built
	rm -rf $(VENV) .run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
