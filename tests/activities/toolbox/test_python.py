"""Code of a model's runs in limits, and nothing of it outlives its call."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from pydantic import JsonValue

from longrun.activities.toolbox import process, python_child
from longrun.activities.toolbox.process import BoundedOutput, Program, run_program, unreported
from longrun.activities.toolbox.python import OutputReporter
from longrun.activities.toolbox.registry import Toolbox, ToolResult
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from tests.patience import PATIENCE
from tests.processes import alive

Run = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def run(toolbox: Toolbox, context: ToolContext) -> Run:
    async def run(code: str, timeout_seconds: float = 30) -> ToolResult:
        arguments = json.dumps({"code": code, "timeout_seconds": timeout_seconds})
        return await toolbox.run("run_python", arguments, context)

    return run


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - it is another process that changes
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never {what}")


async def test_the_answer_is_what_was_printed(run: Run) -> None:
    assert await run("print('größe'); import sys; print('no', file=sys.stderr)") == ToolResult("ok", "größe\nno\n")
    assert await run("x = 1") == ToolResult("ok", "(no output)")


async def test_the_program_is_main_in_the_workspace(run: Run, workspace: Path) -> None:
    (workspace / "near.py").write_text("name = 'near'")
    result = await run("import os, near\nif __name__ == '__main__': print(os.getcwd(), near.name, input.__name__)")
    assert result == ToolResult("ok", f"{workspace} near input\n")


async def test_nothing_can_be_read_from_stdin(run: Run) -> None:
    assert (await run("import sys; print(repr(sys.stdin.read()))")).content == "''\n"


async def test_a_traceback_shows_the_program_and_not_the_launcher(run: Run) -> None:
    result = await run("def divide():\n    return 1 / 0\n\ndivide()")
    assert result.status == "error"
    assert result.content.startswith("The program ended with exit code 1.\nTraceback (most recent call last):\n")
    assert "    return 1 / 0" in result.content
    assert result.content.endswith("ZeroDivisionError: division by zero")
    assert "python_child" not in result.content
    assert "SyntaxError" in (await run("def")).content


async def test_an_exit_code_or_a_signal_is_told(run: Run) -> None:
    assert await run("raise SystemExit(3)") == ToolResult("error", "The program ended with exit code 3.")
    assert await run("import os; os.kill(os.getpid(), 9)") == ToolResult(
        "error", "The program was ended by a signal: Killed."
    )


async def test_the_environment_has_no_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    result = await run("import os, json; print(json.dumps(dict(os.environ)))")
    assert set(json.loads(result.content)) == {"PATH", "LANG", "HOME", "LC_CTYPE"} - (
        set() if "LC_CTYPE" in result.content else {"LC_CTYPE"}
    )


async def test_memory_and_file_size_are_limited(run: Run, workspace: Path) -> None:
    assert (await run("x = bytearray(2 * 1024**3)")).content.endswith("MemoryError")
    result = await run("open('big', 'wb').truncate(65 * 1024**2)")
    assert "File too large" in result.content


async def test_processor_time_is_limited(tmp_path: Path) -> None:
    limits = json.dumps({"RLIMIT_CPU": 1, "alarm": 30})
    program = Program(Path(python_child.__file__), (limits,), b"while True: pass", tmp_path, 30)
    ended = await run_program(program, unreported)
    assert ended.code in (-signal.SIGKILL, -signal.SIGXCPU)


async def test_a_program_ends_by_itself_when_nobody_ends_it(tmp_path: Path) -> None:
    program = Program(
        Path(python_child.__file__), (json.dumps({"alarm": 1}),), b"import time; time.sleep(60)", tmp_path, 30
    )
    assert (await run_program(program, unreported)).code == -signal.SIGALRM


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", sleeper])
print(os.getpid(), child.pid)
time.sleep(600)
"""


async def test_at_its_time_it_is_killed_with_all_that_it_started(run: Run) -> None:
    result = await run(STUBBORN, timeout_seconds=1)
    assert result.status == "error"
    first, second = result.content.splitlines()
    assert first == "The program was killed after 1 s."
    for pid in map(int, second.split()):
        await until(lambda pid=pid: not alive(pid), f"dead: {pid}")


