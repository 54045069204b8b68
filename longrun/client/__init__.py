"""The Python client of longrun's HTTP API. It needs none of the server: no Starlette, no SQL, no Temporal."""

from longrun.client.async_client import AsyncClient
from longrun.client.client import Client
from longrun.client.errors import ApiError, ClientError, UnreachableError
from longrun.client.log import AnyEvent, EventPage, Line, UnknownEvent
from longrun.client.retries import RetryPolicy

__all__ = [
    "AnyEvent",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "EventPage",
    "Line",
    "RetryPolicy",
    "UnknownEvent",
    "UnreachableError",
]
