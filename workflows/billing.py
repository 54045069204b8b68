"""What the attempts of a run cost together."""

from collections.abc import Iterable
from dataclasses import dataclass

from longrun.workflows.contract.attempts import AttemptEntry

_SUPERSEDED = frozenset({"lost", "failed", "handed_over", "reset"})
"""Outcomes of attempts whose text is superseded: what they cost, another attempt costs again."""


@dataclass(frozen=True)
class Bill:
    """Tokens, in and out together: ``billed`` of all attempts, ``rebilled`` of the superseded ones."""

    billed: int
    rebilled: int


def bill(attempts: Iterable[AttemptEntry]) -> Bill:
    """Add up what attempts cost; an unknown count adds nothing."""
    billed = rebilled = 0
    for attempt in attempts:
        tokens = (attempt.tokens_in or 0) + (attempt.tokens_out or 0)
        billed += tokens
        rebilled += tokens if attempt.outcome in _SUPERSEDED else 0
    return Bill(billed, rebilled)
