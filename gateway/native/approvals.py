"""Approvals: the calls that wait for a person, and the person's decision."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from longrun.gateway.http.caller import Caller
from longrun.gateway.http.errors import wrong
from longrun.gateway.http.operations import Answer, Operations, Reply
from longrun.gateway.native.schemas import CallId, DecideBody, DecideCallBody, Id
from longrun.gateway.service.decisions import ApprovalFilter, Requested
from longrun.gateway.services import Services
from longrun.runtime.ids import new_id
from longrun.workflows.contract.runs import Decision
from longrun.workflows.contract.views import ApprovalChoice, ApprovalPage, ApprovalView, Delivered

operations = Operations("approvals")

_NO_CURSOR = "is not the `next` of a page"
_POSITION = TypeAdapter(tuple[AwareDatetime, str, str])


class ApprovalsQuery(BaseModel):
    """Which approvals, newest first; ``before`` is the ``next`` of the page before."""

    status: ApprovalChoice = "pending"
    run_id: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)
    before: str | None = Field(default=None, max_length=1000)


@operations.get("/api/approvals", Answer(200, "A page of approvals"))
async def list_approvals(services: Services, query: ApprovalsQuery) -> ApprovalPage:
    """List approvals.

    List the calls that wait for a person, newest first. With ``status`` those that were decided, expired or cancelled;
    ``any`` for all.
    """
    status = None if query.status == "any" else query.status
    before = _position(query.before) if query.before else None
    found = await services.decisions.page(ApprovalFilter(status, query.run_id, before, query.limit))
    return ApprovalPage(approvals=found, next=_cursor(found[-1]) if len(found) == query.limit else None)


def _cursor(last: ApprovalView) -> str:
    """The position of an approval, as a caller gives it back."""
    position = [last.requested_at.isoformat(), last.run_id, last.call_id]
    return urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _position(cursor: str) -> Requested:
    try:
        position = _POSITION.validate_json(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise wrong("before", _NO_CURSOR) from error
    if "\0" in "".join(position[1:]):  # PostgreSQL can neither keep nor look for it
        raise wrong("before", _NO_CURSOR)
    return Requested(*position)


_DECIDED = (
    Answer(200, "The call, as decided", ApprovalView),
    Answer(202, "The decision is kept: the run does not wait for the call yet, or is unavailable now", Delivered),
)


@operations.post("/api/approvals", *_DECIDED, errors=(404, 409))
async def decide_call(services: Services, body: DecideCallBody, caller: Caller) -> ApprovalView | Reply[Delivered]:
    """Decide a call that the body names.

    The same as ``POST /api/approvals/{call_id}``, for ids that do not travel well in a path: some proxies and clients
    decode ``%2F`` there, or resolve ``..``.
    """
    return await _decide(services, body.call_id, body, caller)


@operations.post("/api/approvals/{call_id}", *_DECIDED, errors=(404, 409))
async def decide(
    services: Services, call_id: CallId, body: DecideBody, caller: Caller
) -> ApprovalView | Reply[Delivered]:
    """Decide a call.

    Decide a call. The first decision wins; a later one is refused with the first.

    With ``run_id`` a decision may come before the run asks for it: it is kept until then.
    """
    return await _decide(services, call_id, body, caller)


async def _decide(
    services: Services, call_id: str, body: DecideBody, caller: Caller
) -> ApprovalView | Reply[Delivered]:
    for field, needed in (("args", body.decision == "edit"), ("answer", body.decision == "answer")):
        if needed and getattr(body, field) is None:
            raise wrong(field, f"is needed for the decision {body.decision!r}")
    named = {"call_id": call_id, "id": body.id or new_id(), "by": caller.signs(body.by)}
    given = {**body.model_dump(exclude={"run_id"}), **named}
    run_id = await _run_of(services, call_id, given["id"], body.run_id)
    approval = await services.decisions.decide(run_id, Decision.model_validate(given))
    return approval or Reply(Delivered(run_id=run_id, delivery="accepted"), 202)


async def _run_of(services: Services, call_id: str, decision_id: str, run_id: str | None) -> str:
    """The run whose call is decided."""
    if run_id is None:
        return await services.decisions.run_waiting_for(call_id, decision_id)
    run = await services.reader.get(run_id)
    await services.decisions.refuse_if_over(run, call_id, decision_id)
    return run.id
