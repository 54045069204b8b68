"""What a run's attempts have cost together."""

from collections.abc import Iterable
from dataclasses import dataclass

from longrun.workflows.contract.attempts import AttemptEntry

_FOR_NOTHING = frozenset({"lost", "failed", "handed_over", "reset"})
"""Outcomes of attempts whose text does not stand: what they have cost, another attempt costs again."""


@dataclass(frozen=True)
class Bill:
    """Tokens, in and out together: ``billed`` of all attempts, ``rebilled`` of those whose text does not stand."""

    billed: int
    rebilled: int


def bill(attempts: Iterable[AttemptEntry]) -> Bill:
    """Add up what attempts have cost; what nobody knows counts as nothing."""
    billed = rebilled = 0
    for attempt in attempts:
        tokens = (attempt.tokens_in or 0) + (attempt.tokens_out or 0)
        billed += tokens
        rebilled += tokens if attempt.outcome in _FOR_NOTHING else 0
    return Bill(billed, rebilled)
