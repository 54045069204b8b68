"""longrun, a durable run server for LLM agents: what tools and clients import.

The names are loaded when they are first used: a worker's workflow sandbox imports this package too, and a client needs
none of the server.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longrun.activities.toolbox.definition import tool
    from longrun.activities.toolbox.tool import ToolContext, ToolFailure

__all__ = ["ToolContext", "ToolFailure", "tool"]

_MODULES = {
    "ToolContext": "longrun.activities.toolbox.tool",
    "ToolFailure": "longrun.activities.toolbox.tool",
    "tool": "longrun.activities.toolbox.definition",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
