"""A door of another API than ours: what its operations declare is what it takes, answers and describes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from longrun.gateway.http import openapi
from longrun.gateway.http.door import routes
from longrun.gateway.http.errors import ErrorShape, RequestError
from longrun.gateway.http.inputs import Header
from longrun.gateway.http.operations import Answer, Operations, Reply

operations = Operations("colours")


class Filter(BaseModel):
    most: int = Field(default=10, ge=1)


class NewItem(BaseModel):
    name: str


class Item(BaseModel):
    number: int
    name: str


class Refusal(BaseModel):
    code: int
    why: str


@dataclass(frozen=True)
class Shop:
    """The services."""

    items: dict[int, str]


@operations.get("/items/{number}", Answer(200, "The item"), errors=(404,))
async def get_item(shop: Shop, number: int) -> Item:
    """Get an item.

    One item,
    by its number.
    """
    if number not in shop.items:
        raise KeyError(number)
    return Item(number=number, name=shop.items[number])


@operations.get("/items", Answer(200, "Some items", list[Item]))
async def list_items(shop: Shop, query: Filter) -> Response:
    """List items."""
    return JSONResponse([{"number": number, "name": name} for number, name in shop.items.items()][: query.most])


@operations.post("/items", Answer(201, "The new item"), Answer(200, "The item that was there"))
async def add_item(
    shop: Shop, body: NewItem, on_shelf: Annotated[int | None, Header("X-Shelf", "Where to put it.")]
) -> Item | Reply[Item]:
    """Add an item."""
    number = on_shelf or len(shop.items) + 1
    there = number in shop.items
    shop.items.setdefault(number, body.name)
    item = Item(number=number, name=shop.items[number])
    return Reply(item, 200, {"X-There": "yes"}) if there else item


@operations.delete("/items/{number}", Answer(204, "It is removed"))
async def remove_item(shop: Shop, number: int) -> None:
    """Remove an item."""
    del shop.items[number]


@operations.get("/open", Answer(200, "Whether it is open"), public=True)
async def is_open(_shop: Shop) -> Item:
    """Say whether the shop is open."""
    return Item(number=0, name="open")


async def render(request: Request, error: Exception) -> Response:
    """The errors of this API."""
    code = error.status if isinstance(error, RequestError) else 404 if isinstance(error, KeyError) else 500
    headers = error.headers if isinstance(error, RequestError) else {}
    return JSONResponse(Refusal(code=code, why=str(error)).model_dump(), code, headers)


STATUSES = (400, 401, 403, 404, 408, 413, 415, 422, 503)
ERRORS = ErrorShape(render, Refusal, "application/json", dict.fromkeys(STATUSES, "It is refused"))


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    shop = Shop({1: "pen"})
    app = Starlette(routes=routes(operations, ERRORS))

    async def with_services(scope: dict[str, object], receive: object, send: object) -> None:
        await app({**scope, "state": {"services": shop}}, receive, send)  # pyright: ignore[reportArgumentType] # ASGI's

    transport = httpx2.ASGITransport(with_services)  # pyright: ignore[reportArgumentType] # ASGI's
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


async def test_a_model_is_answered_with_the_status_of_its_operation(http: httpx2.AsyncClient) -> None:
    found = await http.get("/items/1")
    added = await http.post("/items", json={"name": "ink"})
    assert (found.status_code, found.json()) == (200, {"number": 1, "name": "pen"})
    assert (added.status_code, added.json()) == (201, {"number": 2, "name": "ink"})


async def test_a_reply_is_answered_with_its_own_status_and_headers(http: httpx2.AsyncClient) -> None:
    there = await http.post("/items", json={"name": "ink"}, headers={"X-Shelf": "1"})
    assert (there.status_code, there.headers["x-there"], there.json()["name"]) == (200, "yes", "pen")


async def test_a_response_is_answered_as_it_is_and_nothing_is_an_empty_one(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/items?most=1")).json() == [{"number": 1, "name": "pen"}]
    removed = await http.delete("/items/1")
    assert (removed.status_code, removed.content) == (204, b"")


async def test_head_is_answered_where_get_is(http: httpx2.AsyncClient) -> None:
    assert (await http.head("/items/1")).status_code == 200


@pytest.mark.parametrize(
    ("request_line", "more", "code", "field"),
    [
        ("GET /items/one", {}, 422, "number"),
        ("GET /items?most=0", {}, 422, "most"),
        ("GET /items?least=0", {}, 422, "least"),
        ("GET /items?most=%00", {}, 422, "most"),
        ("POST /items", {"json": {"name": 1}}, 422, "name"),
        ("POST /items", {"json": {"name": "a", "size": 1}}, 422, "size"),
        ("POST /items", {"json": {"name": "a"}, "headers": {"X-Shelf": "low"}}, 422, "X-Shelf"),
        ("GET /items/9", {}, 404, "9"),
        ("DELETE /items", {}, 405, "method"),
    ],
)
async def test_what_is_wrong_is_said_in_the_shape_of_the_door(
    http: httpx2.AsyncClient, request_line: str, more: dict[str, Any], code: int, field: str
) -> None:
    refused = await http.request(*request_line.split(), **more)
    assert (refused.status_code, refused.json()["code"]) == (code, code)
    assert field in refused.json()["why"]


async def test_the_answer_to_a_wrong_method_names_the_right_ones(http: httpx2.AsyncClient) -> None:
    assert (await http.put("/items")).headers["allow"] == "GET, HEAD, POST"


def test_the_document_says_what_is_declared() -> None:
    document = openapi.build(openapi.Info("shop", "7", "A shop."), list(operations), ERRORS)
    get = document["paths"]["/items/{number}"]["get"]
    assert (get["operationId"], get["summary"]) == ("get_item", "Get an item")
    assert get["description"] == "One item, by its number."
    assert get["parameters"] == [{"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}]
    assert get["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}
    assert get["responses"]["404"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refusal"}
    add = document["paths"]["/items"]["post"]
    assert add["requestBody"]["required"] is True
    assert add["parameters"] == [
        {
            "name": "X-Shelf",
            "in": "header",
            "required": False,
            "description": "Where to put it.",
            "schema": {"type": "integer"},
        }
    ]
    assert set(add["responses"]) == {"200", "201", "400", "401", "403", "408", "413", "415", "422", "503", "default"}
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert "security" not in add
    door = document["paths"]["/open"]["get"]
    assert door["security"] == []
    assert set(door["responses"]) == {"200", "403", "503", "default"}


def test_a_handler_that_takes_what_no_request_has_is_refused_at_once() -> None:
    async def ask(shop: Shop, number: int, colour: str) -> None:
        """Ask for a colour."""

    with pytest.raises(TypeError, match="colour is neither in the path nor a header"):
        Operations("colours").get("/colours/{number}", Answer(204, "Nothing"))(ask)
    with pytest.raises(TypeError, match="ask does not take"):
        Operations("colours").get("/colours/{number}/{other}", Answer(204, "Nothing"))(ask)
