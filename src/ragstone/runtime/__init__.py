"""Builds everything from settings."""

from ragstone.runtime.engine import Engine, open_engine

__all__ = ["Engine", "open_engine"]
