"""Settings: one name in file, environment, flag and docs; unknown keys are refused.

Sources, later ones win: defaults, `ragstone.toml` in the home folder (or `--config FILE`),
`RAGSTONE_SECTION__KEY` in the environment, flags. `Loaded.origins` says where each value came from.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr, ValidationError

from ragstone.errors import InvalidSetting, nearest_hint
from ragstone.settings import Settings
from ragstone.settings.section import Section

ENV_PREFIX = "RAGSTONE_"
HOME_ENV = "RAGSTONE_HOME"
# Read by the build or the tests, not settings of the product.
RESERVED_ENV = frozenset({"RAGSTONE_HOME", "RAGSTONE_DATA", "RAGSTONE_MODEL_WHEEL", "RAGSTONE_PROFILE"})
HIDDEN = "***"

_DEFAULTS = Settings()
_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CONTENT_ENV = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT_ON = ("true", "1", "span_only", "span_and_event")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the place each value came from (`default`, a file path, a variable, a flag)."""

    settings: Settings
    home: Path
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TracesEnvironment:
    """What OpenTelemetry's own variables say; endpoint, headers, sampler and limits its SDK reads itself."""

    exporter: Literal["none", "otlp", "console"]
    captures_content: bool
    is_service_named: bool
    """Whether the service has another name than ours."""


def traces_environment(environ: Mapping[str, str] | None = None) -> TracesEnvironment:
    """Whether traces are exported, and whether with what users ask and documents say: neither by default.

    `OTEL_TRACES_EXPORTER` names the exporter; an OTLP endpoint alone turns that one on.

    Raises:
        InvalidSetting: an exporter that there is none of.
    """
    given = os.environ if environ is None else environ
    named = given.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    exporter = named or ("otlp" if any(given.get(name) for name in _OTLP_ENDPOINTS) else "none")
    if exporter not in ("none", "otlp", "console"):
        raise InvalidSetting(
            f"OTEL_TRACES_EXPORTER is {named!r}; Ragstone exports by 'otlp' (over HTTP) or to the 'console'."
        )
    is_disabled = given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    named_by_resource = "service.name=" in given.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return TracesEnvironment(
        exporter="none" if is_disabled else cast("Literal['none', 'otlp', 'console']", exporter),
        captures_content=given.get(_CONTENT_ENV, "").strip().lower() in _CONTENT_ON,
        is_service_named=bool(given.get("OTEL_SERVICE_NAME")) or named_by_resource,
    )


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


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret of the settings, and the passwords and keys inside those that are URLs."""
    found: set[str] = set()
    values = settings.model_dump()
    for secret in secrets_in(values):
        found |= _parts(secret)
    for text in texts_in(values):
        if "://" in text and "@" in text:  # an address is shown, what gives access in it is not
            found |= _parts(text) - {text}
    return frozenset(found - {""})


def secrets_in(value: object) -> Iterator[str]:
    """Every secret that is set in a value, at whatever depth."""
    for leaf in _leaves(value):
        if isinstance(leaf, SecretStr) and (secret := leaf.get_secret_value()):
            yield secret


def texts_in(value: object) -> Iterator[str]:
    """Every text in a value, secret or not, at whatever depth."""
    for leaf in _leaves(value):
        if isinstance(leaf, SecretStr):
            yield leaf.get_secret_value()
        elif isinstance(leaf, str):
            yield leaf


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _parts(secret: str) -> set[str]:
    if "://" not in secret:
        return {secret}
    # By hand: a password may be one that no parser of URLs takes.
    login = secret.partition("://")[2].rpartition("@")[0]
    _, _, password = login.partition(":")
    return {secret, unquote(password), password} | ({login} if login and not password else set())


def setting_names() -> list[str]:
    """Every setting as `section.key`, in order of declaration."""
    return [f"{section}.{key}" for section, fields in _sections().items() for key in fields]


def describe(name: str) -> str:
    """The sentence that says what a setting does."""
    section, key = name.split(".")
    return _sections()[section][key]


def secret_names() -> list[str]:
    """The settings whose value is never shown, by their type."""
    return [
        f"{section}.{key}"
        for section, model in _models().items()
        for key, field in model.model_fields.items()
        if _holds_secret(field.annotation)
    ]


def shown_value(loaded: Loaded, name: str) -> str | int | float | bool | None:
    """A setting as it may be printed: secrets hidden, addresses without what gives access."""
    section, key = name.split(".")
    value = cast("object", getattr(getattr(loaded.settings, section), key))
    if name in secret_names():
        is_set = value.get_secret_value() if isinstance(value, SecretStr) else value
        return HIDDEN if is_set else None
    shown = _bare(value)
    return shown if isinstance(shown, str | int | float | bool | None) else str(shown)


def _holds_secret(annotation: object) -> bool:
    """Whether a setting of this type is a secret, or has one inside."""
    if annotation is SecretStr:
        return True
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return any(_holds_secret(field.annotation) for field in annotation.model_fields.values())
    return any(_holds_secret(part) for part in get_args(annotation))


def hide_credentials(url: str) -> str:
    """An address without user, password, parameters and fragment, as these often hold keys."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return HIDDEN
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    query = "&".join(f"{pair.partition('=')[0]}={HIDDEN}" for pair in parts.query.split("&") if pair)
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def _bare(value: object) -> object:
    return hide_credentials(value) if isinstance(value, str) and "://" in value else value


def _models() -> dict[str, type[Section]]:
    found: dict[str, type[Section]] = {}
    for section, declared in Settings.model_fields.items():
        model = declared.annotation
        if not (isinstance(model, type) and issubclass(model, Section)):
            raise TypeError(f"section {section} is not a Section")
        found[section] = model
    return found


def _sections() -> dict[str, dict[str, str]]:
    return {
        section: {key: field.description or "" for key, field in model.model_fields.items()}
        for section, model in _models().items()
    }


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
    """A list is written with commas in a variable, a list of tables as JSON."""
    section, _, key = name.partition(".")
    if not isinstance(getattr(getattr(_DEFAULTS, section, None), key, None), tuple):
        return value
    if value.lstrip().startswith("[{"):
        try:
            return json.loads(value)
        except ValueError as error:
            variable = f"{ENV_PREFIX}{section}__{key}".upper()
            raise InvalidSetting(f"{variable} cannot be read as JSON: {error}.") from error
    return [part.strip() for part in value.split(",") if part.strip()]


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
        raise InvalidSetting(
            f"{origin}: there is no section {section!r}.{nearest_hint(section, sorted(sections))}"
        )
    if key not in sections[section]:
        raise InvalidSetting(
            f"{origin}: there is no setting {name!r}.{nearest_hint(name, sorted(setting_names()))}"
        )
    return section, key


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    parts = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"][:2])
        shown = "a hidden value" if name in secret_names() else repr(_bare(problem["input"]))
        parts.append(f"{name} (from {origins.get(name, 'default')}) is {shown}: {problem['msg']}.")
    return " ".join(parts)
