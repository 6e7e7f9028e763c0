"""Does an HTTP server answer?"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2

from ragstone.net.transport import BROKEN, tls_context

TIMEOUT_S = 3.0
LARGEST_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Probed:
    """What a GET came to: a status, or why there was none."""

    status: int | None
    problem: str | None = None
    """In words that go on a sentence that begins with the address; None when it went well."""
    body: bytes = b""


async def probe(url: str, bearer: str = "", timeout_s: float = TIMEOUT_S) -> Probed:
    """GET `url`, directly, without redirects; a body beyond `LARGEST_BYTES` is cut."""
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    context = await tls_context()
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout_s, verify=context, trust_env=False) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= LARGEST_BYTES:
                    break
    except BROKEN as error:
        return Probed(None, f"does not answer ({type(error).__name__})")
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        return Probed(None, f"is no usable address ({type(error).__name__})")
    problem = f"answers with status {response.status_code}" if response.is_error else None
    return Probed(response.status_code, problem, body[:LARGEST_BYTES])
