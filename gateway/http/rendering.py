"""Models as answers."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response


def as_json(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(model.model_dump_json().encode(), status, headers, "application/json")
