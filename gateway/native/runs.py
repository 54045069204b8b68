"""Runs: start, list, look at, cancel, say something to."""

import hashlib
import json
from uuid import UUID

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.incoming import check, read_json, read_query, run_of
from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import wrong
from longrun.gateway.http.rendering import as_json
from longrun.gateway.native.agents import checked_tools
from longrun.gateway.native.schemas import CancelBody, CreateRun, SayBody
from longrun.gateway.native.stream import follow, whole_log
from longrun.gateway.native.views import run_details, run_view
from longrun.gateway.services import Services, services_of
from longrun.runtime.clock import now
from longrun.runtime.ids import new_id
from longrun.store.db.tables import ApprovalRow, RunRow
from longrun.store.runs import Acceptance, Accepted, RunFilter
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.runs import Cancel, RunOrder, RunStatus, Said
from longrun.workflows.contract.views import Delivered, RunDetails, RunPage, RunView

_MOST_KEY = 255


class CreateQuery(BaseModel):
    """``stream`` answers with the run's stream."""

    stream: bool = False


class RunsQuery(BaseModel):
    """Which runs, newest first; ``before`` is the ``next`` of the page before."""

    status: RunStatus | None = None
    agent: str | None = None
    thread: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    before: UUID | None = None


async def create_run(request: Request) -> Response:
    """Accept a run; it starts at once, or when Temporal is back, or when its thread is free."""
    query = read_query(request, CreateQuery)
    given = await read_json(request)
    body = check(CreateRun, given)
    services = services_of(request)
    acceptance = Acceptance(
        order=await _order(services, body), key=_key(request), digest=_digest(given), on_busy=body.on_busy
    )
    accepted = await services.service.start(acceptance)
    headers = {"Location": f"/api/runs/{accepted.run_id}", "X-Run-Id": accepted.run_id}
    status = 201 if accepted.created else 200
    row = await _row(services, accepted)
    if query.stream:
        return await follow(services, whole_log(row), status, headers)
    return as_json(await details(services, row), status, headers)


async def _order(services: Services, body: CreateRun) -> RunOrder:
    run_id = new_id()
    return RunOrder(
        run_id=run_id,
        thread_id=body.thread_id or new_id(),
        agent=await _agent(services, body),
        input=body.message(new_id()),
        limits=body.limits,
        metadata=body.metadata,
        accepted_at=now(),
    )


async def _agent(services: Services, body: CreateRun) -> AgentSpec:
    if not isinstance(body.agent, str):
        return await checked_tools(services, body.agent.spec(services.settings.model), "agent.tools")
    row = await services.agents.find(body.agent)
    if row is None:
        raise wrong("agent", f"there is no agent {body.agent!r}")
    return AgentSpec.model_validate_json(row.spec)


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _MOST_KEY and key.isascii() and key.isprintable()):
        raise wrong("Idempotency-Key", f"must be 1 to {_MOST_KEY} printable ASCII characters")
    return key


def _digest(given: object) -> str:
    return hashlib.sha256(json.dumps(given, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def _row(services: Services, accepted: Accepted) -> RunRow:
    row = await services.runs.get(accepted.run_id)
    if row is None:
        raise LookupError(f"run {accepted.run_id} was accepted and is not there")
    return row


async def view(services: Services, row: RunRow) -> RunView:
    """A run with the calls that wait."""
    return run_view(row, await _pending(services, row))


async def details(services: Services, row: RunRow) -> RunDetails:
    """A run with the calls that wait and its attempts, of which one that is queued has none yet."""
    attempts = [] if row.status == "queued" else await services.attempts.of_run(row.id)
    return run_details(row, await _pending(services, row), attempts)


async def _pending(services: Services, row: RunRow) -> list[ApprovalRow]:
    return await services.approvals.find(run_id=row.id, status="pending") if row.status == "waiting" else []


async def list_runs(request: Request) -> Response:
    """List runs, newest first."""
    query = read_query(request, RunsQuery)
    services = services_of(request)
    before = str(query.before) if query.before else None
    which = RunFilter(query.status, query.agent, query.thread, before, query.limit)
    rows = await services.runs.find(which)
    following = rows[-1].id if len(rows) == query.limit else None
    views = [await view(services, row) for row in rows]
    return as_json(RunPage(runs=tuple(views), next=following))


async def get_run(request: Request) -> Response:
    """One run as it stands, with its attempts and what they cost."""
    return as_json(await details(services_of(request), await run_of(request)))


async def cancel_run(request: Request) -> Response:
    """End a run: what it does now is interrupted. A run that is over stays as it is."""
    body = check(CancelBody, await read_json(request))
    row = await run_of(request)
    cancel = Cancel(reason=body.reason, by=body.by)
    delivery = await services_of(request).service.cancel(row, cancel)
    return as_json(Delivered(run_id=row.id, delivery=delivery), 202 if delivery == "accepted" else 200)


async def say_to_run(request: Request) -> Response:
    """Add a user's words to a run that is under way: the model sees them at its next step."""
    body = check(SayBody, await read_json(request))
    row = await run_of(request)
    said = Said(text=body.text, by=body.by, id=body.id or new_id())
    delivery = await services_of(request).service.say(row, said)
    if delivery == "over":
        raise wrong("run_id", f"run {row.id} has ended", 409)
    return as_json(Delivered(run_id=row.id, delivery=delivery), 202 if delivery == "accepted" else 200)


OPERATIONS = (
    Operation(
        "POST",
        "/api/runs",
        create_run,
        "Start a run",
        (
            Answer(201, "The run, or with `stream=true` its stream", RunDetails, events=True),
            Answer(200, "The run that was started earlier with the same Idempotency-Key", RunDetails, events=True),
        ),
        query=CreateQuery,
        body=CreateRun,
        headers={"Idempotency-Key": "The same key with the same body gives the same run."},
        errors=(409,),
    ),
    Operation("GET", "/api/runs", list_runs, "List runs", (Answer(200, "A page of runs", RunPage),), query=RunsQuery),
    Operation("GET", "/api/runs/{run_id}", get_run, "Get a run", (Answer(200, "The run", RunDetails),), errors=(404,)),
    Operation(
        "POST",
        "/api/runs/{run_id}/cancel",
        cancel_run,
        "Cancel a run",
        (
            Answer(200, "The run knows, or is over", Delivered),
            Answer(202, "It is kept until the run can be told", Delivered),
        ),
        body=CancelBody,
        body_required=False,
        errors=(404,),
    ),
    Operation(
        "POST",
        "/api/runs/{run_id}/messages",
        say_to_run,
        "Say something to a run",
        (
            Answer(200, "The run knows", Delivered),
            Answer(202, "It is kept until the run can be told", Delivered),
        ),
        body=SayBody,
        errors=(404, 409),
    ),
)
