"""One run in full: as it stands, and what each attempt of it has cost."""

from collections.abc import Sequence

from longrun.gateway.native.schemas import RunView
from longrun.store.db.tables import ApprovalRow, RunRow
from longrun.workflows.billing import bill
from longrun.workflows.contract.attempts import AttemptEntry


class RunDetails(RunView):
    """A run as it stands, and its attempts as they began.

    ``usage`` is what stands; ``tokens_billed`` is what all attempts have cost, in and out together, as far as it is
    known, and ``tokens_rebilled`` the part of it that went into text that does not stand.
    """

    attempts: list[AttemptEntry]
    tokens_billed: int
    tokens_rebilled: int

    @classmethod
    def with_attempts(cls, row: RunRow, pending: list[ApprovalRow], attempts: Sequence[AttemptEntry]) -> "RunDetails":
        """The view of a row, of the calls that wait, and of the attempts."""
        cost = bill(attempts)
        more = {"attempts": attempts, "tokens_billed": cost.billed, "tokens_rebilled": cost.rebilled}
        return cls.model_validate({**dict(RunView.of(row, pending)), **more})
