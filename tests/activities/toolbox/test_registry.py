"""Whatever a model asks for, it gets an answer that it can understand."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from longrun.activities.toolbox.registry import Toolbox, ToolboxError, ToolResult, tool
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from tests.provider_fake import Flag

Run = Callable[[str, str], Awaitable[ToolResult]]


class Answer(BaseModel):
    number: int


@tool()
async def add(a: int, b: int = 1) -> Answer:
    """Add."""
    return Answer(number=a + b)


@tool(return_char_limit=10)
async def repeat(text: str, times: int) -> str:
    """Repeat."""
    return text * times


@tool(timeout=0.02)
async def hang() -> None:
    """Hang."""
    await asyncio.Event().wait()


@tool()
async def time_out() -> None:
    """Raise a timeout that is the tool's own."""
    raise TimeoutError("the printer does not answer")


@tool()
async def refuse(reason: str) -> None:
    """Refuse."""
    raise ToolFailure(reason)


@tool()
async def crash() -> None:
    """Crash."""
    raise LookupError("no such shelf")


@tool()
async def misread() -> int:
    """Read something of the tool's own that is not valid."""
    return TypeAdapter(int).validate_python("many")


@tool()
async def give_object() -> object:
    """Return what has no JSON."""
    return object()


@pytest.fixture
def run(context: ToolContext) -> Run:
    box = Toolbox([add, repeat, hang, time_out, refuse, crash, misread, give_object])

    async def run(name: str, arguments: str) -> ToolResult:
        return await box.run(name, arguments, context)

    return run


async def test_a_model_is_returned_as_json(run: Run) -> None:
    assert await run("add", '{"a": 2}') == ToolResult("ok", '{"number":3}')


@pytest.mark.parametrize("arguments", ['{"a": 2', "a=2", '{"a": 2}}', "nonsense"])
async def test_a_call_with_bad_json_is_a_result_the_model_sees(run: Run, arguments: str) -> None:
    result = await run("add", arguments)
    assert result.status == "error"
    assert result.content.startswith("The arguments of add are not valid JSON: ")


async def test_each_wrong_argument_is_named(run: Run) -> None:
    result = await run("add", '{"b": "many", "c": 1}')
    assert result == ToolResult(
        "error",
        "The arguments of add are not valid:\n"
        "- a: Field required\n"
        "- b: Input should be a valid integer, unable to parse string as an integer, but it is 'many'\n"
        "- c: Extra inputs are not permitted",
    )


async def test_arguments_that_are_not_an_object_are_refused(run: Run) -> None:
    result = await run("add", "[1]")
    assert result.status == "error"
    assert "- the whole: " in result.content


async def test_a_wrong_argument_is_shown_in_short(run: Run) -> None:
    result = await run("add", f'{{"a": "{"x" * 5000}"}}')
    assert result.content.endswith("xxx...")
    assert len(result.content) < 300


async def test_many_wrong_arguments_are_counted(run: Run) -> None:
    extra = ", ".join(f'"x{number}": 0' for number in range(30))
    result = await run("add", f'{{"a": 1, {extra}}}')
    assert result.content.endswith("- and 10 more")


async def test_an_unknown_tool_is_answered_with_the_known_ones(run: Run) -> None:
    result = await run("subtract", "{}")
    assert result.status == "error"
    assert result.content.startswith("There is no tool named 'subtract'. The tools are: add, repeat, hang")


async def test_a_long_result_is_its_beginning_and_the_whole(run: Run) -> None:
    assert await run("repeat", '{"text": "ab", "times": 6}') == ToolResult("ok", "ababababab", whole="ab" * 6)
    assert await run("repeat", '{"text": "ab", "times": 5}') == ToolResult("ok", "ababababab")


async def test_a_result_holds_nothing_that_a_database_refuses(run: Run) -> None:
    assert (await run("repeat", '{"text": "a\\u0000b", "times": 1}')).content == "a\ufffdb"


async def test_a_tool_that_takes_too_long_is_ended(run: Run) -> None:
    assert await run("hang", "{}") == ToolResult("error", "hang was ended after 0.02 s.")


