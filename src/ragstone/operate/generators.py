"""The generator and its fallbacks as the settings name them, and whether their servers are there."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from ragstone.net.probe import probe

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ragstone.operate.look import Seen
    from ragstone.settings import GeneratorSettings

REFUSED_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class ConfiguredGenerator:
    """A model at a server; `setting` is where its key and address are set."""

    setting: str
    model: str
    base_url: str
    api_key: SecretStr


def configured_generators(configured: GeneratorSettings) -> list[ConfiguredGenerator]:
    """All of them, in the order in which they are asked; none when nothing generates."""
    if configured.base_url is None:
        return []
    first = ConfiguredGenerator("generator", configured.model, configured.base_url, configured.api_key)
    return [
        first,
        *(
            ConfiguredGenerator(f"generator.fallbacks[{place}]", one.model, one.base_url, one.api_key)
            for place, one in enumerate(configured.fallbacks)
        ),
    ]


async def reach_generator(generator: ConfiguredGenerator) -> Seen:
    """Whether a generator's server answers; its list of models costs nothing, a generation would."""
    found = await probe(f"{generator.base_url.rstrip('/')}/models", generator.api_key.get_secret_value())
    if found.status is None:
        return "degraded", found.problem or "does not answer"
    if found.status in REFUSED_KEY:
        return "degraded", f"refuses the key (status {found.status}); set {generator.setting}.api_key"
    # A server without a list of models says 404, and is there.
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "degraded", f"answers with status {found.status}"
    return "ok", "answers"
