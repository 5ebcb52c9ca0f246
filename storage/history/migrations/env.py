"""Where Alembic asks for the connection. ``storage.history.database`` gives one, with the lock already held."""

from __future__ import annotations

from alembic import context

from storage.history.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
