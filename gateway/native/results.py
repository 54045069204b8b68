"""The results of tool calls, whole."""

from pydantic import BaseModel
from starlette.responses import Response

from longrun.gateway.http.errors import wrong
from longrun.gateway.http.operations import Answer, Operations
from longrun.gateway.native.schemas import CallId, Id
from longrun.gateway.services import Services

operations = Operations("runs")


class ResultQuery(BaseModel):
    """Which call's."""

    call_id: CallId


@operations.get("/api/runs/{run_id}/results", Answer(200, "The whole text", text=True), errors=(404, 410))
async def find_result(services: Services, run_id: Id, query: ResultQuery) -> Response:
    """Get the result of a call that the query names.

    The same as ``GET /api/runs/{run_id}/results/{call_id}``, for ids that do not travel well in a path.
    """
    return await get_result(services, run_id, query.call_id)


@operations.get("/api/runs/{run_id}/results/{call_id}", Answer(200, "The whole text", text=True), errors=(404, 410))
async def get_result(services: Services, run_id: Id, call_id: CallId) -> Response:
    """Get a result.

    All of a call's result, of which the log and the model have only the beginning if it is long.
    """
    result = await services.reader.result(await services.reader.get(run_id), call_id)
    if result is None:
        raise wrong("call_id", f"the store has lost all of the result of {call_id} but its beginning", 410)
    return Response(result, media_type="text/plain; charset=utf-8")
