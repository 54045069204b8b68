"""The messages of runs, and the conversation of a thread."""

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import insert_into, run_sql
from longrun.workflows.contract.messages import Message


def insert_message(tx: Tx, run_id: str, at: tuple[int, int], message: Message) -> None:
    """Insert a message at (step, position)."""
    step, position = at
    body = message.model_dump_json(exclude_none=True)
    insert_into(tx, "messages", run_id=run_id, step=step, position=position, role=message.role, body=body)


def last_answer(tx: Tx, run_id: str) -> str:
    """The text of a run's last message of the model; empty if there is none."""
    find = "SELECT body FROM messages WHERE run_id = ? AND role = 'assistant' ORDER BY step DESC LIMIT 1"
    body: str | None = run_sql(tx, find, run_id).scalar()
    return Message.model_validate_json(body).text if body else ""


_CONVERSATION = """
    SELECT m.body, m.run_id, m.step, m.role FROM runs AS this
    JOIN runs AS r ON r.thread_id = this.thread_id AND r.position <= this.position
    JOIN messages AS m ON m.run_id = r.id
    WHERE this.id = ? ORDER BY r.position, m.step, m.position
"""


class Messages:
    """Reads conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversation(self, run_id: str, before_step: int) -> list[Message]:
        """The messages of a run's thread up to a step: all of the earlier runs, of this one up to the step.

        Raises:
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> list[str]:
            rows = run_sql(tx, _CONVERSATION, run_id).all()
            return [
                row.body
                for row in rows
                if row.run_id != run_id or row.step < before_step or (row.step == before_step and row.role == "user")
            ]

        return [Message.model_validate_json(body) for body in await self._database.read(job)]
