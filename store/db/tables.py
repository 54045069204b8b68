"""The tables. Documents (orders, replies, results) are kept as the JSON of their contract shapes."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Index, LargeBinary, String, Text, TypeDecorator, UniqueConstraint, text
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel
from typing_extensions import override


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC; SQLite forgets zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BINARY_TEXT = String().with_variant(String(collation="C"), "postgresql")
"""Text that is compared byte by byte on every database, so that a prefix is a range."""

_IS_OPEN, _IS_STOPPING = text("outcome IS NULL"), text("stopping")


class Row(SQLModel):
    """The base of the tables: ``RunRow`` is kept in ``runs``."""

    @declared_attr.directive
    @override
    def __tablename__(cls) -> str:  # noqa: N805 # pyright: ignore[reportIncompatibleVariableOverride] # SQLAlchemy's way
        return f"{cls.__name__.removesuffix('Row').lower()}s"


class AgentRow(Row, table=True):
    """An agent that runs can be started with; runs keep a snapshot of their own."""

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    spec: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)


class ToolRow(Row, table=True):
    """A tool as the worker that started last offers it."""

    name: str = Field(primary_key=True)
    spec: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcTime)


class ThreadRow(Row, table=True):
    """A conversation and a serial queue: ``active_run`` is the one run that may work on it."""

    id: str = Field(primary_key=True)
    active_run: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)


class RunRow(Row, table=True):
    """A run's status. ``position`` orders the runs of a thread; ``dispatched`` is set when the workflow was started.

    ``executions`` are the Temporal run ids of its chain from which an activity came, oldest first; ``rewound`` is set
    when a reset has taken back a part of its log, ``stopping`` while calls of a run that ends are under way.
    """

    __table_args__ = (
        Index("ix_runs_thread", "thread_id", "position"),
        Index("ix_runs_status", "status", "id"),
        Index("ix_runs_stopping", "id", sqlite_where=_IS_STOPPING, postgresql_where=_IS_STOPPING),
    )

    id: str = Field(primary_key=True)
    thread_id: str
    position: int
    agent: str = Field(index=True)
    status: str
    stop_reason: str | None = None
    dispatched: bool = False
    step: int = 0
    turn: int = 1
    usage: str = Field(default="{}", sa_type=Text)
    order: str = Field(sa_type=Text)
    output: str | None = Field(default=None, sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)
    executions: str | None = Field(default=None, sa_type=Text)
    rewound: bool = False
    stopping: bool = False
    idempotency_key: str | None = Field(default=None, unique=True)
    idempotency_hash: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)


class TurnRow(Row, table=True):
    """A stretch of a run between pauses."""

    run_id: str = Field(primary_key=True)
    turn: int = Field(primary_key=True)
    turn_id: str = Field(unique=True)
    first_seq: int
    last_seq: int | None = None
    stop_reason: str | None = None


class HeadRow(Row, table=True):
    """The last seq that a run has given; its lock orders all who write to the run."""

    run_id: str = Field(primary_key=True)
    last_seq: int = 0


class SegmentRow(Row, table=True):
    """Events ``first_seq..last_seq`` of a run as JSON lines, written by one append whose key is ``source``.

    ``superseded`` segments no longer stand. The body of one is empty where its text is lost for good.
    """

    __table_args__ = (UniqueConstraint("run_id", "source"),)

    run_id: str = Field(primary_key=True)
    first_seq: int = Field(primary_key=True)
    last_seq: int
    source: str = Field(sa_type=BINARY_TEXT)
    step: int | None = None
    attempt: int | None = None
    superseded: bool = False
    body: bytes = Field(sa_type=LargeBinary)


class ResultRow(Row, table=True):
    """The journal: each result of a run's activities, as JSON, under the ``source`` of the append that it made.

    The rows of the other tables follow from the results; a message is kept in ``messages`` alone.
    """

    run_id: str = Field(primary_key=True)
    source: str = Field(sa_type=BINARY_TEXT, primary_key=True)
    first_seq: int
    kind: str
    body: str = Field(sa_type=Text)


class StepRow(Row, table=True):
    """The fence of a step: attempt ``attempt`` may write, until the step is ``closed`` by its message or the run's end.

    Its deltas are written in the name of attempt ``author``, which sent the request; a later one may read its answer.
    ``usage`` is that of its message.
    """

    run_id: str = Field(primary_key=True)
    step: int = Field(primary_key=True)
    attempt: int = 1
    author: int = 1
    closed: bool = False
    usage: str | None = Field(default=None, sa_type=Text)


class CallRow(Row, table=True):
    """The ledger of tool calls: one row per call, from the message that made it to its one result.

    The fence: attempt ``attempt`` may write until the call is ``closed`` by its result, and none before attempt
    ``question``, on which a person must decide.
    """

    run_id: str = Field(primary_key=True)
    call_id: str = Field(primary_key=True)
    step: int
    position: int
    name: str
    arguments: str = Field(sa_type=Text)
    attempt: int = 0
    question: int | None = None
    closed: bool = False


class AttemptRow(Row, table=True):
    """An attempt of a model call or, where ``call_id`` is not empty, of a tool call.

    ``provider_state`` is what the provider's adapter needs to go on with the answer; without it nobody can. ``token``
    names the attempt at Temporal.
    """

    __table_args__ = (Index("ix_attempts_open", "worker", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),)

    run_id: str = Field(primary_key=True)
    step: int = Field(primary_key=True)
    call_id: str = Field(default="", primary_key=True)
    attempt: int = Field(primary_key=True)
    worker: str
    started_at: datetime = Field(sa_type=UtcTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)
    outcome: str | None = None
    provider: str | None = None
    response_id: str | None = None
    provider_cursor: int | None = None
    provider_state: str | None = Field(default=None, sa_type=Text)
    tokens_in: int | None = None
    tokens_out: int | None = None
    estimated: bool = False
    recovered: str = "none"
    token: bytes | None = Field(default=None, sa_type=LargeBinary)


class LeaseRow(Row, table=True):
    """A worker that shares the database with other machines: it renews ``beat`` while it lives."""

    worker: str = Field(primary_key=True)
    beat: int = 0


class BlobRow(Row, table=True):
    """Something large, under the SHA-256 of its bytes."""

    id: str = Field(primary_key=True)
    size: int
    body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcTime)


class BindingRow(Row, table=True):
    """The one Temporal that has the runs of this store; ``id`` is 1."""

    __tablename__ = "bindings"  # pyright: ignore[reportAssignmentType] # SQLAlchemy's way

    id: int = Field(primary_key=True)
    temporal: str
    bound_at: datetime = Field(sa_type=UtcTime)


class MessageRow(Row, table=True):
    """A message of a run. Within a step: what was said before it, then the answer, then the results of its calls."""

    run_id: str = Field(primary_key=True)
    step: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    role: str
    body: str = Field(sa_type=Text)


class ApprovalRow(Row, table=True):
    """A call that waits, or waited, for a person. ``interrupted`` is the call's own id where ``call_id`` is not."""

    __table_args__ = (
        Index("ix_approvals_status", "status", "requested_at"),
        Index("ix_approvals_call_id", "call_id"),
    )

    run_id: str = Field(primary_key=True)
    call_id: str = Field(primary_key=True)
    interrupted: str | None = None
    step: int
    turn: int
    name: str
    arguments: str = Field(sa_type=Text)
    reason: str = ""
    status: str = "pending"
    decision: str | None = Field(default=None, sa_type=Text)
    requested_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    decided_at: datetime | None = Field(default=None, sa_type=UtcTime)


class OutboxRow(Row, table=True):
    """A signal that was accepted and must reach its workflow. ``key`` makes two of the same meaning one.

    ``received``: it is a user's message, and a step of the run has it.
    """

    __tablename__ = "outbox"  # pyright: ignore[reportAssignmentType] # SQLAlchemy's way

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(index=True)
    key: str = Field(unique=True)
    kind: str
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    delivered_at: datetime | None = Field(default=None, sa_type=UtcTime, index=True)
    received: bool = False
