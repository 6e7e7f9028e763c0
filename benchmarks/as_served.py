"""Import first: gives numpy's BLAS the one thread that the `ragstone` command gives it."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
