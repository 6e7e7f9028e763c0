"""From what the catalogue says of a source to the source itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragstone.ingest.sources.catalogue import FolderEntry, SourceEntry, WebEntry
from ragstone.ingest.sources.folder import FolderOptions, FolderSource, require_allowed
from ragstone.ingest.sources.git import GitOptions, GitSource
from ragstone.ingest.sources.web import CrawlOptions, WebSource

if TYPE_CHECKING:
    from ragstone.ingest.sources.ports import Source
    from ragstone.net.fetch import Fetcher
    from ragstone.settings import Settings


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What sources may read and how much."""

    max_file_bytes: int
    allowed_roots: Sequence[Path]
    user_agent: str
    crawl_delay_s: float
    crawl_max_bytes: int
    git_timeout_s: float
    git_max_bytes: int

    @classmethod
    def from_settings(cls, settings: Settings) -> SourceLimits:
        """As configured."""
        configured, ingest = settings.sources, settings.ingest
        return cls(
            max_file_bytes=ingest.max_file_bytes,
            allowed_roots=ingest.allowed_roots,
            user_agent=configured.user_agent,
            crawl_delay_s=configured.crawl_delay_s,
            crawl_max_bytes=configured.crawl_max_bytes,
            git_timeout_s=configured.git_timeout_s,
            git_max_bytes=configured.git_max_bytes,
        )


class SourceOpener:
    """Opens sources within the limits of the settings."""

    def __init__(self, fetcher: Fetcher, clones: Path, limits: SourceLimits) -> None:
        self._fetcher = fetcher
        self._clones = clones
        self._limits = limits

    def open(self, entry: SourceEntry, *, is_trusted: bool = False) -> Source:
        """The source of an entry; a trusted one (named at the terminal) may be any folder.

        Raises:
            Refused: a folder or repository outside of `ingest.allowed_roots`.
        """
        limits = self._limits
        if isinstance(entry, FolderEntry):
            root = entry.path if is_trusted else require_allowed(entry.path, limits.allowed_roots)
            prefix = None if is_trusted else entry.name
            options = FolderOptions(entry.include, entry.exclude, limits.max_file_bytes, prefix)
            return FolderSource(root, options)
        if isinstance(entry, WebEntry):
            crawl = CrawlOptions(
                depth=entry.depth,
                max_pages=entry.max_pages,
                max_bytes=limits.crawl_max_bytes,
                delay_s=limits.crawl_delay_s,
                takes_documents=entry.documents,
                include=entry.include,
                exclude=entry.exclude,
                user_agent=limits.user_agent,
            )
            return WebSource(entry.url, self._fetcher, crawl)
        git = GitOptions(
            branch=entry.branch,
            paths=entry.paths,
            include=entry.include,
            exclude=entry.exclude,
            max_file_bytes=limits.max_file_bytes,
            timeout_s=limits.git_timeout_s,
            max_pack_bytes=limits.git_max_bytes,
            allowed_roots=limits.allowed_roots,
        )
        return GitSource(entry.name, entry.url, self._clones / entry.name, self._fetcher.guard, git)
