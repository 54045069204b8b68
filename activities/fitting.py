"""Making results fit into Temporal's payloads: of what is too large, history has the digest, and a blob all of it."""

from typing import TypeVar

from longrun.runtime.clock import now
from longrun.store.blobs import Blobs
from longrun.workflows.contract.messages import ToolCallPart
from longrun.workflows.contract.results import Answered, Finished, ModelReply, OpenStep, Span, ToolOutcome
from longrun.workflows.contract.sizes import beginning, size_of

R = TypeVar("R", ModelReply, ToolOutcome, Finished)

LARGEST_REPLY = 1_000_000
"""Bytes of a model's reply, or of a run's end, in history; Temporal refuses a payload of more than 2 MiB."""
LARGEST_OUTCOME = 200_000
"""Bytes of a call's outcome in history. A step may have 128 of them, and a whole history at most 50 MiB."""
_ARGUMENTS = 500_000
"""Bytes of the arguments of a message's calls together that a run is told."""
_CONTENT = 1000


async def fit(result: R, blobs: Blobs) -> R:
    """A result that Temporal takes.

    Raises:
        StoreUnavailableError: The database failed.
    """
    largest = LARGEST_OUTCOME if isinstance(result, ToolOutcome) else LARGEST_REPLY
    if size_of(result) <= largest:
        return result
    kept = await blobs.keep(result.model_dump_json(), now())
    return slim(result).model_copy(update={"kept": kept})


async def fit_all(answered: Answered, blobs: Blobs) -> Answered:
    """Outcomes that Temporal takes together.

    Raises:
        StoreUnavailableError: The database failed.
    """
    if size_of(answered) <= LARGEST_REPLY:
        return answered
    return Answered(outcomes=tuple([await fit(outcome, blobs) for outcome in answered.outcomes]))


def slim(result: R) -> R:
    """A result without what may be large: what a run acts on, and where its events are."""
    if isinstance(result, ModelReply):
        return _slim_reply(result)
    return _slim_outcome(result) if isinstance(result, ToolOutcome) else _slim_end(result)


def _slim_reply(result: ModelReply) -> ModelReply:
    calls = [part for part in result.message.parts if isinstance(part, ToolCallPart)]
    room = _ARGUMENTS // max(1, len(calls))
    known = tuple(
        call.model_copy(update={"arguments": beginning(call.arguments, room), "opaque": None}) for call in calls
    )
    return result.model_copy(
        update={
            "message": result.message.model_copy(update={"parts": known}),
            "opened": result.opened.model_copy(update={"said": ()}),
            "marks": (),
            "spans": (Span(first=result.spans[0].first, last=result.spans[-1].last),),
        }
    )


def _slim_outcome(result: ToolOutcome) -> ToolOutcome:
    arguments = None if result.arguments is None else beginning(result.arguments, _CONTENT)
    content = beginning(result.content, _CONTENT)
    return result.model_copy(update={"content": content, "arguments": arguments, "progress": ()})


def _slim_end(result: Finished) -> Finished:
    return result.model_copy(
        update={
            "open_steps": tuple(map(_slim_step, result.open_steps)),
            "closed": tuple(map(_slim_outcome, result.closed)),
            "unacknowledged": (),
        }
    )


def _slim_step(step: OpenStep) -> OpenStep:
    return step.model_copy(update={"opened": step.opened.model_copy(update={"said": ()})})
