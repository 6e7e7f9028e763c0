#!/usr/bin/env bash
# Format, lint, types, layers and unit tests: `check.sh BIN`.
set -euo pipefail
bin=$1

step() { echo "== $1"; shift; "$@"; }

step format "$bin/ruff" format --check .
step lint "$bin/ruff" check .
step types "$bin/mypy"
step layers "$bin/lint-imports" --no-cache
step "unit tests" "$bin/python" -m pytest tests/unit tests/architecture -q -n "${TEST_PROCESSES:-auto}" --maxprocesses 4 --dist loadfile
