"""A model provider that counts: ``python -m tests.chaos.provider --port N`` (0: any free port).

It speaks OpenAI's Responses with background mode, and Chat Completions. What it says is decided by the conversation:
the last user message is a plan (``tests.chaos.generating.plan``). ``GET /_bill`` tells what was generated, whether or
not anybody read it, ``GET /_violations`` which requests broke a rule of ``tests.pairing``, and ``POST /_control``
takes a ``tests.chaos.generating.controls.Wish``.
"""

import argparse
import socket
import sys

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from tests.chaos.generating.calls import Calls, RefusedError, response_of
from tests.chaos.generating.controls import Wish
from tests.chaos.generating.job import Job
from tests.wire_answers import SSE

READY = "provider ready "
_BACKLOG = 512


class JobStream(StreamingResponse):
    """A job's events; a job in the foreground is given up when its reader leaves."""

    def __init__(self, job: Job, after: int = -1) -> None:
        super().__init__(job.read(after), headers={"content-type": SSE})
        self._job = job
        job.entry["streams"] += 1

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._job.entry["background"]:
                self._job.stop("abandoned")


class Doors:
    """The routes over what the provider remembers."""

    def __init__(self) -> None:
        self._calls = Calls()

    async def create_response(self, request: Request) -> Response:
        """``POST /v1/responses``."""
        body = await request.json()
        if isinstance(body.get("input"), str):
            body["input"] = [{"role": "user", "content": body["input"]}]
        return JobStream(self._calls.accept("responses", body))

    async def create_completion(self, request: Request) -> Response:
        """``POST /v1/chat/completions``."""
        return JobStream(self._calls.accept("chat", await request.json()))

    async def retrieve(self, request: Request) -> Response:
        """``GET /v1/responses/{id}``: the stream from a cursor on, or the object."""
        own_id = request.path_params["id"]
        if request.query_params.get("stream") == "true":
            return JobStream(self._calls.resume(own_id), int(request.query_params.get("starting_after", -1)))
        job = self._calls.find(own_id)
        job.entry["polls"] += 1
        return JSONResponse(response_of(job))

    async def cancel(self, request: Request) -> Response:
        """``POST /v1/responses/{id}/cancel``."""
        job = self._calls.find(request.path_params["id"])
        if not job.entry["background"]:
            raise RefusedError(400, "Only responses created with background=true can be cancelled.")
        job.stop("cancelled")
        return JSONResponse(response_of(job))

    async def bill(self, request: Request) -> Response:
        """``GET /_bill``, of one label if the query has one."""
        return JSONResponse(self._calls.bill(request.query_params.get("label")))

    async def violations(self, _: Request) -> Response:
        """``GET /_violations``."""
        return JSONResponse(self._calls.violations)

    async def control(self, request: Request) -> Response:
        """``POST /_control``."""
        try:
            self._calls.controls.change(Wish.model_validate_json(await request.body()))
        except ValidationError as error:
            raise RefusedError(400, str(error)) from error
        return JSONResponse({})


async def refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused."""
    assert isinstance(error, RefusedError)
    kind = "invalid_request_error"
    return JSONResponse(
        {"error": {"message": str(error), "type": kind, "param": None, "code": None}}, status_code=error.status
    )


async def leave(_: Request, __: Exception) -> Response:
    """The answer to who has gone before the end of the request."""
    return Response(status_code=400)


def create_app() -> Starlette:
    """The provider as an application."""
    doors = Doors()
    routes = [
        Route("/v1/responses", doors.create_response, methods=["POST"]),
        Route("/v1/responses/{id}", doors.retrieve),
        Route("/v1/responses/{id}/cancel", doors.cancel, methods=["POST"]),
        Route("/v1/chat/completions", doors.create_completion, methods=["POST"]),
        Route("/_bill", doors.bill),
        Route("/_violations", doors.violations),
        Route("/_control", doors.control, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={RefusedError: refuse, ClientDisconnect: leave})


def main() -> None:
    """Serve until the process is ended; the first line says where."""
    parser = argparse.ArgumentParser(description="A model provider that counts.")
    parser.add_argument("--port", type=int, default=0)
    port: int = parser.parse_args().port
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
        sys.stdout.write(f"{READY}http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            create_app(), lifespan="off", ws="none", log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
