"""What the store has of a run that ends, and what the run itself may never have heard of.

A worker writes first and tells Temporal then. If it dies in between, the next one finds what was written and tells it;
but a run that was cancelled meanwhile does not ask again. So its end tells, and history has all that the log has.
"""

from collections.abc import Iterator

from longrun.store.approvals import written_verdicts
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.step_attempts import FIND_STEP, load_step
from longrun.workflows.contract.events import EVENT, ApprovalRequested, RunWaiting
from longrun.workflows.contract.steps import Finish, ModelReply, Pause, Paused, Recorded, Stamp, ToolOutcome

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
    """The end of the turn that the run believes to be in, and what was decided then."""
    find = "SELECT body FROM segments WHERE run_id = ? AND source = ?"
    body: bytes | None = run_sql(tx, find, finish.run_id, f"pause:{finish.turn}").scalar()
    if body is None:
        return
    asked, *_, waiting = (EVENT.validate_json(line) for line in bytes(body).splitlines())
    if isinstance(asked, ApprovalRequested) and isinstance(waiting, RunWaiting):
        pause = Pause(
            run_id=finish.run_id,
            step=asked.step or 0,
            turn=finish.turn,
            calls=asked.calls,
            expires_at=asked.expires_at,
            usage=waiting.usage,
        )
        yield Paused(pause=pause, stamp=Stamp(first=asked.seq, at=asked.at))
    yield from written_verdicts(tx, finish.run_id, finish.turn)
