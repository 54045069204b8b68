"""The OpenAPI document, made from what the operations declare and from the pydantic models they name."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import MEDIA_TYPE, ProblemDocument
from longrun.workflows.contract.events import EVENT

VERSION = "3.2.0"
"""The first version that can describe the events of a stream, by ``itemSchema``."""

Json = dict[str, Any]

_REF = "#/components/schemas/"
_DESCRIPTION = """\
Start runs of LLM agents, follow them from any place, decide what they ask for. A run's log is one dense sequence of
events; `seq` is the cursor everywhere. Every error is a problem document (RFC 9457) that names the wrong fields.\
"""
_WITH_BODY = {400: "The body is not JSON", 413: "The body is too large", 415: "The body is not application/json"}
_ERRORS = {
    404: "There is no such thing",
    409: "Something else came first",
    410: "It is gone from the store; of events, `first` is the first seq that there is",
    422: "A field is wrong",
    503: "The store or Temporal is away; try again after Retry-After",
}


def build(operations: Sequence[Operation]) -> Json:
    """The document that describes these operations."""
    shapes = _Shapes(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, shapes)
    return {
        "openapi": VERSION,
        "info": {"title": "longrun", "version": "1", "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": shapes.definitions},
    }


class _Shapes:
    """The JSON schemas of every shape that the operations name; ``definitions`` are what these refer to."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        bodies = [operation.body for operation in operations if operation.body]
        given = [answer.shape for operation in operations for answer in operation.answers if answer.shape]
        outgoing = [*_unique(given), ProblemDocument]
        inputs: list[tuple[object, JsonSchemaMode, TypeAdapter[Any]]] = [
            *((shape, "validation", TypeAdapter(shape)) for shape in _unique(bodies)),
            *((shape, "serialization", TypeAdapter(shape)) for shape in outgoing),
            ("event", "serialization", EVENT),
        ]
        found, rest = TypeAdapter.json_schemas(inputs, ref_template=_REF + "{model}")
        self._schemas: dict[tuple[object, JsonSchemaMode], Json] = found
        self.definitions: dict[str, Json] = {**rest.get("$defs", {}), "Event": self._schemas["event", "serialization"]}
        for shape in _unique(bodies):
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
    return list(dict.fromkeys(shapes))


def references(schema: object) -> list[str]:
    """The names of all definitions that a schema refers to itself."""
    return re.findall(f'"\\$ref": "{_REF}([^"]+)"', json.dumps(schema))


def _operation(operation: Operation, shapes: _Shapes) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": re.sub(r"\s*\n\s*", " ", operation.handler.__doc__ or ""),
        "parameters": _parameters(operation),
        "responses": _responses(operation, shapes),
    }
    if operation.body:
        schema = {"application/json": {"schema": shapes.given(operation.body)}}
        described["requestBody"] = {"required": operation.body_required, "content": schema}
    return described


def _parameters(operation: Operation) -> list[Json]:
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"format": "uuid"} if name == "run_id" else {})},
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_headers = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    fields: Json = operation.query.model_json_schema()["properties"] if operation.query else {}
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": _not_null(schema)} for name, schema in fields.items()
    ]
    return [*in_path, *in_query, *in_headers]


def _not_null(schema: Json) -> Json:
    """A query parameter is absent rather than null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else {key: value for key, value in schema.items() if key != "title"}


def _responses(operation: Operation, shapes: _Shapes) -> Json:
    problem = {MEDIA_TYPE: {"schema": shapes.answered(ProblemDocument)}}
    checked = operation.body or operation.query or "{run_id}" in operation.path
    wrong = {
        **(_WITH_BODY if operation.body else {}),
        **{status: _ERRORS[status] for status in operation.errors},
        **({422: _ERRORS[422]} if checked else {}),
        503: _ERRORS[503],
    }
    found: Json = {str(status): {"description": text, "content": problem} for status, text in sorted(wrong.items())}
    found |= {str(answer.status): _answer(answer, shapes) for answer in operation.answers}
    return {**found, "default": {"description": "Another error", "content": problem}}


def _answer(answer: Answer, shapes: _Shapes) -> Json:
    content: Json = {}
    if answer.shape:
        content["application/json"] = {"schema": shapes.answered(answer.shape)}
    if answer.events:
        content["text/event-stream"] = {"itemSchema": _ITEM}
    if answer.text:
        content["text/plain"] = {"schema": {"type": "string"}}
    return {"description": answer.description, **({"content": content} if content else {})}


_ITEM: Json = {
    "type": "object",
    "description": "One event of the run's log. The stream ends after a `run.*` event and only there.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The event's seq"},
        "event": {"type": "string", "description": "The event's type"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"{_REF}Event"},
        },
    },
}
