"""The messages of runs, and the conversation of a thread."""

from sqlalchemy import select
from sqlmodel import col

from store.database import Database, Tx
from store.rows import insert_into
from store.tables import MessageRow, RunRow
from workflows.contract.messages import Message


def answer_place(said: int) -> int:
    """Where a step's answer stands among the step's messages: after what was said before it."""
    return said


def insert_message(tx: Tx, run_id: str, at: tuple[int, int], message: Message) -> None:
    """Keep a message at (step, place)."""
    step, place = at
    body = message.model_dump_json(exclude_none=True)
    insert_into(tx, "messages", run_id=run_id, step=step, place=place, role=message.role, body=body)


class Messages:
    """Reads conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversation(self, run_id: str, before_step: int) -> list[Message]:
        """What a run's thread has said up to a step: the earlier runs whole, this one to the words before the step."""
        async with self._database.session() as session:
            query = select(col(RunRow.thread_id), col(RunRow.place)).where(col(RunRow.id) == run_id)
            this = (await session.execute(query)).first()
            if this is None:
                return []
            rows = await session.execute(
                select(col(MessageRow.body), col(MessageRow.run_id), col(MessageRow.step), col(MessageRow.role))
                .join(RunRow, col(RunRow.id) == col(MessageRow.run_id))
                .where(col(RunRow.thread_id) == this[0], col(RunRow.place) <= this[1])
                .order_by(col(RunRow.place), col(MessageRow.step), col(MessageRow.place))
            )
            return [
                Message.model_validate_json(body)
                for body, owner, step, role in rows
                if owner != run_id or step < before_step or (step == before_step and role == "user")
            ]

    async def of_run(self, run_id: str) -> list[Message]:
        """The messages of one run, its input first."""
        async with self._database.session() as session:
            rows = await session.scalars(
                select(col(MessageRow.body))
                .where(col(MessageRow.run_id) == run_id)
                .order_by(col(MessageRow.step), col(MessageRow.place))
            )
            return [Message.model_validate_json(body) for body in rows]
