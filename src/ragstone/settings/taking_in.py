"""Settings of ingestion and of sources."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ragstone.settings.section import Section


class IngestSettings(Section):
    """How documents come in."""

    max_file_bytes: int = Field(100 * 2**20, ge=1, description="Largest file taken in.")
    max_chunks_per_document: int = Field(50_000, ge=1, description="Most chunks one document may have.")
    chunk_strategy: Literal["structure", "semantic", "code", "table"] = Field(
        "structure", description="Where new collections cut: structure, semantic, code or table."
    )
    chunk_max_tokens: int = Field(220, ge=16, le=8192, description="Longest chunk, in tokens of the model.")
    chunk_overlap_tokens: int = Field(0, ge=0, le=4096, description="Tokens shared by neighbouring chunks.")
    parse_workers: int = Field(1, ge=1, le=64, description="Sandboxed parser processes.")
    parse_timeout_s: float = Field(20.0, gt=0, description="Wall clock for parsing one file.")
    parse_memory_mb: int = Field(2048, ge=256, description="Memory wall of a parser process.")
    max_unpacked_bytes: int = Field(
        200 * 2**20, ge=2**20, description="What a ZIP-based file (DOCX, EPUB, ...) may unpack to."
    )
    max_attachments: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Attachments taken out of one e-mail, those of messages in it included.",
    )
    ocr: Literal["auto", "off"] = Field(
        "auto", description="Read scanned pages with Tesseract when installed."
    )
    ocr_language: str = Field("eng", description="Tesseract languages, joined by +.")
    concurrency: int = Field(8, ge=1, le=64, description="Documents of one add in flight at once.")
    wait_s: float = Field(30.0, ge=0, le=600, description="Seconds an upload waits before it answers 202.")
    workers: int = Field(
        4, ge=0, le=64, description="Jobs that a server works on at once; 0 leaves all to `ragstone worker`."
    )
    queue_max: int = Field(10_000, ge=1, description="Jobs that may wait; beyond, uploads are answered 429.")
    interactive_max_bytes: int = Field(
        2**20, ge=0, description="Largest file whose upload goes before bulk work unless it says otherwise."
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="Attempts that may crash or fail on a file before it is given up."
    )
    retry_backoff_s: float = Field(
        1.0, gt=0, description="First wait before a job is tried again; doubles up to 60 s, with jitter."
    )
    retry_for_s: float = Field(
        86_400.0, ge=0, description="Seconds a job is tried again while a part it needs is down."
    )
    lease_s: float = Field(
        30.0, ge=1, description="Silence after which a worker counts as dead and its jobs go to others."
    )
    keep_jobs_s: float = Field(
        604_800.0, ge=0, description="Seconds that jobs at their end are kept to look at."
    )
    allowed_roots: tuple[Path, ...] = Field(
        (), description="Folders that the server may read documents from; none when empty."
    )


class SourcesSettings(Section):
    """Sources of documents: folders, sites, repositories."""

    catalogue: Path | None = Field(
        None, description="The file that names the sources; HOME/sources.toml when unset."
    )
    max_vanished_share: float = Field(
        0.3, ge=0, le=1, description="Share of a source's documents that one sync may remove without force."
    )
    always_removed: int = Field(
        5, ge=0, description="So many vanished documents are removed whatever their share."
    )
    fetch_timeout_s: float = Field(30.0, gt=0, le=600, description="Time one page gets, redirects included.")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects followed, each one checked.")
    user_agent: str = Field(
        "ragstone",
        pattern=r"^[\x21-\x7e][\x20-\x7e]*$",
        description="What pages and robots.txt are asked as.",
    )
    crawl_delay_s: float = Field(0.5, ge=0, le=60, description="Pause between two pages of one site.")
    crawl_max_bytes: int = Field(500 * 2**20, ge=1, description="Bytes that one crawl may fetch.")
    git_timeout_s: float = Field(300.0, gt=0, description="Time one git command gets.")
    git_max_bytes: int = Field(2 * 2**30, ge=2**20, description="Largest pack that git may receive.")
    watch_debounce_s: float = Field(
        1.0, gt=0, le=60, description="Quiet time after which changes in a watched folder are looked at."
    )
    watch_polling: bool = Field(
        False, description="Poll watched folders; for network mounts, which tell of no changes."
    )
    watch_rescan_s: float = Field(
        900.0, gt=0, description="A watched folder is gone through whole at least this often."
    )
