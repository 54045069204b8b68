"""Alembic's revisions of the store's schema; ``store.schema`` runs them."""
