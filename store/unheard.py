"""What the store has of a run that ends, and what the run itself may never have heard of.

A worker writes first and tells Temporal then. If it dies in between, the next one finds what was written and tells it;
but a run that was cancelled meanwhile does not ask again. So its end tells, and history has all that the log has.
"""

from collections.abc import Iterator, Sequence

from store.begun import FIND_STEP, load_step
from store.database import Tx
from store.rows import run_sql
from workflows.contract.events import EVENT, ApprovalDecided, ApprovalExpired, ApprovalRequested, Event, RunWaiting
from workflows.contract.runs import Decision
from workflows.contract.steps import Finish, ModelReply, Pause, Paused, Recorded, Stamp, ToolOutcome, Verdicts

MOST_TOLD = 1024 * 1024
"""Characters of tool results that are told with an end: more would not fit into one of Temporal's payloads."""


def unheard(tx: Tx, finish: Finish) -> tuple[ModelReply | ToolOutcome | Paused | Recorded, ...]:
    """What was written after the last message that the run knows; some of it, it may know all the same."""
    if finish.answered is None or finish.outcome.status == "completed":
        return ()
    return (*_reply(tx, finish, finish.answered + 1), *_outcomes(tx, finish, finish.answered), *_pause(tx, finish))


def _reply(tx: Tx, finish: Finish, step: int) -> Iterator[ModelReply]:
    row = run_sql(tx, f"{FIND_STEP} AND reply IS NOT NULL AND step = ?", finish.run_id, step).first()
    if row and (reply := load_step(tx, row).reply):
        yield reply


def _outcomes(tx: Tx, finish: Finish, step: int) -> Iterator[ToolOutcome]:
    find = "SELECT outcome FROM calls WHERE run_id = ? AND step = ? AND outcome IS NOT NULL ORDER BY place"
    left = MOST_TOLD
    for body in run_sql(tx, find, finish.run_id, step).scalars():
        left -= len(body)
        if left >= 0:
            yield ToolOutcome.model_validate_json(body)


def _pause(tx: Tx, finish: Finish) -> Iterator[Paused | Recorded]:
    """The end of the leg that the run believes to be in, and what was decided then."""
    find = (
        "SELECT body FROM segments WHERE run_id = ? AND NOT superseded AND (source = ? OR source LIKE ?)"
        " ORDER BY first_seq"
    )
    sources = (f"pause:{finish.leg}", f"verdicts:{finish.leg}:%")
    for body in run_sql(tx, find, finish.run_id, *sources).scalars():
        events = [EVENT.validate_json(line) for line in body.splitlines()]
        stamp = Stamp(first=events[0].seq, at=events[0].at)
        if isinstance(events[0], ApprovalRequested):
            yield Paused(pause=_asked(finish, events[0], events), stamp=stamp)
        else:
            yield Recorded(verdicts=_decided(tx, finish, events), stamp=stamp)


def _asked(finish: Finish, asked: ApprovalRequested, events: Sequence[Event]) -> Pause:
    (waiting,) = (event for event in events if isinstance(event, RunWaiting))
    return Pause(
        run_id=finish.run_id,
        step=asked.step or 0,
        leg=finish.leg,
        calls=asked.calls,
        expires_at=asked.expires_at,
        usage=waiting.usage,
    )


def _decided(tx: Tx, finish: Finish, events: Sequence[Event]) -> Verdicts:
    find = "SELECT decision FROM approvals WHERE run_id = ? AND call_id = ?"
    decided = [event.call_id for event in events if isinstance(event, ApprovalDecided)]
    bodies = [run_sql(tx, find, finish.run_id, call_id).scalar_one() for call_id in decided]
    return Verdicts(
        run_id=finish.run_id,
        step=events[0].step or 0,
        leg=finish.leg,
        decisions=tuple(Decision.model_validate_json(body) for body in bodies),
        expired=tuple(event.call_id for event in events if isinstance(event, ApprovalExpired)),
        resume=events[-1].type == "run.resumed",
    )
