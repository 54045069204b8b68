"""A run, as the services give it to the doors."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from longrun.store.db.tables import RunRow
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import FINAL, RunOrder, RunStatus, StopReason


@dataclass(frozen=True)
class Run:
    """The order of a run, and its state. ``rewound``: a reset has taken back events of its log."""

    order: RunOrder
    status: RunStatus = "queued"
    stop_reason: StopReason | None = None
    step: int = 0
    turn: int = 1
    usage: Usage = field(default_factory=Usage)
    output: str | None = None
    error: ErrorInfo | None = None
    rewound: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def id(self) -> str:
        """The run's id, which is its workflow's too."""
        return self.order.run_id

    @property
    def over(self) -> bool:
        """Whether the run has ended, so that its log is complete."""
        return self.status in FINAL

    @classmethod
    def of(cls, row: RunRow) -> "Run":
        """The run of a row."""
        return cls(
            order=RunOrder.model_validate_json(row.order),
            status=cast("RunStatus", row.status),
            stop_reason=cast("StopReason | None", row.stop_reason),
            step=row.step,
            turn=row.turn,
            usage=Usage.model_validate_json(row.usage),
            output=row.output,
            error=ErrorInfo.model_validate_json(row.error) if row.error else None,
            rewound=row.rewound,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )
