"""How text becomes terms: an exact field for identifiers and CJK, a stemmed field for prose.

The exact field keeps identifiers whole (`C#`, `k8s`, `snake_case`, `ISSUE-1234`, `node.js`, `a/b.py`) and
cuts CJK runs into overlapping bigrams; the stemmed field splits at everything that is not a letter or
digit and applies the collection's Snowball stemmer. Stop words are dropped from questions only, so that
a phrase made of them can still be found.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import tantivy

from ragstone.index.stop_words import STOP_WORDS

EXACT, STEMMED = "exact", "stemmed"
MAX_TERM_BYTES = 120

# An identifier: letters, digits and _ in parts joined by one of -.+/:@' and ended by an optional + or #.
IDENTIFIER = r"[\p{L}\p{N}\p{M}_]+(?:[-./:@'’][\p{L}\p{N}\p{M}_]+)*(?:\+\+|[+#])?"

# Han, kana, Hangul and their compatibility forms: scripts written without spaces (or, for Hangul, where a
# bigram finds inflected words).
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U000323af]+"
)

STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """The distinct terms of a question, per field, in order of appearance."""

    exact: tuple[str, ...]
    stemmed: tuple[str, ...]


class Analysis:
    """The analyzers of one language; `language` is an ISO 639-1 code, unknown ones are not stemmed."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._exact = _exact_analyzer()
        self._stemmed = _stemmed_analyzer(language)
        self._words = (
            tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase()).build()
        )
        self._stop_words = STOP_WORDS.get(language, frozenset())

    def register(self, index: tantivy.Index) -> None:
        """Make both analyzers known to an index under the names of their fields."""
        index.register_tokenizer(EXACT, self._exact)
        index.register_tokenizer(STEMMED, self._stemmed)

    def terms(self, query: str) -> QueryTerms:
        """The terms to look for; when every word is a stop word, all are kept."""
        text = prepare(query)
        exact = [term for term in self._exact.analyze(text) if term not in self._stop_words]
        stemmed = [
            term
            for word in self._words.analyze(text)
            if word not in self._stop_words
            for term in self._stemmed.analyze(word)
        ]
        if not exact and not stemmed:
            exact, stemmed = self._exact.analyze(text), self._stemmed.analyze(text)
        return QueryTerms(tuple(dict.fromkeys(exact)), tuple(dict.fromkeys(stemmed)))

    def stems(self, text: str) -> list[str]:
        """Every stemmed term of a text, in order, stop words included."""
        return list(self._stemmed.analyze(prepare(text)))


def prepare(text: str) -> str:
    """Text as both analyzers take it: compatibility forms folded, CJK runs as spaced bigrams."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return folded if folded.isascii() else CJK.sub(_bigrams, folded)


def _bigrams(run: re.Match[str]) -> str:
    characters = run.group()
    if len(characters) == 1:
        return f" {characters} "
    pairs = (characters[at : at + 2] for at in range(len(characters) - 1))
    return f" {' '.join(pairs)} "


def _exact_analyzer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(IDENTIFIER))
    return (
        builder.filter(tantivy.Filter.remove_long(MAX_TERM_BYTES)).filter(tantivy.Filter.lowercase()).build()
    )


def _stemmed_analyzer(language: str) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(MAX_TERM_BYTES)).filter(tantivy.Filter.lowercase())
    if language in STEMMERS:
        builder = builder.filter(tantivy.Filter.stemmer(STEMMERS[language]))
    return builder.build()
