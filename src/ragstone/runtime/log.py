"""The log by itself: most of what it tells needs no index and no model, which take most of a start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from anyio import to_thread

from ragstone.config import Loaded
from ragstone.home import open_home
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.service.analytics import AnalyticsService
from ragstone.service.log_transfer import LogTransfer
from ragstone.store.database import open_database
from ragstone.store.log_file import LogFile


@dataclass(frozen=True, slots=True)
class OpenLog:
    """Everything that reads the log; questions are not grouped, for want of a model."""

    analytics: AnalyticsService
    transfer: LogTransfer


@asynccontextmanager
async def open_log(loaded: Loaded) -> AsyncIterator[OpenLog]:
    """Open the log and the database that knows the names of documents; close both at the end.

    Raises:
        HomeMismatch: the home is of another version or damaged.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        home = await to_thread.run_sync(open_home, loaded.home)
        database = await open_database(home.database, settings.store)
        stack.push_async_callback(database.aclose)
        file = LogFile(home.log)
        stack.push_async_callback(file.aclose)
        embedder = UnavailableEmbedder("No model was opened to read the log.")
        yield OpenLog(
            AnalyticsService(file, database, embedder, settings), LogTransfer(file, database, settings)
        )
