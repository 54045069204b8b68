"""Approvals: the calls that wait for a person, and the person's word."""

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.incoming import check, find_run, read_json, read_query, uuid_of
from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import wrong
from longrun.gateway.http.rendering import as_json
from longrun.gateway.native.schemas import DecideBody
from longrun.gateway.native.views import approval_view
from longrun.gateway.service.runs import AlreadyDecidedError, RunOverError
from longrun.gateway.services import services_of
from longrun.runtime.ids import new_id
from longrun.store.db.tables import ApprovalRow
from longrun.workflows.contract.runs import FINAL, Decision
from longrun.workflows.contract.views import ApprovalList, ApprovalStatus, ApprovalView, Delivered

_LONGEST_CALL_ID = 256 + len("~9999")


class ApprovalsQuery(BaseModel):
    """Which approvals, oldest first."""

    status: ApprovalStatus | None = None
    run_id: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


async def list_approvals(request: Request) -> Response:
    """List the calls that wait, or waited, for a person."""
    query = read_query(request, ApprovalsQuery)
    run_id = uuid_of(query.run_id, "run_id") if query.run_id else None
    rows = await services_of(request).approvals.find(status=query.status, run_id=run_id, most=query.limit)
    return as_json(ApprovalList(approvals=tuple(map(approval_view, rows))))


async def decide(request: Request) -> Response:
    """Decide a call. The first decision wins; a later one is told so.

    With ``run_id`` a decision may come before the run asks for it: it is kept until then.
    """
    body = check(DecideBody, await read_json(request))
    call_id: str = request.path_params["call_id"]
    if len(call_id) > _LONGEST_CALL_ID:
        raise wrong("call_id", f"is longer than {_LONGEST_CALL_ID} characters")
    for field, needed in (("args", body.decision == "edit"), ("answer", body.decision == "answer")):
        if needed and getattr(body, field) is None:
            raise wrong(field, f"is needed for the decision {body.decision!r}")
    run_id = await _run_that_asks(request, call_id, body.run_id)
    said = {**body.model_dump(exclude={"run_id"}), "call_id": call_id, "id": body.id or new_id()}
    decision = Decision.model_validate(said)
    row = await services_of(request).service.decide(run_id, decision)
    if row is None:
        return as_json(Delivered(run_id=run_id, delivery="accepted"), 202)
    return as_json(approval_view(row))


async def _run_that_asks(request: Request, call_id: str, run_id: str | None) -> str:
    approvals = services_of(request).approvals
    if run_id is not None:
        row = await find_run(request, uuid_of(run_id, "run_id"))
        if row.status in FINAL:
            raise _too_late(await approvals.find(run_id=row.id, call_id=call_id), row.id)
        return row.id
    pending = await approvals.find(call_id=call_id, status="pending", most=10)
    if len(pending) > 1:
        runs = ", ".join(each.run_id for each in pending)
        raise wrong("run_id", f"is needed: the call {call_id} waits in the runs {runs}")
    if pending:
        return pending[0].run_id
    if decided := await approvals.find(call_id=call_id):
        raise _too_late(decided[-1:], decided[-1].run_id)
    raise wrong("call_id", f"no call {call_id} waits; name its run_id to decide early", 404)


def _too_late(found: list[ApprovalRow], run_id: str) -> Exception:
    if not found:
        return RunOverError(f"run {run_id} has ended")
    body = found[0].decision
    return AlreadyDecidedError(Decision.model_validate_json(body) if body else None, found[0].status)


OPERATIONS = (
    Operation(
        "GET",
        "/api/approvals",
        list_approvals,
        "List approvals",
        (Answer(200, "Approvals", ApprovalList),),
        query=ApprovalsQuery,
    ),
    Operation(
        "POST",
        "/api/approvals/{call_id}",
        decide,
        "Decide a call",
        (
            Answer(200, "The call, as decided", ApprovalView),
            Answer(202, "The decision is kept: the run has not asked yet, or cannot be told now", Delivered),
        ),
        body=DecideBody,
        errors=(404, 409),
    ),
)
