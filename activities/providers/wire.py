"""The body of an answer as JSON: each event of a stream, or the whole answer of a host that does not stream."""

from collections.abc import AsyncGenerator
from typing import NamedTuple, cast

import httpx2

from longrun.activities.providers.errors import invalid, reported
from longrun.activities.providers.fields import Field, FieldError, Object, parsed
from longrun.activities.providers.sse import Decoder, TooLongError, decoded

DONE = "[DONE]"
_SHOWN = 300
_DETAIL = {"detail"}


class Chunk(NamedTuple):
    """One JSON object of a body, and the name of its event; ``done`` marks the text that stands for the end."""

    value: Object
    event: str = ""
    done: bool = False


async def chunks(response: httpx2.Response, provider_model: str, schema: Field) -> AsyncGenerator[Chunk]:
    """The objects of a body, made what the wire's schema says. A body that is one JSON text is one object.

    Raises:
        ProviderFailure: The host reported an error, or a text is not what the schema says.
    """
    decoder, empty = Decoder(), True
    try:
        async for events in decoded(response.aiter_bytes(), decoder):
            for event, data in events:
                if data.startswith(DONE):
                    yield Chunk({}, event, done=True)
                elif data.strip():
                    empty = False
                    yield _chunk(data, event, provider_model, schema)
        if empty and (body := b"\n".join(decoder.foreign).decode("utf-8", errors="replace").strip()):
            if not body.startswith(("{", "[")):
                kind = response.headers.get("content-type", "an unknown type")
                raise invalid(provider_model, f"the host answered with {kind} and no stream: {body[:_SHOWN]}")
            yield _chunk(body, "", provider_model, schema)
    except (FieldError, TooLongError) as error:
        raise invalid(provider_model, f"the stream is garbled: {error}") from error


def _chunk(data: str, event: str, provider_model: str, schema: Field) -> Chunk:
    value = parsed(data)
    if _is_error(value, event):
        raise reported(provider_model, value)
    return Chunk(schema(value, ""), event)


def _is_error(value: object, event: str) -> bool:
    """Whether an object is a host's error, in any of the forms that hosts have for one."""
    if not isinstance(value, dict):
        return False
    fields = cast("Object", value)
    kind = fields.get("object")
    if kind == "response":  # it says by its status what became of it
        return False
    named = event == "error" or kind == "error" or fields.get("type") == "error"
    return named or bool(fields.get("error")) or fields.keys() == _DETAIL
