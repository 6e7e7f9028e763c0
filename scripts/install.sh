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
    if ! command -v tesseract >/dev/null; then
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing tesseract-ocr ..."
        apt-get update -qq >/dev/null && apt-get install -y -qq tesseract-ocr >/dev/null || fail "tesseract-ocr could not be installed with apt-get"
      else
        fail "tesseract is missing; install it (Debian: sudo apt-get install tesseract-ocr) and run this again"
      fi
    fi
    ;;
  *) fail "install.sh takes run or test, not $what" ;;
esac
