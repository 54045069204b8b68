"""What goes wrong on every wire, and what becomes of it."""

from datetime import UTC, datetime

import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.errors import retry_after
from tests.activities.providers.asking import ask, catalog_for
from tests.wire import Wire
from tests.wire_answers import (
    Answer,
    Cut,
    Piece,
    Stall,
    anthropic_stream,
    chat_stream,
    message_item,
    named,
    responses_stream,
    text_block,
)

RESPONSES, CHAT, ANTHROPIC = "openai/m", "openai-chat/m", "anthropic/m"
STREAMS = {
    RESPONSES: responses_stream(message_item("Hello there, my friend")),
    CHAT: chat_stream({"content": "Hello "}, {"content": "there, "}, {"content": "my friend"}),
    ANTHROPIC: anthropic_stream(text_block("Hello there, my friend")),
}
EVERY_WIRE = pytest.mark.parametrize("model", list(STREAMS))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def failure_of(catalog: ProviderCatalog, model: str) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as failure:
        await ask(catalog, model)
    return failure.value


@EVERY_WIRE
async def test_a_whole_stream_is_no_failure(server: Wire, catalog: ProviderCatalog, model: str) -> None:
    server.play(Answer(STREAMS[model]))
    assert (await ask(catalog, model)).message(model).text == "Hello there, my friend"


@EVERY_WIRE
async def test_a_rate_limit_asks_once_and_says_how_long_to_wait(
    server: Wire, catalog: ProviderCatalog, model: str
) -> None:
    error = {"type": "rate_limit_error", "message": "Slow down."}
    server.play(Answer.error(429, error, {"retry-after": "7"}))
    failure = await failure_of(catalog, model)
    assert (failure.kind, failure.retry_after) == ("transient", 7.0)
    assert str(failure) == f"{model}: Slow down. (HTTP 429)"
    assert len(server.requests) == 1


def error(status: int, kind: str, code: str | None = None, message: str = "no", retry: str = "") -> Answer:
    headers = {"x-should-retry": retry} if retry else {}
    return Answer.error(status, {"type": kind, "code": code, "message": message}, headers)


@EVERY_WIRE
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(500, "api_error"), "transient"),
        (error(529, "overloaded_error"), "transient"),
        (error(401, "authentication_error"), "fatal"),
        (error(404, "not_found_error"), "fatal"),
        (error(429, "x", "insufficient_quota"), "fatal"),
        (error(500, "api_error", retry="false"), "fatal"),
        (error(400, "x", retry="true"), "transient"),
        (error(400, "invalid_request_error", message="prompt is too long: 9 > 8"), "overflow"),
        (error(400, "x", "context_length_exceeded"), "overflow"),
    ],
)
async def test_a_refused_request_is_classified(
    server: Wire, catalog: ProviderCatalog, model: str, answer: Answer, kind: str
) -> None:
    server.play(answer)
    assert (await failure_of(catalog, model)).kind == kind


@EVERY_WIRE
async def test_an_error_page_is_shown_as_it_is(server: Wire, catalog: ProviderCatalog, model: str) -> None:
    server.play(Answer([b"<h1>Bad gateway</h1>"], 502, {"content-type": "text/html"}))
    failure = await failure_of(catalog, model)
    assert failure.kind == "transient"
    assert "Bad gateway" in str(failure)


def after(stream: list[bytes], end: list[Piece]) -> list[Piece]:
    return [*stream[:3], *end]


@EVERY_WIRE
@pytest.mark.parametrize(
    ("end", "kind"),
    [
        pytest.param([], "invalid", id="ends early but cleanly"),
        pytest.param([b'event: x\ndata: {"type": "x"'], "invalid", id="ends inside an event"),
        pytest.param([b'event: x\ndata: {"type": "x\n\n'], "invalid", id="cut JSON"),
        pytest.param([b'event: x\ndata: "\xc3\n\n'], "invalid", id="cut character"),
        pytest.param([Cut()], "transient", id="connection lost"),
    ],
)
async def test_a_stream_that_breaks_is_a_failure(
    server: Wire, catalog: ProviderCatalog, model: str, end: list[Piece], kind: str
) -> None:
    server.play(Answer(after(STREAMS[model], end)))
    assert (await failure_of(catalog, model)).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "transient"),
        ({"type": "invalid_request_error", "message": "Bad"}, "fatal"),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, "overflow"),
    ],
)
async def test_an_error_event_inside_an_anthropic_stream_is_read_by_its_type(
    server: Wire, catalog: ProviderCatalog, error: dict[str, str], kind: str
) -> None:
    event = named({"type": "error", "error": error})
    server.play(Answer(after(STREAMS[ANTHROPIC], [*event])))
    failure = await failure_of(catalog, ANTHROPIC)
    assert failure.kind == kind
    assert str(failure) == f"{ANTHROPIC}: {error['message']}"


@EVERY_WIRE
async def test_a_field_that_is_not_what_the_wire_says_is_named(
    server: Wire, catalog: ProviderCatalog, model: str
) -> None:
    events = {
        RESPONSES: named({"type": "response.output_item.done", "output_index": 0, "item": 5}),
        CHAT: [b'data: {"choices": ["?"]}\n\n'],
        ANTHROPIC: named({"type": "content_block_delta", "index": 0, "delta": {"type": ["text_delta"]}}),
    }
    fields = {
        RESPONSES: "item is the int 5 instead of an object",
        CHAT: 'choices[0] is the str "?" instead of an object',
        ANTHROPIC: "delta.type is a list instead of a text",
    }
    server.play(Answer(events[model]))
    failure = await failure_of(catalog, model)
    assert failure.kind == "invalid"
    assert str(failure) == f"{model}: the stream is garbled: {fields[model]}"


@EVERY_WIRE
async def test_a_model_that_is_silent_for_too_long_is_given_up(server: Wire, model: str) -> None:
    catalog = catalog_for(server, read_timeout=0.2)
    server.play(Answer(after(STREAMS[model], [Stall()])))
    assert (await failure_of(catalog, model)).kind == "transient"
    await catalog.aclose()


@EVERY_WIRE
async def test_a_server_that_is_not_there_is_worth_another_try(free_port: int, model: str) -> None:
    catalog = catalog_for(Wire(f"http://127.0.0.1:{free_port}"))
    assert (await failure_of(catalog, model)).kind == "transient"
    await catalog.aclose()


@pytest.mark.parametrize("model", [RESPONSES, ANTHROPIC])
async def test_what_follows_the_terminal_event_cannot_matter(
    server: Wire, catalog: ProviderCatalog, model: str
) -> None:
    for end in (b"event: x\ndata: {\n\n", Cut(), Stall()):
        server.play(Answer([*STREAMS[model], end]))
        assert (await ask(catalog, model)).message(model).text == "Hello there, my friend"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "soon"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "after lunch"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds
