"""What a step or a call has cost: one entry per time that somebody set about it."""

from datetime import datetime
from typing import Literal

from longrun.workflows.contract.shape import Shape

AttemptOutcome = Literal["completed", "failed", "cancelled", "lost", "handed_over", "reset"]
"""``lost``: its worker died or froze; ``handed_over``: its worker was shut down and gave it to another; ``reset``: what
it wrote was taken back by a reset of the run."""

Recovery = Literal["none", "reattached", "retrieved", "reissued"]
"""How an attempt took up what the one before it had left: it went on with the provider's stream (``reattached``), read
the provider's finished answer (``retrieved``), asked or ran again (``reissued``), or had nothing to take up."""


class AttemptEntry(Shape):
    """One attempt of a model call or, with ``call_id``, of a tool call.

    ``outcome`` is ``None`` while it is under way. ``provider`` is the model; ``response_id`` and ``provider_cursor``
    say where the provider's answer can be taken up, where it can. Tokens are what the provider charges for the
    attempt: ``None`` where nobody knows, and with ``estimated`` our own count of what had arrived. An answer that
    several attempts have read is charged once, to the one that completed it.
    """

    step: int
    call_id: str | None = None
    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: AttemptOutcome | None = None
    provider: str | None = None
    response_id: str | None = None
    provider_cursor: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    estimated: bool = False
    recovered: Recovery = "none"


class ResumePoint(Shape):
    """All of a provider's answer before this can be taken up again, by any process.

    ``response_id`` names the answer, ``cursor`` is the provider's number of the last event that was read, ``state``
    what its adapter must know to go on from there.
    """

    response_id: str
    cursor: int
    state: str
