"""Runs the migrations on the connection that `tenure.control.database.migrate` hands over."""

from alembic import context

from tenure.control.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
