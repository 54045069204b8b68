"""The document says what there is, and all of it."""

import json
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.routing import Route

from longrun.gateway.app import create_app
from longrun.gateway.http import openapi
from longrun.gateway.native.problems import PROBLEMS
from longrun.gateway.native.routes import INFO, OPERATIONS
from longrun.gateway.native.schemas import AgentBody, CreateRun, DecideBody, InlineAgent
from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import EVENT
from tests.gateway.native.conftest import Stand

DOCUMENT = openapi.build(INFO, OPERATIONS, PROBLEMS)


def test_every_route_is_in_the_document_and_every_path_of_it_is_a_route() -> None:
    routes = {
        (route.path, method)
        for route in create_app(Settings()).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == routes


def test_every_reference_leads_somewhere() -> None:
    names = set(openapi.references(DOCUMENT))
    assert names <= set(DOCUMENT["components"]["schemas"])
    assert {"Event", "RunView", "CreateRun", "ProblemDocument"} <= names


def test_the_stream_is_described_event_by_event() -> None:
    content = DOCUMENT["paths"]["/api/runs/{run_id}/stream"]["get"]["responses"]["200"]["content"]
    item = content["text/event-stream"][openapi.STREAM_ITEM]
    assert item["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/Event"}
    union = DOCUMENT["components"]["schemas"]["Event"]
    assert len(union["oneOf"]) == len(EVENT.json_schema()["oneOf"])


def test_a_body_takes_no_other_fields_at_any_depth() -> None:
    schemas: dict[str, Any] = DOCUMENT["components"]["schemas"]
    for name in ("CreateRun", "InlineAgent", "ToolUse-Input", "ModelParams", "Limits", "DecideBody"):
        assert schemas[name]["additionalProperties"] is False


def test_the_short_forms_are_in_the_document() -> None:
    schemas: dict[str, Any] = DOCUMENT["components"]["schemas"]
    tools = schemas["InlineAgent"]["properties"]["tools"]["items"]
    assert [option.get("type") for option in tools["anyOf"]] == ["string", None]
    approval = json.dumps(schemas["ToolUse-Input"]["properties"]["approval"])
    assert '["never", "always"]' in approval
    assert "#/components/schemas/ApprovalWhen" in approval


@pytest.mark.parametrize("shape", [AgentBody, InlineAgent, CreateRun, DecideBody])
def test_the_examples_are_what_the_api_takes(shape: type[BaseModel]) -> None:
    examples: list[object] = shape.model_json_schema()["examples"]
    assert [shape.model_validate(example, extra="forbid") for example in examples]


def test_every_operation_has_a_tag() -> None:
    tags = {tag for path in DOCUMENT["paths"].values() for method in path.values() for tag in method["tags"]}
    assert tags == {"agents", "runs", "approvals", "server"} == {tag["name"] for tag in DOCUMENT["tags"]}


def test_the_names_of_the_operations_are_different() -> None:
    names = [method["operationId"] for path in DOCUMENT["paths"].values() for method in path.values()]
    assert len(set(names)) == len(names)


async def test_the_document_is_served(stand: Stand) -> None:
    response = await stand.front.http.get("/openapi.json")
    assert response.json() == DOCUMENT
    assert response.json()["openapi"].startswith("3.1")
