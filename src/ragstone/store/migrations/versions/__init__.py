"""One file per step forward."""
