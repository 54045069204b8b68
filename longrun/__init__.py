"""longrun, a durable run server for LLM agents: what tools and clients import.

The names are loaded when they are first used: a workflow imports this package too, and a client needs
none of the server.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longrun.activities.toolbox.definition import tool
    from longrun.activities.toolbox.tool import ToolContext, ToolFailure
    from longrun.client import AsyncClient, Client
else:  # a type checker that saw this would take any name for one of the package

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


__all__ = ["AsyncClient", "Client", "ToolContext", "ToolFailure", "tool"]

_MODULES = {
    "AsyncClient": "longrun.client",
    "Client": "longrun.client",
    "ToolContext": "longrun.activities.toolbox.tool",
    "ToolFailure": "longrun.activities.toolbox.tool",
    "tool": "longrun.activities.toolbox.definition",
}
