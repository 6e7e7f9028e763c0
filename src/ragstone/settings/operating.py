"""Settings of operation: telemetry, limits, security."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ragstone.settings.section import Section


class TelemetrySettings(Section):
    """Logs, metrics, traces, reports."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json for machines, console for people; auto looks whether stderr is a terminal."
    )
    log_file: Path | None = Field(None, description="File that the log is written to as well, as JSON.")
    log_file_max_bytes: int = Field(
        10 * 2**20, ge=1024, description="Size at which the log file is set aside and begun anew."
    )
    log_file_count: int = Field(5, ge=0, le=1000, description="Log files kept besides the one written to.")
    slow_request_ms: float = Field(
        1000.0, ge=0, description="Requests that take longer are logged with their stages; 0 logs none."
    )
    percentiles: bool = Field(True, description="Keep the times of operations as percentiles in memory.")
    report_every_s: float = Field(
        0.0,
        ge=0,
        description="Seconds between two reports of those times in the log, such as 60; 0 does without.",
    )
    sentry_dsn: SecretStr | None = Field(
        None, description="Where errors are reported to by Sentry's protocol (extra `sentry`)."
    )
    metrics: bool = Field(True, description="Serve /metrics.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="A port that serves /metrics and nothing else, of workers too; 0 does without.",
    )
    answer_traces: int = Field(
        10_000, ge=0, le=10_000_000, description="Traces of answers kept, the newest ones; 0 keeps none."
    )
    answer_trace_days: int = Field(7, ge=1, le=3650, description="Days that a trace of an answer is kept.")
    environment: str = Field(
        "production", pattern=r"^[\w.:-]{1,64}$", description="Where this runs, in logs, traces and Sentry."
    )


class LimitsSettings(Section):
    """What one request may ask for."""

    request_max_bytes: int = Field(512 * 2**20, ge=1024, description="Largest request body.")
    query_max_chars: int = Field(8_000, ge=1, description="Longest question.")
    text_max_chars: int = Field(20_000_000, ge=1, description="Longest inline text.")
    metadata_max_bytes: int = Field(65_536, ge=2, description="Largest metadata of one document, as JSON.")

    max_concurrent_searches: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Searches at work at once; beyond, 429. Cached ones do not count. "
        "0 is four for each core, at least eight.",
    )
    max_concurrent_asks: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Answers in the making at once; beyond, 429. Cached ones do not count. "
        "0 is 32 with a generator, without one four for each core.",
    )


class ResilienceSettings(Section):
    """What happens when a part fails: breakers and retries."""

    breaker_failures: int = Field(
        5, ge=1, le=1000, description="Failures in a row after which a part is left alone."
    )
    breaker_open_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds that it is left alone; then one call tries it."
    )
    retry_attempts: int = Field(
        3, ge=1, le=10, description="Attempts at a call to a generator or a page that fails in passing."
    )
    retry_first_s: float = Field(
        1.0, gt=0, le=30, description="Longest pause before the second attempt; it doubles, with jitter."
    )
    retry_max_s: float = Field(30.0, gt=0, le=300, description="Longest pause between two attempts.")


class SecuritySettings(Section):
    """Who may talk to the server."""

    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host header values accepted besides the loopback names."
    )
    fetch_allowed_networks: tuple[str, ...] = Field(
        (), description="Private networks that pages may be fetched from, such as 10.1.0.0/16."
    )
    fetch_allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names that pages may be fetched from at whatever address they have."
    )
    fetch_allowed_ports: tuple[int, ...] = Field(
        (80, 443), description="Ports that pages may be fetched from."
    )
