"""The bundled model gives the published model's vectors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from ragstone.models.local import load_encoder

FOLDER = Path(__file__).parents[2] / "fixtures" / "embeddings"


def test_every_reference_text_has_the_published_vector() -> None:
    """Cosine >= 0.999 against sentence-transformers in float32, for each of 1,000 texts."""
    texts: list[str] = json.loads(gzip.decompress((FOLDER / "reference.json.gz").read_bytes()))
    expected = np.load(FOLDER / "reference.npz")["vectors"].astype(np.float32)

    vectors = load_encoder().encode(texts)

    cosines = np.sum(vectors * expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert len(texts) == 1000
    assert np.min(cosines) >= 0.999, texts[int(np.argmin(cosines))][:80]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
