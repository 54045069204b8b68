"""Prepares a running Temporal server: retention and search attributes."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from longrun.dev.temporal.config import AttributeType, SetupError

_INDEXED: dict[AttributeType, IndexedValueType.ValueType] = {
    "Text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "Bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
_RPC_TIMEOUT = timedelta(seconds=5)


async def connect_when_up(arguments: dict[str, object]) -> Client | None:
    """A client, once the server answers for its namespace; ``None`` while it does not."""
    try:
        client = await Client.connect(**arguments)  # pyright: ignore[reportArgumentType] - read from a TOML profile
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
        )
    except (RuntimeError, RPCError):  # RuntimeError is what a refused connection raises
        return None
    return client


async def ensure_namespace(client: Client, retention: timedelta) -> bool:
    """Make the client's namespace; ``False`` when there is one."""
    wanted = Duration()
    wanted.FromTimedelta(retention)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=wanted)
    try:
        await client.workflow_service.register_namespace(request, timeout=_RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return False
        raise
    return True


async def ensure_retention(client: Client, retention: timedelta) -> bool:
    """Set how long closed runs are kept; ``True`` when it had to be changed."""
    service = client.workflow_service
    found = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT)
    if found.config.workflow_execution_retention_ttl.ToTimedelta() == retention:
        return False
    wanted = Duration()
    wanted.FromTimedelta(retention)
    config = NamespaceConfig(workflow_execution_retention_ttl=wanted)
    request = UpdateNamespaceRequest(namespace=client.namespace, config=config)
    await service.update_namespace(request, timeout=_RPC_TIMEOUT)
    return True


async def ensure_search_attributes(client: Client, attributes: dict[str, AttributeType]) -> set[str]:
    """Register the attributes that are missing, which a server does only for a new namespace; the names of those.

    Raises:
        SetupError: An attribute is registered with another type.
    """
    operator = client.operator_service
    listing = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await operator.list_search_attributes(listing, timeout=_RPC_TIMEOUT)).custom_attributes
    for name, kind in attributes.items():
        if name in known and known[name] != _INDEXED[kind]:
            raise SetupError(f"the search attribute {name} is registered with another type than {kind}")
    missing = {name: _INDEXED[kind] for name, kind in attributes.items() if name not in known}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        await operator.add_search_attributes(request, timeout=_RPC_TIMEOUT)
    return set(missing)