async def test_a_cancel_kills_it_with_all_that_it_started(run: Run, reports: list[JsonValue]) -> None:
    task = asyncio.ensure_future(run(STUBBORN))
    await until(lambda: bool(reports), "reported")
    report = reports[0]
    assert isinstance(report, dict)
    pids = [int(text) for text in str(report["output"]).split()]
    assert all(alive(pid) for pid in pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in pids:
        await until(lambda pid=pid: not alive(pid), f"dead: {pid}")


async def test_what_it_leaves_behind_is_killed_when_it_ends(run: Run) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid)"
    result = await run(code)
    assert result.status == "ok"
    await until(lambda: not alive(int(result.content)), "dead")


async def test_a_process_that_left_the_group_cannot_keep_the_call_open(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.05)
    result = await run("import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)")
    pid = int(result.content)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_it_may_close_its_output_and_go_on(run: Run, workspace: Path) -> None:
    code = "import os, time\nos.close(1); os.close(2)\ntime.sleep(0.2)\nopen('done', 'w').close()\nos._exit(0)"
    assert await run(code) == ToolResult("ok", "(no output)")
    assert (workspace / "done").exists()


async def test_endless_output_is_bounded_with_its_beginning_and_end(run: Run) -> None:
    result = await run("print('first'); print('x' * 10_000_000); raise ValueError('last')")
    assert result.status == "error"
    assert "first\n" in result.content
    assert "bytes left out] ..." in result.content
    assert result.content.endswith("ValueError: last")
    assert len(result.content) < 50_000


def test_a_bounded_output_says_how_much_it_left_out() -> None:
    output = BoundedOutput(head_size=4, tail_size=3)
    for chunk in (b"ab", b"cdef", b"ghij"):
        output.add(chunk)
    assert output.text == "abcd\n... [3 bytes left out] ...\nhij"


async def test_lines_are_reported_while_it_runs(run: Run, workspace: Path, reports: list[JsonValue]) -> None:
    code = "import os, time\nprint('one')\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')"
    task = asyncio.ensure_future(run(code))
    await until(lambda: reports == [{"output": "one\n"}], "reported")
    (workspace / "go").touch()
    assert await task == ToolResult("ok", "one\ntwo\n")


async def test_reports_are_whole_lines_not_too_often_and_not_too_much(
    context: ToolContext, reports: list[JsonValue]
) -> None:
    slow = OutputReporter(context, interval=3600)
    for chunk in (b"on", b"e\ntw", b"o\nthree\n"):
        await slow.add(chunk)
    assert reports == [{"output": "one\n"}]
    reports.clear()
    quick = OutputReporter(context, interval=0, budget=6)
    for chunk in (b"one\n", b"", b"two\nthree\n", b"four\n"):
        await quick.add(chunk)
    assert reports == [{"output": "one\n"}, {"output": "tw"}, {"output": "... [no more is reported]\n"}]


async def test_a_report_that_fails_ends_the_program(tmp_path: Path) -> None:
    pids: list[int] = []

    async def refuse(chunk: bytes) -> None:
        if chunk:
            pids.extend(map(int, chunk.split()))
            raise TimeoutError("the store is away")

    program = Program(Path(python_child.__file__), (json.dumps({"alarm": 60}),), STUBBORN.encode(), tmp_path, 30)
    with pytest.raises(TimeoutError, match="the store is away"):
        await run_program(program, refuse)
    for pid in pids:
        await until(lambda pid=pid: not alive(pid), f"dead: {pid}")


async def test_a_program_that_cannot_start_is_a_failure(tmp_path: Path) -> None:
    program = Program(Path(python_child.__file__), (), b"", tmp_path / "nowhere", 30)
    with pytest.raises(ToolFailure, match="could not be started"):
        await run_program(program, unreported)


def test_the_launcher_limits_and_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the child processes above do, here once where it is measured."""
    for name, value in {
        "argv": ["python_child.py", '{"alarm": 0, "RLIMIT_UNHEARD_OF": 1}'],
        "stdin": TextIOWrapper(BytesIO(b"print(__name__)\ndef f(): raise LookupError('gone')")),
        "path": list(sys.path),
        "excepthook": sys.excepthook,
    }.items():
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    python_child.main()
    assert capsys.readouterr().out == "__main__\n"
    with pytest.raises(LookupError) as caught:
        vars(sys.modules["__main__"])["f"]()
    python_child.show(caught.type, caught.value, caught.tb)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", '  File "<run_python>", line 2, in f']
    assert lines[-1] == "LookupError: gone"
