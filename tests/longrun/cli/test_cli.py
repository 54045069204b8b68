import asyncio
import os
import signal
import sys
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from longrun.cli.main import app, main
from longrun.runtime.settings import Settings
from tests.build import Stores
from tests.harness import until
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
OWN_TOOL = """
import os

from longrun import tool

assert os.environ["GREETING"] == "from the file"


@tool()
async def greet(name: str) -> str:
    '''Greet somebody.'''
    return f"Hello, {name}!"
"""
HELLO = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from longrun.gateway.serve import serve
from longrun.runtime.settings import Settings


async def hello(request):
    return PlainTextResponse("hello")


def create_app():
    return Starlette(routes=[Route("/", hello)])


if __name__ == "__main__":
    serve(Settings(), "hello:create_app")
"""


def status_of_main(*arguments: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["longrun", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
    return exited.value.code


def test_help_lists_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("dev", "worker", "gateway", "run", "list", "agents", "tools", "review", "doctor"):
        assert f" {command} " in result.output


def test_doctor_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "longrun can run." in result.output


def test_a_bad_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGRUN_PORT", "many")
    assert status_of_main("gateway") == 2
    error = capsys.readouterr().err
    assert error.startswith("longrun: LONGRUN_PORT: Input should be a valid integer")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LONGRUN_API_KEY", "ann:sekret:x"),
        ("LONGRUN_API_KEY", "sekr\u00e9t"),
        ("LONGRUN_API_KEY", "an n:sekret"),
        ("LONGRUN_DATABASE_URL", "mysql://ann:sekret@there/longrun"),
    ],
)
def test_a_wrong_setting_that_is_secret_is_not_shown(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LONGRUN_HOME", str(tmp_path))
    monkeypatch.setenv(variable, value)
    assert status_of_main("gateway") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"longrun: {variable}: ")
    assert "sekr" not in error


def test_a_workspace_that_can_be_no_folder_is_told_when_a_worker_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LONGRUN_HOME", str(tmp_path))
    monkeypatch.setenv("LONGRUN_WORKSPACE", str(tmp_path / "file"))
    assert status_of_main("worker") == 2
    assert "LONGRUN_WORKSPACE: " in (error := capsys.readouterr().err)
    assert "cannot be made a folder: File exists" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [("gateway",), ("worker",), ("dev", "--port", "0")])
def test_a_wrong_file_of_hosts_is_one_line(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "longrun.toml").write_text("[providers.mine]\nkind = 'openai'\n")
    before = signal.getsignal(signal.SIGTERM)
    assert status_of_main(*command) == 2
    signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "longrun: longrun.toml: [providers.mine] base_url: is missing\n"


def test_what_the_surroundings_lack_is_told_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("LONGRUN_INSECURE", "1")
    before = signal.getsignal(signal.SIGTERM)
    assert status_of_main("dev", "--host", "192.0.2.1", "--home", str(tmp_path)) == 2
    signal.signal(signal.SIGTERM, before)
    assert "the gateway cannot listen on 192.0.2.1" in capsys.readouterr().err


def test_the_values_of_a_dotenv_file_count_but_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("LONGRUN_PORT=many\nOPENAI_API_KEY=from-the-file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "from-outside")
    monkeypatch.setenv("LONGRUN_PORT", "")
    monkeypatch.delenv("LONGRUN_PORT")
    assert status_of_main("gateway") == 2
    assert "LONGRUN_PORT" in capsys.readouterr().err
    assert os.environ["OPENAI_API_KEY"] == "from-outside"


@pytest.mark.parametrize("command", [(), ("show", "RUN"), ("approve", "CALL"), ("deny", "CALL", "--run", "RUN")])
def test_a_reviewer_without_a_temporal_server_is_told_so_in_one_line(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    assert status_of_main("review", *command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("longrun: Temporal cannot be reached: 127.0.0.1:9: Connection refused; `longrun dev` starts")


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"longrun {version('longrun-server')}\n")


@pytest.mark.server
async def test_a_worker_loads_the_tools_of_its_folder_with_its_dotenv_and_no_package(
    temporal: str, tmp_path: Path
) -> None:
    (tmp_path / "activities.py").write_text("raise RuntimeError('not longrun.activities')")
    (tmp_path / "my_tools.py").write_text(OWN_TOOL)
    (tmp_path / ".env").write_text("GREETING='from the file'\n")
    environ = {**os.environ, "LONGRUN_TOOLS": "my_tools", "TEMPORAL_ADDRESS": temporal}
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("longrun"), "worker"),
        cwd=tmp_path,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"longrun worker ready\n"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    stores = Stores.over(Settings(home=tmp_path / ".longrun").database)
    async with aclosing(stores.database):
        assert "greet" in [tool.name for tool in await stores.agents.tools()]


def test_a_worker_without_a_temporal_server_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    assert status_of_main("worker") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("longrun: Temporal cannot be reached: 127.0.0.1:9: Connection refused; `longrun dev` starts")


@pytest.mark.server
def test_a_worker_whose_tools_cannot_be_loaded_says_so(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    monkeypatch.setenv("LONGRUN_TOOLS", "nowhere")
    assert status_of_main("worker") == 2
    assert capsys.readouterr().err.startswith("longrun: the tools of nowhere cannot be imported: ModuleNotFoundError: ")


async def test_the_server_answers_where_the_settings_say_and_ends_on_sigterm(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "LONGRUN_PORT": str(free_port)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(tmp_path / "hello.py"), env=environ)
    async with httpx2.AsyncClient(trust_env=False) as client:

        async def look() -> httpx2.Response | None:
            try:
                return await client.get(f"http://127.0.0.1:{free_port}/")
            except httpx2.TransportError:
                return None

        response = await until(look, "an answer")
    assert response.text == "hello"
    assert "server" not in response.headers
    process.terminate()
    # uvicorn ends by the signal that it got.
    assert await process.wait() == -signal.SIGTERM
