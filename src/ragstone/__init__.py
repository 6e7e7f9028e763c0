"""Documents in, hybrid search, answers with exact citations.

    import ragstone

    with ragstone.Ragstone("~/notes-home") as rag:
        rag.add("notes/")
        print(rag.ask("What did we decide about caching?").text)

`AsyncRagstone` is the same for asyncio. Both run the whole engine in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.entrypoints.python import AsyncRagstone
    from ragstone.entrypoints.python_blocking import Ragstone

__all__ = ["AsyncRagstone", "Ragstone"]


def __getattr__(name: str) -> object:
    # The engine takes a second to import; `ragstone --help` and `import ragstone.errors` need none of it.
    if name in __all__:
        from ragstone.entrypoints import python, python_blocking

        return getattr(python_blocking if name == "Ragstone" else python, name)
    raise AttributeError(f"module 'ragstone' has no attribute {name!r}")
