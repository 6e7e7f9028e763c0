"""Settings: one name in file, environment, flag and docs; unknown keys are refused.

Sources, later ones win: defaults, `ragstone.toml` in the home folder (or `--config FILE`),
`RAGSTONE_SECTION__KEY` in the environment, flags. `Loaded.origins` says where each value came from.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ragstone.errors import InvalidSetting

ENV_PREFIX = "RAGSTONE_"
HOME_ENV = "RAGSTONE_HOME"
# Read by the build or the tests, not settings of the product.
RESERVED_ENV = frozenset({"RAGSTONE_HOME", "RAGSTONE_DATA", "RAGSTONE_MODEL_WHEEL", "RAGSTONE_PROFILE"})


class Section(BaseModel):
    """A section of the settings: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the HTTP server listens."""

    host: str = Field("127.0.0.1", description="Address to listen on; only loopback until there are keys.")
    port: int = Field(8321, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    shutdown_grace_s: float = Field(10.0, gt=0, description="Seconds that requests in flight get to finish.")


class StoreSettings(Section):
    """The SQL database, source of truth."""

    busy_timeout_s: float = Field(
        30.0, gt=0, description="Seconds a write waits for another process's write."
    )
    pool_size: int = Field(20, ge=1, le=200, description="Connections kept open for reading.")
    max_overflow: int = Field(10, ge=0, le=200, description="Connections opened beyond the pool under load.")
    pool_recycle_s: int = Field(3600, ge=1, description="Age at which a connection is replaced.")


class IndexSettings(Section):
    """The derived lexical and vector indexes."""

    writer_memory_mb: int = Field(32, ge=15, le=2048, description="Memory of one lexical index writer.")


class ModelsSettings(Section):
    """The embedding model."""

    embedding_path: Path | None = Field(
        None, description="Folder with model.onnx and tokenizer.json; the bundled model when unset."
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        "auto", description="What runs the model; auto takes OpenVINO where installed and the CPU has bf16."
    )
    threads: int = Field(0, ge=0, le=256, description="Threads of the model; 0 takes the cores there are.")
    waiting_queries: int = Field(1024, ge=1, description="Query embeddings that may wait before 429.")
    bulk_callers: int = Field(64, ge=1, description="Documents that may wait for embedding before 429.")


class GeneratorSettings(Section):
    """The language model; without a base_url answers are extractive."""

    base_url: str | None = Field(
        None, description="An OpenAI-compatible server, such as http://127.0.0.1:11434/v1."
    )
    model: str = Field("", description="Name of the model at that server.")
    api_key: SecretStr = Field(SecretStr(""), description="Key sent to that server.")
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(1024, ge=1, le=131072, description="Longest answer, in tokens.")
    timeout_s: float = Field(120.0, gt=0, description="Longest wait for the whole answer of the model.")


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


class SearchSettings(Section):
    """How questions are searched."""

    top_k: int = Field(10, ge=1, le=100, description="Hits returned when the request does not say.")
    candidates: int = Field(100, ge=1, le=1000, description="Candidates fetched from each leg.")
    fusion: Literal["score", "rrf"] = Field(
        "score", description="Fuse the legs by shares of their best score, or by reciprocal ranks."
    )
    rrf_k: int = Field(60, ge=1, description="The constant of reciprocal rank fusion.")
    lexical_weight: float = Field(1.0, ge=0, le=100, description="Weight of the lexical leg.")
    dense_weight: float = Field(1.0, ge=0, le=100, description="Weight of the dense leg.")
    leg_timeout_s: float = Field(5.0, gt=0, description="Time a leg gets before the other answers alone.")
    timeout_s: float = Field(10.0, gt=0, description="Time a search gets.")


class AnswerSettings(Section):
    """How answers are made."""

    context_tokens: int = Field(3000, ge=100, description="Budget for passages in the prompt, in tokens.")
    max_quotes: int = Field(3, ge=1, le=20, description="Most sentences an extractive answer quotes.")
    max_quote_chars: int = Field(600, ge=50, description="Most characters an extractive answer quotes.")
    timeout_s: float = Field(120.0, gt=0, description="Time an answer gets.")


class CacheSettings(Section):
    """In-process caches."""

    query_embeddings: int = Field(
        10_000, ge=0, description="Query embeddings kept in memory; 0 turns it off."
    )
    query_embedding_ttl_s: float = Field(86_400.0, gt=0, description="Seconds a query embedding is kept.")


class TelemetrySettings(Section):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json for machines, console for people; auto looks whether stderr is a terminal."
    )
    metrics: bool = Field(True, description="Serve /metrics.")


class LimitsSettings(Section):
    """What one request may ask for."""

    request_max_bytes: int = Field(512 * 2**20, ge=1024, description="Largest request body.")
    query_max_chars: int = Field(8_000, ge=1, description="Longest question.")
    text_max_chars: int = Field(20_000_000, ge=1, description="Longest inline text.")
    metadata_max_bytes: int = Field(65_536, ge=2, description="Largest metadata of one document, as JSON.")


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


class Settings(Section):
    """All settings, by section."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    index: IndexSettings = IndexSettings()
    models: ModelsSettings = ModelsSettings()
    generator: GeneratorSettings = GeneratorSettings()
    ingest: IngestSettings = IngestSettings()
    sources: SourcesSettings = SourcesSettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    cache: CacheSettings = CacheSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    limits: LimitsSettings = LimitsSettings()
    security: SecuritySettings = SecuritySettings()


