"""Turns: the stretches of a run between its pauses."""

from longrun.store.db.database import Tx
from longrun.store.db.sql import insert_into, run_sql


def begin_turn(tx: Tx, run_id: str, turn: int, turn_id: str, first_seq: int) -> None:
    """Open a turn."""
    insert_into(tx, "turns", run_id=run_id, turn=turn, turn_id=turn_id, first_seq=first_seq)


def end_turn(tx: Tx, run_id: str, turn: int, last_seq: int, reason: str) -> None:
    """Close a turn."""
    end = "UPDATE turns SET last_seq = ?, stop_reason = ? WHERE run_id = ? AND turn = ?"
    run_sql(tx, end, last_seq, reason, run_id, turn)


def turn_id_of(tx: Tx, run_id: str, turn: int) -> str:
    """The public id of a turn."""
    return run_sql(tx, "SELECT turn_id FROM turns WHERE run_id = ? AND turn = ?", run_id, turn).scalar_one()
