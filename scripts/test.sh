#!/usr/bin/env bash
# Everything: `test.sh BIN`. Branch coverage over all tests must reach the gate.
set -euo pipefail
bin=$1
export COVERAGE_PROCESS_START="$PWD/pyproject.toml"
# The tests start a thousand processes: where byte code is not written, each would compile 330 modules (0.6 s).
unset PYTHONDONTWRITEBYTECODE
"$bin/python" -m compileall -q src tests

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
