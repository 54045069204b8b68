"""The base of every shape that processes exchange."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A frozen value that ignores fields it does not know, so that an older process reads a newer one's payload.

    New fields have defaults, for the same reason the other way round.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
