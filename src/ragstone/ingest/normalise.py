"""Bytes to the one text that is stored: every offset in Ragstone counts code points of it."""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache

import charset_normalizer

from ragstone.errors import InvalidRequest

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DROPPED = re.compile("[\x00\ufeff]")
_FIRST_MARK = 0x300
_MOST_MARKS = 30
_SAMPLE_BYTES = 32_768
_GOOD_PER_BROKEN = 10
"""Text with this many sound multi-byte characters for each broken one is UTF-8 that was damaged."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Text as decoded, before `normalise`, the encoding it was read as, and what was lost."""

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def normalise(text: str) -> str:
    r"""The stored form: no BOM, NUL or lone surrogate, `\n` for every line end, NFC. Idempotent.

    A run of more than 30 combining marks is broken by U+034F, as Unicode's stream-safe format does (UAX 15):
    Python sorts such a run in quadratic time, 2 s for 32,000 marks, and no thread runs meanwhile.
    """
    text = _DROPPED.sub("", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    text = _long_runs_of_marks().sub("\\1\u034f", _LONE_SURROGATE.sub("\ufffd", text))
    return unicodedata.normalize("NFC", text)


@cache
def _long_runs_of_marks() -> re.Pattern[str]:
    """Thirty combining marks with another behind them."""
    ranges: list[tuple[int, int]] = []
    for code in range(_FIRST_MARK, sys.maxunicode + 1):
        if not unicodedata.combining(chr(code)):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"([{marks}]{{{_MOST_MARKS}}})(?=[{marks}])")


def decode(content: bytes, declared: str | None = None) -> DecodedText:
    """Text from bytes of unknown encoding; never fails.

    A byte order mark wins, then `declared` (from an XML or HTML head), then UTF-8, then UTF-16 told by
    its NUL bytes, then detection. Bytes that fit nowhere become U+FFFD and a warning.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _decode_leniently(content[len(mark) :], encoding)
    for known in (declared, "utf-8" if b"\x00" not in content else None):
        if known and (text := _decode_strictly(content, known)) is not None:
            return DecodedText(text, known)
    return _decode_leniently(content, _utf16_by_nul_bytes(content) or _detect(content))


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _decode_leniently(content: bytes, encoding: str) -> DecodedText:
    text = _decode_strictly(content, encoding)
    if text is not None:
        return DecodedText(text, encoding)
    text = content.decode(encoding, "replace")
    warning = f"Some bytes are not {encoding}; each was replaced by U+FFFD."
    return DecodedText(text, encoding, (warning,))


def _utf16_by_nul_bytes(content: bytes) -> str | None:
    """Western text in UTF-16 has a NUL in every other byte."""
    sample = content[: _SAMPLE_BYTES & ~1]
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.6 and sample[::2].count(0) < half * 0.1:
        return "utf-16-le"
    if half and sample[::2].count(0) > half * 0.6 and sample[1::2].count(0) < half * 0.1:
        return "utf-16-be"
    return None


def _detect(content: bytes) -> str:
    as_utf8 = content.decode("utf-8", "replace")
    broken = as_utf8.count("\ufffd")
    sound = sum(1 for c in as_utf8[:_SAMPLE_BYTES] if c > "\x7f") - broken
    if b"\x00" in content or sound >= broken * _GOOD_PER_BROKEN:
        return "utf-8"
    first = next((i for i, byte in enumerate(content) if byte > 0x7F), 0)
    start = max(0, first - _SAMPLE_BYTES // 2)
    best = charset_normalizer.from_bytes(content[start : start + _SAMPLE_BYTES]).best()
    return best.encoding if best else "utf-8"


def require_unicode(*values: str | None) -> None:
    """Go on only when every value can be stored: lone surrogates are half a character.

    Raises:
        InvalidRequest: naming the value.
    """
    for value in values:
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"{value!r} is not Unicode text.") from error
