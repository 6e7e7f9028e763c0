"""robots.txt, as RFC 9309 reads it: the longest rule that fits decides; equal ones allow (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

LARGEST_BYTES = 500 * 1024
"""More of a robots.txt is not read (RFC 9309, 2.5)."""
LONGEST_DELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line: `is_allowed` for paths that hold the parts in order, beginning with the first."""

    parts: tuple[str, ...]
    is_end: bool
    """Whether the last part must end the path."""
    length: int
    is_allowed: bool

    def fits(self, path: str) -> bool:
        """Whether the rule is about this path; in linear time, as the rules are others' words."""
        if not path.startswith(self.parts[0]):
            return False
        at = len(self.parts[0])
        for part in self.parts[1:]:
            found = path.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        if not self.is_end:
            return True
        last = self.parts[-1]
        earliest = at - len(last)
        return path.endswith(last) and (earliest <= len(path) - len(last) if self.parts[1:] else path == last)


@dataclass(frozen=True, slots=True)
class Robots:
    """What one robot may fetch of a site."""

    rules: tuple[_Rule, ...] = ()
    delay_s: float = 0.0
    """What the site asks to wait between two pages, at most `LONGEST_DELAY_S`."""

    def allows(self, url: str) -> bool:
        """Whether the page may be fetched."""
        parts = urlsplit(url)
        path = _spelt(parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fitting = [rule for rule in self.rules if rule.fits(path)]
        return max(fitting, key=lambda rule: (rule.length, rule.is_allowed)).is_allowed if fitting else True


def read_robots(content: bytes, agent: str) -> Robots:
    """The rules for `agent` (its product name), else those for everyone; unknown lines are passed over."""
    token = re.match(r"[a-z_-]*", agent.lower())
    groups = _groups(content[:LARGEST_BYTES].decode("utf-8-sig", "replace"))
    mine = [lines for names, lines in groups if token and token[0] in names]
    lines = mine or [lines for names, lines in groups if "*" in names]
    rules: list[_Rule] = []
    delay_s = 0.0
    for key, value in (line for group in lines for line in group):
        if key == "crawl-delay":
            delay_s = _delay(value)
        elif value:
            rules.append(_rule(value, is_allowed=key == "allow"))
    return Robots(tuple(rules), delay_s)


def _groups(text: str) -> list[tuple[set[str], list[tuple[str, str]]]]:
    """Names of robots with the lines that are meant for them."""
    groups: list[tuple[set[str], list[tuple[str, str]]]] = []
    is_naming = False
    for line in text.splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            if not is_naming:
                groups.append((set(), []))
            groups[-1][0].add(value.lower())
            is_naming = True
        elif key in ("allow", "disallow", "crawl-delay"):
            is_naming = False
            if groups:
                groups[-1][1].append((key, value))
    return groups


def _rule(value: str, *, is_allowed: bool) -> _Rule:
    parts = _spelt(value.removesuffix("$")).split("*")
    return _Rule(tuple(parts), value.endswith("$"), len(value), is_allowed)


def _spelt(path: str) -> str:
    """One spelling of escapes, so that /a%7Eb and /a~b are one path."""
    return quote(unquote(path), "/*$?&=+,;:@!'()~")


def _delay(value: str) -> float:
    try:
        return min(max(float(value), 0.0), LONGEST_DELAY_S)
    except ValueError:
        return 0.0
