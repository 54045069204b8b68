"""OpenAI's Responses API, and hosts that implement it; in background mode an answer can be resumed by any process."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from longrun.activities.failures import MismatchFailure
from longrun.activities.providers.assembly import drain
from longrun.activities.providers.errors import ended_early, of_sdks, provider_failures
from longrun.activities.providers.fields import Object
from longrun.activities.providers.openai_responses_reader import EVENT, RESPONSE, Reader, usage_of
from longrun.activities.providers.openai_responses_request import responses_body
from longrun.activities.providers.provider import (
    Delta,
    LostAnswerError,
    ModelRequest,
    PartialAnswer,
    RefusedResumeError,
    Resumable,
    UnfitAnswerError,
)
from longrun.activities.providers.wire import chunks
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.messages import Usage

if TYPE_CHECKING:
    from openai import AsyncAPIResponse, AsyncOpenAI

_POLL = 0.5
_LONGEST_POLL = 4.0
_CANCEL_TIMEOUT = 2.0


class OpenAIResponses(Resumable):
    """``openai/NAME``, and hosts that a settings file names.

    Args:
        client: OpenAI's SDK, with the host and the key.
        provider: What stands before the models' names.
        extra_body: More fields of each request.
        background: Whether answers are generated in background mode, so that they can be resumed.
    """

    def __init__(
        self,
        client: "AsyncOpenAI",
        provider: str = "openai",
        extra_body: Mapping[str, object] | None = None,
        *,
        background: bool = False,
    ) -> None:
        self._client = client
        self._provider = provider
        self._extra_body = extra_body or {}
        self._background = background

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        provider_model = f"{self._provider}/{request.model}"
        with provider_failures(provider_model):
            body = responses_body(request, provider_model, background=self._background)
            create = self._client.responses.with_streaming_response.create
            async with (
                create(**body, stream=True, extra_body=self._extra_body) as response,
                aclosing(_read(response, Reader(request, provider_model), resumable=self._background)) as deltas,
            ):
                async for delta in deltas:
                    yield delta

    @override
    async def reattach(self, request: ModelRequest, partial: PartialAnswer) -> AsyncGenerator[Delta, None]:
        provider_model = f"{self._provider}/{request.model}"
        reader = Reader(request, provider_model)
        with provider_failures(provider_model), _fits():
            for delta in reader.restore(partial):
                yield delta
            async with AsyncExitStack() as stack:
                retrieve = self._client.responses.with_streaming_response.retrieve
                point = partial.resume_point
                with _refusals(point):
                    response = await stack.enter_async_context(
                        retrieve(point.response_id, stream=True, starting_after=point.cursor)
                    )
                deltas = _read(response, reader, resumable=True, after=point.cursor)
                async for delta in await stack.enter_async_context(aclosing(deltas)):
                    yield delta

    @override
    async def retrieve(self, request: ModelRequest, partial: PartialAnswer) -> AsyncGenerator[Delta, None]:
        provider_model = f"{self._provider}/{request.model}"
        reader = Reader(request, provider_model)
        with provider_failures(provider_model), _fits():
            for delta in reader.restore(partial):
                yield delta
            for delta in reader.take(await self._ended(partial.resume_point, provider_model)):
                yield delta
            if reader.completed:
                yield reader.completed

    async def _ended(self, resume_point: ResumePoint, provider_model: str) -> Object:
        """The whole answer, when it is complete."""
        pause = _POLL
        while True:
            with _refusals(resume_point):
                raw = await self._client.responses.with_raw_response.retrieve(resume_point.response_id)
            async with aclosing(chunks(raw.http_response, provider_model, RESPONSE)) as found:
                response = (await anext(found)).value
            if response.get("status") in ("completed", "incomplete"):
                return response
            if response.get("status") not in ("queued", "in_progress"):
                raise LostAnswerError(f"{resume_point.response_id} is {response.get('status')}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)

    @override
    async def cancel(self, response_id: str) -> Usage:
        with provider_failures(response_id):
            raw = await self._client.responses.with_raw_response.cancel(response_id, timeout=_CANCEL_TIMEOUT)
            async with aclosing(chunks(raw.http_response, response_id, RESPONSE)) as found:
                return usage_of((await anext(found)).value)

    @override
    async def aclose(self) -> None:
        await self._client.close()


async def _read(
    response: "AsyncAPIResponse[Any]", reader: Reader, *, resumable: bool, after: int = -1
) -> AsyncGenerator[Delta, None]:
    """The deltas of a stream's events after one number, up to its terminal event."""
    async with aclosing(chunks(response.http_response, reader.provider_model, EVENT)) as found:
        async for chunk in found:
            cursor: int = chunk.value.get("sequence_number") or 0  # hosts without background mode may omit it
            if cursor <= after:
                continue
            added = False
            for delta in reader.read(chunk):
                added = True
                yield delta
            if reader.completed:
                await drain(found)
                yield reader.completed
                return
            if resumable and (added or reader.type_of(chunk) == "response.created") and reader.resumable:
                yield reader.resume_point(cursor)
    raise ended_early(reader.provider_model)


@contextmanager
def _refusals(resume_point: ResumePoint) -> Generator[None]:
    """Distinguish an answer that is lost from one that is only not streamed."""
    try:
        yield
    except of_sdks("NotFoundError") as error:
        raise LostAnswerError(f"{resume_point.response_id} is lost") from error
    except of_sdks("BadRequestError", "ConflictError", "UnprocessableEntityError") as error:
        raise RefusedResumeError(f"{resume_point.response_id} is not streamed after {resume_point.cursor}") from error


@contextmanager
def _fits() -> Generator[None]:
    try:
        yield
    except MismatchFailure as failure:
        raise UnfitAnswerError(str(failure)) from failure
