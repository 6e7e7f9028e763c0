#!/usr/bin/env bash
# Installs into a local virtual environment: `install.sh PYTHON VENV run|test`. Idempotent.
set -euo pipefail
python=$1 venv=$2 what=$3

fail() { echo "Error: $1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python here; install Python 3.11 or newer, or name one: make PYTHON=python3.12 run"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; Ragstone needs Python 3.11 or newer: make PYTHON=python3.12 run"

if [ ! -x "$venv/bin/python" ]; then
  echo "Creating a virtual environment in $venv ..."
  "$python" -m venv "$venv" || fail "no virtual environment could be made; install Python's venv module (Debian: python3-venv)"
fi

# A pip older than 23.1 cannot install an editable build with a hook of its own.
"$venv/bin/python" -m pip install --quiet --upgrade 'pip>=24' || fail "pip cannot reach its package index"

case $what in
  run)
    echo "Installing Ragstone and building its model (a few minutes the first time) ..."
    "$venv/bin/python" -m pip install --quiet -e . || fail "the installation failed; the lines above say why"
    ;;
  test)
    echo "Installing what the tests need ..."
    "$venv/bin/python" -m pip install --quiet -e '.[dev]' || fail "the installation failed; the lines above say why"
    missing=()
    command -v tesseract >/dev/null || missing+=(tesseract-ocr)
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v promtool >/dev/null || missing+=(prometheus)
    if [ ${#missing[@]} -gt 0 ]; then
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]} ..."
        # The tests start servers of their own; the system's is not wanted, and its start may be forbidden.
        apt-get update -qq >/dev/null && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || fail "${missing[*]} could not be installed with apt-get"
      else
        fail "missing: ${missing[*]}; install them (Debian: sudo apt-get install ${missing[*]}) and run this again"
      fi
    fi
    ;;
  *) fail "install.sh takes run or test, not $what" ;;
esac