async def test_a_failure_is_the_answer(run: Run) -> None:
    assert await run("refuse", '{"reason": "it is late"}') == ToolResult("error", "it is late")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("crash", "LookupError: no such shelf"),
        ("time_out", "TimeoutError: the printer does not answer"),
        ("misread", "ValidationError: 1 validation error for int"),
        ("give_object", "PydanticSerializationError: Unable to serialize"),
    ],
)
async def test_an_unexpected_exception_is_an_answer_and_logged(
    run: Run, caplog: pytest.LogCaptureFixture, name: str, answer: str
) -> None:
    with caplog.at_level(logging.ERROR):
        result = await run(name, "{}")
    assert result.status == "error"
    assert result.content.startswith(answer)
    assert f"the tool {name} failed" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_cancellation_goes_through(context: ToolContext) -> None:
    started, cleaned = Flag(), Flag()

    @tool()
    async def begin() -> None:
        """Begin and never end."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    task = asyncio.create_task(Toolbox([begin]).run("begin", "{}", context))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


async def test_a_tool_that_blocks_holds_nobody_else_up(context: ToolContext) -> None:
    going_on = Flag()

    @tool(timeout=20)
    async def block() -> str:
        """Block the loop it runs on until the rest of the process has gone on."""
        return str(going_on.blocking(15))

    running = asyncio.create_task(Toolbox([block]).run("block", "{}", context))
    await asyncio.sleep(0.05)
    going_on.set()
    assert (await running).content == "True"


async def test_a_tool_that_blocks_is_given_up_in_time(context: ToolContext) -> None:
    never = Flag()

    @tool(timeout=0.05)
    async def block() -> str:
        """Block."""
        return str(never.blocking(1))

    assert (await Toolbox([block]).run("block", "{}", context)).content == "block was ended after 0.05 s."


def test_ours_are_there_and_what_changes_something_asks() -> None:
    specs = {spec.name: spec for spec in Toolbox.load().specs()}
    assert {name: (spec.effect, spec.approval.mode) for name, spec in specs.items()} == {
        "list_files": ("read", "never"),
        "read_file": ("read", "never"),
        "search_files": ("read", "never"),
        "write_file": ("write", "always"),
        "run_python": ("write", "always"),
        "http_get": ("read", "never"),
    }


_MODULE = '''
from longrun.activities.toolbox.definition import tool

@tool()
async def {name}() -> str:
    """Say it."""
    return "{name}"

again = {name}
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from, gone again afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_other_modules_add_their_tools_each_once(package: Path) -> None:
    (package / "moon.py").write_text(_MODULE.format(name="shine"))
    (package / "sky.py").write_text("from moon import shine\n" + _MODULE.format(name="rain"))
    box = Toolbox.load(" moon, sky,")
    assert [spec.name for spec in box.specs()][-2:] == ["shine", "rain"]
    assert box.find("rain") is not None
    assert box.find("snow") is None


def test_two_tools_of_one_name_are_refused_naming_both_modules(package: Path) -> None:
    (package / "north.py").write_text(_MODULE.format(name="blow"))
    (package / "south.py").write_text(_MODULE.format(name="blow"))
    with pytest.raises(ToolboxError, match="two tools named blow: in north and in south"):
        Toolbox.load("north,south")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "\nimport nothing_like_it",
            r"tools of broken cannot be imported: ModuleNotFoundError: .*nothing_like_it.* \(.*broken\.py, line 2\)",
        ),
        ("def :", "the tools of broken cannot be imported: SyntaxError"),
        ("x = 1", "the module broken has no tool"),
    ],
)
def test_a_module_that_gives_no_tools_is_named(package: Path, text: str, reason: str) -> None:
    (package / "broken.py").write_text(text)
    with pytest.raises(ToolboxError, match=reason):
        Toolbox.load("broken")


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolboxError, match=r"the tools of no\.such\.module cannot be imported"):
        Toolbox.load("no.such.module")
