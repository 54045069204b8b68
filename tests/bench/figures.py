"""The arithmetic of the bench: marks in tokens, percentiles, medians and ratios. Times are nanoseconds.

``CLOCK_MONOTONIC`` is one clock for all processes of a machine, so a token can carry the time at which it was sent.
"""

import re
from collections.abc import Iterable, Sequence
from statistics import median

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_SENT = re.compile(r"t([0-9a-f]+) ")
_RECEIVED = re.compile(r"r([0-9a-f]+) ")


def mark(sent: int, received: int | None = None) -> str:
    """A token's text: when it was sent, and in the first one of an answer when the question had come."""
    first = "" if received is None else f"r{received:x} "
    return f"{first}t{sent:x} "


def sent_at(text: str) -> list[int]:
    """When each token in a piece of text was sent; adjacent tokens may have been merged into one piece."""
    return [int(found, 16) for found in _SENT.findall(text)]


def received_at(text: str) -> int | None:
    """When the question had come at the provider, if the text holds an answer's first token."""
    found = _RECEIVED.search(text)
    return int(found[1], 16) if found else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def spread(nanoseconds: Sequence[int]) -> dict[str, float]:
    """How times are distributed, in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    found = {name: rounded(percentile(nanoseconds, share) / MILLISECOND) for name, share in shares.items()}
    return {"count": len(nanoseconds), **found}


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: what disturbs the machine for a while disturbs both halves of a round."""
    return rounded(median(a / b for a, b in zip(ours, theirs, strict=True)))


def middle(values: Iterable[float]) -> float:
    """The median, rounded."""
    return rounded(median(values))


def rounded(value: float) -> float:
    """Three digits after the point: more is noise."""
    return round(value, 3)
