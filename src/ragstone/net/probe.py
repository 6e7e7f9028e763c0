"""Does an HTTP server answer?"""

from __future__ import annotations

import httpx2

TIMEOUT_S = 3.0


async def probe(url: str, bearer: str = "") -> str | None:
    """None when a GET of `url` is answered with success, otherwise what happened, in words."""
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            response = await client.get(url, headers=headers)
    except httpx2.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        return f"is no usable address ({error})"
    return f"answers with status {response.status_code}" if response.is_error else None
