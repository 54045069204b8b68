"""The results of tool calls, whole."""

from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.incoming import run_of
from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import wrong
from longrun.gateway.services import services_of


async def get_result(request: Request) -> Response:
    """All of a call's result, of which the log and the model have only the beginning if it is long."""
    row = await run_of(request)
    call_id: str = request.path_params["call_id"]
    result = await services_of(request).blobs.result(row.id, call_id)
    if result is None:
        raise wrong("call_id", f"no call {call_id} of run {row.id} has a result", 404)
    if result.body is None:
        raise wrong("call_id", f"the store has lost all of the result of {call_id} but its beginning", 410)
    return Response(result.body, media_type="text/plain; charset=utf-8")


OPERATIONS = (
    Operation(
        "GET",
        "/api/runs/{run_id}/results/{call_id}",
        get_result,
        "Get a result",
        (Answer(200, "The whole text", text=True),),
        errors=(404, 410),
    ),
)