_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the place each value came from (`default`, a file path, a variable, a flag)."""

    settings: Settings
    home: Path
    origins: Mapping[str, str]


def default_home() -> Path:
    """`$RAGSTONE_HOME`, or `~/.ragstone`."""
    return Path(os.environ.get(HOME_ENV) or Path.home() / ".ragstone").expanduser()


def load(
    home: Path | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str | int | float | bool | None] | None = None,
) -> Loaded:
    """Read the settings from file, environment and flags.

    Args:
        home: the state folder; `default_home()` when None.
        config_file: read instead of `home/ragstone.toml`; it must exist.
        environ: the environment; the process's own when None.
        flags: dotted name to value (`{"server.port": 9000}`); None values are passed over.

    Raises:
        InvalidSetting: an unknown key (the nearest known one is named) or a value out of range.
    """
    home = (home or default_home()).expanduser().absolute()
    merged: dict[str, dict[str, object]] = {}
    origins = dict.fromkeys(setting_names(), "default")
    for layer in (
        _from_file(home, config_file),
        _from_environment(os.environ if environ is None else environ),
        _from_flags(flags or {}),
    ):
        for name, (value, origin) in layer.items():
            section, key = _known(name, origin)
            merged.setdefault(section, {})[key] = value
            origins[name] = origin
    try:
        return Loaded(Settings.model_validate(merged), home, origins)
    except ValidationError as error:
        raise InvalidSetting(_explain(error, origins)) from error


def setting_names() -> list[str]:
    """Every setting as `section.key`, in order of declaration."""
    return [f"{section}.{key}" for section, fields in _sections().items() for key in fields]


def describe(name: str) -> str:
    """The sentence that says what a setting does."""
    section, key = name.split(".")
    return _sections()[section][key]


def _sections() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for section, declared in Settings.model_fields.items():
        model = declared.annotation
        if not (isinstance(model, type) and issubclass(model, Section)):
            raise TypeError(f"section {section} is not a Section")
        found[section] = {key: field.description or "" for key, field in model.model_fields.items()}
    return found


Layer = dict[str, tuple[object, str]]


def _from_file(home: Path, config_file: Path | None) -> Layer:
    path = config_file or home / "ragstone.toml"
    if not path.exists():
        if config_file is None:
            return {}
        raise InvalidSetting(f"The configuration file {str(path)!r} does not exist.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidSetting(f"{path} cannot be read as TOML: {error}.") from error
    layer: Layer = {}
    for section, keys in content.items():
        if not isinstance(keys, dict):
            raise InvalidSetting(
                f"{path}: {section!r} stands outside a section; write it as [section] key = value."
            )
        layer |= {f"{section}.{key}": (value, str(path)) for key, value in keys.items()} or _empty(
            section, path
        )
    return layer


def _empty(section: str, path: Path) -> Layer:
    if section not in _sections():
        _known(f"{section}.", str(path))
    return {}


def _from_environment(environ: Mapping[str, str]) -> Layer:
    layer: Layer = {}
    for variable, value in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable in RESERVED_ENV:
            continue
        if "__" not in variable:
            raise InvalidSetting(
                f"{variable} is not a setting; write {ENV_PREFIX}SECTION__KEY, such as RAGSTONE_SERVER__PORT."
            )
        name = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".", 1)
        layer[name] = (_listed(name, value), variable)
    return layer


def _listed(name: str, value: str) -> object:
    """A list is written with commas in a variable."""
    section, _, key = name.partition(".")
    if isinstance(getattr(getattr(_DEFAULTS, section, None), key, None), tuple):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _from_flags(flags: Mapping[str, str | int | float | bool | None]) -> Layer:
    return {
        name: (value, f"--{name.rpartition('.')[2].replace('_', '-')}")
        for name, value in flags.items()
        if value is not None
    }


def _known(name: str, origin: str) -> tuple[str, str]:
    section, _, key = name.partition(".")
    sections = _sections()
    if section not in sections:
        raise InvalidSetting(f"{origin}: there is no section {section!r}.{_nearest(section, sections)}")
    if key not in sections[section]:
        raise InvalidSetting(f"{origin}: there is no setting {name!r}.{_nearest(name, setting_names())}")
    return section, key


def _nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(sorted(known))}."


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    parts = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"][:2])
        shown = "a hidden value" if name.endswith("api_key") else repr(problem["input"])
        parts.append(f"{name} (from {origins.get(name, 'default')}) is {shown}: {problem['msg']}.")
    return " ".join(parts)
