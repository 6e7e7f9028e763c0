"""Alembic runs this; the connection comes from `ragstone.store.database`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from ragstone.store.tables import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
