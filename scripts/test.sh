#!/usr/bin/env bash
# Everything: `test.sh BIN`. Branch coverage over all tests must reach the gate.
set -euo pipefail
bin=$1
export COVERAGE_PROCESS_START="$PWD/pyproject.toml"

step() { echo "== $1"; shift; "$@"; }

step format "$bin/ruff" format --check .
step lint "$bin/ruff" check .
step types "$bin/mypy"
step layers "$bin/lint-imports" --no-cache
rm -f .coverage .coverage.*
# Files stay whole: what a file sets up once is used by all of its tests.
step tests "$bin/coverage" run -m pytest tests -n "${TEST_PROCESSES:-auto}" --maxprocesses 4 --dist loadfile
"$bin/coverage" combine --quiet
step "coverage (branches)" "$bin/coverage" report --fail-under=90 --format=total
