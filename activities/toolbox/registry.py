"""The tools of a worker, found by name and run so that whatever happens is a result that a model can read."""

import asyncio
import importlib
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from pydantic_core import to_json

from longrun.activities.toolbox.builtin import builtin_tools
from longrun.activities.toolbox.definition import MAX_RETURN_CHARS, Tool, tool
from longrun.activities.toolbox.loop import ToolLoop
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from longrun.runtime.plain import PlainError
from longrun.workflows.contract.agents import ToolSpec

__all__ = ["Tool", "ToolResult", "Toolbox", "ToolboxError", "tool"]

logger = logging.getLogger(__name__)

_SHOWN_VALUE = 100


class ToolboxError(PlainError):
    """The tools cannot be loaded; the message names the module or the tool."""


@dataclass(frozen=True)
class ToolResult:
    """What a call came to: text for the model, and the ``whole`` of what is too long for it."""

    status: Literal["ok", "error"]
    content: str
    whole: str | None = None


class Toolbox:
    """The tools that a worker offers.

    Args:
        tools: Each once; the order is kept.

    Raises:
        ToolboxError: Two tools have the same name.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._loop = ToolLoop()
        self._tools: dict[str, Tool] = {}
        for each in tools:
            if each.spec.name in self._tools:
                raise ToolboxError(
                    f"there are two tools named {each.spec.name}: in {self._tools[each.spec.name].function.__module__}"
                    f" and in {each.function.__module__}"
                )
            self._tools[each.spec.name] = each

    @classmethod
    def load(cls, modules: str = "", *, allow_private_http: bool = False) -> "Toolbox":
        """Our tools and those of other modules.

        Args:
            modules: Names as in ``package.module, other``: every tool that is an attribute of one of them is taken.
            allow_private_http: Whether ``http_get`` may reach addresses that are not public.

        Raises:
            ToolboxError: A module cannot be imported or has no tool, or two tools have the same name.
        """
        found = dict.fromkeys(builtin_tools(allow_private_http=allow_private_http))
        for name in (module.strip() for module in modules.split(",")):
            if name:
                found.update(dict.fromkeys(_tools_of(_import(name))))
        return cls(found)

    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools' specifications."""
        return tuple(each.spec for each in self._tools.values())

    def find(self, name: str) -> Tool | None:
        """The tool of that name."""
        return self._tools.get(name)

    async def run(self, name: str, arguments: str, context: ToolContext) -> ToolResult:
        """Run a call. Nothing that a model can get wrong raises; only a cancellation does.

        Args:
            name: The tool's name as the model wrote it.
            arguments: The model's argument text, which may not be valid JSON.
            context: What the call runs for.
        """
        found = self.find(name)
        if found is None:
            known = ", ".join(self._tools)
            no_tool = f"There is no tool named {name[:_SHOWN_VALUE]!r}. The tools are: {known}."
            return _result("error", no_tool, MAX_RETURN_CHARS)
        limit = found.spec.return_char_limit
        try:
            values = found.parse(arguments)
            value = await _within_time(found, lambda: self._loop.run(lambda: found.call(values, context)))
            return _result("ok", value if isinstance(value, str) else to_json(value).decode(), limit)
        except ToolFailure as exc:
            return _result("error", str(exc), limit)
        except Exception as exc:  # the edge to foreign code: its every fault is an answer
            logger.exception("the tool %s failed", name)
            return _result("error", f"{type(exc).__name__}: {exc}", limit)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as exc:
        cause = f"{type(exc).__name__}: {exc}{_location(exc)}"
        raise ToolboxError(f"the tools of {name} cannot be imported: {cause}") from exc


def _location(error: Exception) -> str:
    """Where in foreign code an error comes from; empty if it does not."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _tools_of(module: ModuleType) -> list[Tool]:
    found = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not found:
        raise ToolboxError(f"the module {module.__name__} has no tool: put @tool over an async function in it")
    return found


async def _within_time(found: Tool, call: Callable[[], Awaitable[object]]) -> object:
    scope = asyncio.timeout(found.spec.timeout)
    try:
        async with scope:
            return await call()
    except TimeoutError as exc:
        if not scope.expired():
            raise  # the tool's own
        raise ToolFailure(f"{found.spec.name} was ended after {found.spec.timeout:g} s.") from exc


def _result(status: Literal["ok", "error"], text: str, limit: int) -> ToolResult:
    text = _storable(text)
    return ToolResult(status, text) if len(text) <= limit else ToolResult(status, text[:limit], whole=text)


def _storable(text: str) -> str:
    """The text without what JSON or a database cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
