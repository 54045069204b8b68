"""Runs: start, list, look at, cancel, say something to."""

import hashlib
import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from longrun.gateway.http.caller import Caller
from longrun.gateway.http.errors import wrong
from longrun.gateway.http.inputs import Header
from longrun.gateway.http.operations import Answer, Operations, Reply
from longrun.gateway.native.agents import fields_named, spec_of
from longrun.gateway.native.schemas import CancelBody, CreateRun, Id, SayBody
from longrun.gateway.native.stream import EVENTS, event_frame, start_of
from longrun.gateway.native.views import run_details, run_view
from longrun.gateway.service.delivery import Fate
from longrun.gateway.service.errors import UnknownAgentError
from longrun.gateway.service.run_reader import RunFilter
from longrun.gateway.service.runs import Acceptance
from longrun.gateway.services import Services
from longrun.runtime.clock import now
from longrun.runtime.ids import new_id
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.runs import Cancel, RunOrder, RunStatus, Said
from longrun.workflows.contract.views import Delivered, RunDetails, RunPage

operations = Operations("runs")

_MOST_KEY = 255


def _key(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= _MOST_KEY and text.isascii() and text.isprintable()):
        raise ValueError(f"must be 1 to {_MOST_KEY} printable ASCII characters")
    return text


IdempotencyKey = Annotated[
    str | None,
    AfterValidator(_key),
    Header("Idempotency-Key", "The same key with the same body gives the same run."),
]


class CreateQuery(BaseModel):
    """``stream`` answers with the run's stream."""

    stream: bool = False


class RunsQuery(BaseModel):
    """Which runs, newest first; ``before`` is the ``next`` of the page before."""

    status: RunStatus | None = None
    agent: str | None = None
    thread: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    before: Id | None = None


@operations.post(
    "/api/runs",
    Answer(201, "The run, or with `stream=true` its stream", events=EVENTS),
    Answer(200, "The run that was started earlier with the same Idempotency-Key", events=EVENTS),
    errors=(409,),
)
async def create_run(
    services: Services, query: CreateQuery, body: CreateRun, key: IdempotencyKey
) -> Reply[RunDetails] | Response:
    """Start a run.

    Accept a run; it starts at once, or when Temporal is back, or when its thread is free.
    """
    order = await _order(services, body)
    started = await services.runs.start(Acceptance(order, key, _digest(body), body.on_busy))
    headers = {"Location": f"/api/runs/{started.run.id}", "X-Run-Id": started.run.id}
    status = 201 if started.created else 200
    if query.stream:
        return await services.logs.stream(start_of(started.run), event_frame, status, headers)
    return Reply(await run_details(services, started.run), status, headers)


async def _order(services: Services, body: CreateRun) -> RunOrder:
    return RunOrder(
        run_id=new_id(),
        thread_id=body.thread_id or new_id(),
        agent=await _agent(services, body),
        input=body.message(new_id()),
        limits=body.limits,
        metadata=body.metadata,
        accepted_at=now(),
    )


async def _agent(services: Services, body: CreateRun) -> AgentSpec:
    if not isinstance(body.agent, str):
        spec = body.agent.spec(services.settings.model)
        with fields_named("agent."):
            await services.agents.check(spec)
        return spec
    try:
        agent = await services.agents.get(body.agent)
    except UnknownAgentError as error:
        raise wrong("agent", str(error)) from error
    return spec_of(agent)


def _digest(body: CreateRun) -> str:
    given = body.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(given, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@operations.get("/api/runs", Answer(200, "A page of runs"))
async def list_runs(services: Services, query: RunsQuery) -> RunPage:
    """List runs.

    List runs, newest first.
    """
    which = RunFilter(query.status, query.agent, query.thread, query.before, query.limit)
    runs = await services.reader.find(which)
    following = runs[-1].id if len(runs) == query.limit else None
    return RunPage(runs=tuple([await run_view(services, run) for run in runs]), next=following)


@operations.get("/api/runs/{run_id}", Answer(200, "The run"), errors=(404,))
async def get_run(services: Services, run_id: Id) -> RunDetails:
    """Get a run.

    One run as it stands, with its attempts and what they cost.
    """
    return await run_details(services, await services.reader.get(run_id))


@operations.post(
    "/api/runs/{run_id}/cancel",
    Answer(200, "The run knows, or is over"),
    Answer(202, "It is kept until the run is available"),
    errors=(404,),
)
async def cancel_run(services: Services, run_id: Id, body: CancelBody, caller: Caller) -> Reply[Delivered]:
    """Cancel a run.

    End a run: what it does now is interrupted. A run that is over stays as it is.
    """
    run = await services.reader.get(run_id)
    return _delivered(run.id, await services.runs.cancel(run, Cancel(reason=body.reason, by=caller.signs(body.by))))


@operations.post(
    "/api/runs/{run_id}/messages",
    Answer(200, "The run knows"),
    Answer(202, "It is kept until the run is available"),
    errors=(404, 409, 429),
)
async def say_to_run(services: Services, run_id: Id, body: SayBody, caller: Caller) -> Reply[Delivered]:
    """Say something to a run.

    Send a user's message to a run that is under way: the model sees it at its next step.
    """
    run = await services.reader.get(run_id)
    fate = await services.runs.say(run, Said(text=body.text, by=caller.signs(body.by), id=body.id or new_id()))
    if fate == "over":
        raise wrong("run_id", f"run {run.id} has ended", 409)
    return _delivered(run.id, fate)


def _delivered(run_id: str, fate: Fate) -> Reply[Delivered]:
    return Reply(Delivered(run_id=run_id, delivery=fate), 202 if fate == "accepted" else 200)
