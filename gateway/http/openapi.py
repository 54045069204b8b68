"""The OpenAPI document, made from what the operations declare and from the pydantic models they name."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from longrun.gateway.http.errors import ErrorShape
from longrun.gateway.http.inputs import Parameter
from longrun.gateway.http.operations import Answer, EventSchema, Operation

VERSION = "3.1.0"
"""The version that generators of clients read. It has no word for the events of a stream: see ``STREAM_ITEM``."""
STREAM_ITEM = "x-itemSchema"
"""The schema of one event of a stream, under the name that OpenAPI 3.2 gives it but for the prefix."""

Json = dict[str, Any]

_REF = "#/components/schemas/"
_OF_BODIES = (400, 408, 413, 415)
_OF_ALL = (403, 503)
_OF_KEYS = 401
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, where the server has keys"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same"},
}
_NEEDED = [{name: list[str]()} for name in _SCHEMES]


@dataclass(frozen=True)
class Info:
    """The head of the document."""

    title: str
    version: str
    description: str


def build(info: Info, operations: Sequence[Operation], errors: ErrorShape) -> Json:
    """The document that describes the operations of a door."""
    shapes = _Shapes(operations, errors)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, shapes, errors)
    return {
        "openapi": VERSION,
        "info": asdict(info),
        "tags": [{"name": tag} for tag in _unique(operation.tag for operation in operations)],
        "paths": paths,
        "components": {"schemas": shapes.definitions, "securitySchemes": _SCHEMES},
        "security": _NEEDED,
    }


class _Shapes:
    """The JSON schemas of every shape that the operations name; ``definitions`` are what these refer to."""

    def __init__(self, operations: Sequence[Operation], errors: ErrorShape) -> None:
        bodies = _unique(operation.inputs.body for operation in operations)
        given = [operation.model_of(answer) for operation in operations for answer in operation.answers]
        streams = {stream.name: stream.data for stream in _streams(operations)}
        inputs: list[tuple[object, JsonSchemaMode, TypeAdapter[Any]]] = [
            *((shape, "validation", TypeAdapter(shape)) for shape in bodies),
            *((shape, "serialization", TypeAdapter(shape)) for shape in [*_unique(given), errors.model]),
            *((name, "serialization", data) for name, data in streams.items()),
        ]
        found, others = TypeAdapter.json_schemas(inputs, ref_template=_REF + "{model}")
        self._schemas: dict[tuple[object, JsonSchemaMode], Json] = found
        named = {name: self._schemas[name, "serialization"] for name in streams}
        self.definitions: dict[str, Json] = {**others.get("$defs", {}), **named}
        for shape in bodies:
            self._close(self._schemas[shape, "validation"])

    def given(self, shape: object) -> Json:
        """What comes in."""
        return self._schemas[shape, "validation"]

    def answered(self, shape: object) -> Json:
        """What goes out."""
        return self._schemas[shape, "serialization"]

    def _close(self, schema: Json) -> None:
        """Say of every object in a body that it takes no other fields, as the handlers do."""
        waiting, seen = [schema], set[str]()
        while waiting:
            current = waiting.pop()
            if "properties" in current:
                current["additionalProperties"] = False
            names = set(references(current)) - seen
            seen |= names
            waiting += [self.definitions[name] for name in names]


def _unique(shapes: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(shape for shape in shapes if shape))


def _streams(operations: Sequence[Operation]) -> list[EventSchema]:
    return [answer.events for operation in operations for answer in operation.answers if answer.events]


def references(schema: object) -> list[str]:
    """The names of all definitions that a schema refers to itself."""
    return re.findall(f'"\\$ref": "{_REF}([^"]+)"', json.dumps(schema))


def _operation(operation: Operation, shapes: _Shapes, errors: ErrorShape) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation),
        "responses": _responses(operation, shapes, errors),
        **({"security": []} if operation.public else {}),
    }
    if body := operation.inputs.body:
        required = any(field.is_required() for field in body.model_fields.values())
        schema = {"application/json": {"schema": shapes.given(body)}}
        described["requestBody"] = {"required": required, "content": schema}
    return described


def _parameters(operation: Operation) -> list[Json]:
    parameters = operation.inputs.parameters
    in_path = [_parameter(each) for each in parameters if each.location == "path"]
    in_headers = [_parameter(each) for each in parameters if each.location == "header"]
    query = operation.inputs.query
    described: Json = query.model_json_schema() if query else {"properties": {}}
    needed = described.get("required", [])
    in_query = [
        {"name": name, "in": "query", "required": name in needed, "schema": _not_null(schema)}
        for name, schema in described["properties"].items()
    ]
    return [*in_path, *in_query, *in_headers]


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.location == "path",
        **({"description": parameter.description} if parameter.description else {}),
        "schema": _not_null(parameter.adapter.json_schema()),
    }


def _not_null(schema: Json) -> Json:
    """The schema of a parameter, which is absent rather than null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else {key: value for key, value in schema.items() if key != "title"}


def _responses(operation: Operation, shapes: _Shapes, errors: ErrorShape) -> Json:
    error = {errors.media_type: {"schema": shapes.answered(errors.model)}}
    statuses = {*operation.errors, *_statuses(operation), *_OF_ALL, *(() if operation.public else (_OF_KEYS,))}
    found: Json = {
        str(status): {"description": errors.descriptions[status], "content": error} for status in sorted(statuses)
    }
    found |= {str(answer.status): _answer(operation, answer, shapes) for answer in operation.answers}
    return {**found, "default": {"description": "Another error", "content": error}}


def _statuses(operation: Operation) -> Iterable[int]:
    """The statuses of the errors in an operation's inputs."""
    inputs = operation.inputs
    checked = [each for each in inputs.parameters if _not_null(each.adapter.json_schema()) != {"type": "string"}]
    return (*(_OF_BODIES if inputs.body else ()), *((422,) if inputs.models or checked else ()))


def _answer(operation: Operation, answer: Answer, shapes: _Shapes) -> Json:
    content: Json = {}
    if model := operation.model_of(answer):
        content["application/json"] = {"schema": shapes.answered(model)}
    if answer.events:
        item = _item(answer.events)
        content["text/event-stream"] = {"schema": {"type": "string"}, STREAM_ITEM: item}
    if answer.text:
        content["text/plain"] = {"schema": {"type": "string"}}
    return {"description": answer.description, **({"content": content} if content else {})}


def _item(events: EventSchema) -> Json:
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"{_REF}{events.name}"},
    }
    return {
        "type": "object",
        "description": events.description,
        "required": ["id", "event", "data"],
        "properties": {"id": dict(events.id), "event": dict(events.event), "data": data},
    }
