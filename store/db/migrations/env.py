"""Alembic's entry: migrates over the connection that ``longrun.store.db.schema`` hands in."""

from alembic import context

from longrun.store.db.tables import Row

context.configure(connection=context.config.attributes["connection"], target_metadata=Row.metadata)
with context.begin_transaction():
    context.run_migrations()
