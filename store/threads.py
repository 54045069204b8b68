"""Threads: the run that holds a conversation, and the next one in its queue."""

from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.workflows.contract.runs import RunOrder


def take_thread(tx: Tx, order: RunOrder) -> str:
    """Take the thread if it is free; the run that has it now. Nobody else joins the thread before the commit."""
    make = "INSERT INTO threads (id, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
    run_sql(tx, make, order.thread_id, order.accepted_at)
    take = "UPDATE threads SET active_run = COALESCE(active_run, ?) WHERE id = ? RETURNING active_run"
    active: str = run_sql(tx, take, order.run_id, order.thread_id).scalar_one()
    return active


def pass_thread_on(tx: Tx, thread_id: str, run_id: str) -> RunOrder | None:
    """Give the thread to its next run if this one had it; the order of that run, if nobody has started it."""
    if tx.dialect.name != "sqlite":  # a run that is being accepted must be seen here, or must see the thread free
        run_sql(tx, "SELECT id FROM threads WHERE id = ? FOR UPDATE", thread_id)
    queued = "WHERE thread_id = ? AND status = 'queued' ORDER BY position LIMIT 1"
    find = f'SELECT id, "order", dispatched FROM runs {queued}'  # noqa: S608 - ours
    following = run_sql(tx, find, thread_id).first()
    give = "UPDATE threads SET active_run = ? WHERE id = ? AND active_run = ?"
    passed = run_sql(tx, give, following.id if following else None, thread_id, run_id).rowcount
    if not passed or following is None or following.dispatched:
        return None
    return RunOrder.model_validate_json(following.order)


def next_run(tx: Tx, thread_id: str) -> RunOrder | None:
    """The run that has the thread, if nobody has started it."""
    find = (
        'SELECT r."order" FROM threads AS t JOIN runs AS r ON r.id = t.active_run'
        " WHERE t.id = ? AND r.status = 'queued' AND NOT r.dispatched"
    )
    order: str | None = run_sql(tx, find, thread_id).scalar()
    return RunOrder.model_validate_json(order) if order else None
