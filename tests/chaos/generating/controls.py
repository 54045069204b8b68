"""What tests change about the counting provider while it runs."""

import asyncio

from pydantic import BaseModel, ConfigDict


class HoldAt(BaseModel):
    """A position in the answers to one label: before this token (from 0) of this turn.

    Token -1 is before the first event, when the call is accepted and nobody knows its id; the number of a turn's
    tokens is after the last of them, before the end.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    turn: int
    token: int


class Wish(BaseModel):
    """A change: what it does not name stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refuse_streams_older_than: float | None = None
    forget: bool = False
    rate: float | None = None
    hold_at: HoldAt | None = None
    release: str | None = None


class Controls:
    """The provider's present behaviour.

    ``refuse_streams_older_than`` is the age in seconds from which a job's stream cannot be resumed, ``forget`` lets
    every job be unknown to who asks for it again, ``rate`` is in force instead of the plans'.
    """

    def __init__(self) -> None:
        self.refuse_streams_older_than: float | None = None
        self.forget = False
        self.rate: float | None = None
        self._holds: dict[HoldAt, asyncio.Event] = {}

    def change(self, wish: Wish) -> None:
        """Do what is wished, from now on. A hold holds every call that comes to its position, until it is released.

        A wish that releases and holds lets the calls go on to the next position.
        """
        for name in wish.model_fields_set & {"refuse_streams_older_than", "forget", "rate"}:
            setattr(self, name, getattr(wish, name))
        for position in [position for position in self._holds if position.label == wish.release]:
            self._holds.pop(position).set()
        if wish.hold_at is not None:
            self._holds.setdefault(wish.hold_at, asyncio.Event())

    def hold(self, label: str, turn: int, token: int) -> asyncio.Event | None:
        """What to wait for at this position."""
        return self._holds.get(HoldAt(label=label, turn=turn, token=token)) if self._holds else None
