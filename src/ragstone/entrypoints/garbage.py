"""The garbage collector of a process that serves: it must not stop the event loop.

A server holds 160,000 objects that live as long as it does: modules, schemas, statements. With Python's
defaults each full collection walks through all of them: 107 to 195 ms at a time, under load every five
seconds, and 0.2 s in all while starting (2 busy cores, November 2026).
"""

from __future__ import annotations

import gc

THRESHOLDS = (20_000, 10, 10)
"""Objects that came before the youngest are looked at (Python's own: 700); then each tenth time the next."""


def collect_seldom() -> None:
    """Called first of all, for this process as a whole."""
    gc.set_threshold(*THRESHOLDS)


def spare_what_is_here() -> None:
    """Called when all is ready: what is here now is never looked at again."""
    gc.freeze()
