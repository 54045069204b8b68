"""New ids."""

from uuid import UUID

from uuid_utils import uuid7


def new_id() -> str:
    """A UUIDv7: ids sort by the time they were made."""
    return str(UUID(int=uuid7().int))
