"""Alembic's entry: runs the migrations on the connection that Database.migrate hands over."""

from alembic import context

from ved.db.people_tables import users

# The metadata of all tables: those of people stand on the others.
context.configure(connection=context.config.attributes["connection"], target_metadata=users.metadata)
with context.begin_transaction():
    context.run_migrations()
