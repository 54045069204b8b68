"""Alembic's revisions of the store's schema; ``longrun.store.db.schema`` runs them."""
