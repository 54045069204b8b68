import io
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console

from longrun.cli.doctor import (
    Finding,
    check_home,
    check_keys,
    check_packages,
    check_ports,
    check_python,
    check_temporal,
    examine,
    report,
)
from longrun.cli.project import check_project, check_store
from longrun.dev.command import only_one
from longrun.dev.temporal.config import FILE_NAME
from longrun.dev.temporal.find import TemporalFinder
from longrun.runtime.settings import Settings
from longrun.store.db.schema import migrate, newest

EMPTY = {"TEMPORAL_CONFIG_FILE": os.devnull}


def settings(home: Path, **values: object) -> Settings:
    return Settings.model_validate({"home": home, **values})


def finder(**environ: str) -> TemporalFinder:
    """One on a machine where no package has brought a server."""
    return TemporalFinder({**EMPTY, **environ}, lambda _: None, Path("/nowhere"))


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.verdict for finding in findings}


def printed(findings: list[Finding]) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    status = report(findings, console)
    assert isinstance(console.file, io.StringIO)
    return status, console.file.getvalue()


def test_this_python_and_all_packages_are_there() -> None:
    assert check_python().verdict == "ok"
    assert {finding.verdict for finding in check_packages()} == {"ok"}


def test_a_package_that_is_not_there_stops_longrun_and_says_how_to_get_it() -> None:
    status, text = printed(check_packages({"no-such-package": "no_such_package"}))
    assert status == 1
    assert "make setup" in text
    assert "longrun cannot run" in text


def test_a_note_does_not_stop_longrun() -> None:
    status, text = printed([Finding("Temporal", "note", "none yet", "pip install it")])
    assert status == 0
    assert "longrun can run." in text


def test_what_is_read_through_a_pipe_is_not_folded() -> None:
    console = Console(file=(out := io.StringIO()), width=40)
    report([Finding("store", "ok", "/a/long/path/" * 20)], console)
    assert "/a/long/path/" * 20 in out.getvalue()


async def test_a_server_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    server = await check_temporal(finder(TEMPORAL_ADDRESS="127.0.0.1:9"))
    assert server.verdict == "missing"
    assert "127.0.0.1:9" in server.found


@pytest.mark.server
async def test_a_server_that_answers_is_fine(temporal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    server = await check_temporal(finder(TEMPORAL_ADDRESS=temporal))
    assert server.verdict == "ok"


async def test_no_server_at_all_is_a_note_since_one_can_be_had(tmp_path: Path) -> None:
    server = await check_temporal(finder(PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)))
    assert server.verdict == "note"
    assert "pip install 'longrun-server[dev-server]'" in server.advice


def test_a_taken_port_and_a_broken_file_are_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = settings(tmp_path, port=server.getsockname()[1])
        (tmp_path / FILE_NAME).write_text("port: x")
        found = verdicts(check_ports(taken, EMPTY, tmp_path))
    assert found == {"temporal-dev.yaml": "missing", "port for the gateway": "note"}
    free = verdicts(check_ports(settings(tmp_path, port=0), EMPTY, tmp_path / "elsewhere"))
    assert free["temporal-dev.yaml"] == "ok"
    assert "port for Temporal's Web UI" in free
    given = check_ports(settings(tmp_path, port=0), {**EMPTY, "TEMPORAL_ADDRESS": "far:7233"}, tmp_path)
    assert verdicts(given) == {"port for the gateway": "ok"}


def test_the_home_folder_and_the_store_in_it_are_looked_at(tmp_path: Path) -> None:
    home = settings(tmp_path / "new" / "home")
    assert [finding.verdict for finding in (*check_home(home), check_store(home))] == ["ok", "ok"]
    store = tmp_path / "longrun.db"
    migrate(settings(tmp_path).database)
    assert check_store(settings(tmp_path)).found == f"{store}, schema {newest()}"
    store.write_bytes(b"something else altogether")
    assert check_store(settings(tmp_path)).verdict == "missing"
    store.unlink()
    store.mkdir()
    assert check_store(settings(tmp_path)).verdict == "missing"


@pytest.mark.parametrize("url", ["postgresql://me:secret@127.0.0.1:9/longrun", "mysql://db/longrun", "no url"])
def test_a_database_that_cannot_be_used_is_missing(url: str, tmp_path: Path) -> None:
    found = check_store(settings(tmp_path, database_url=url))
    assert found.verdict == "missing"
    assert "secret" not in found.found + found.advice


def test_the_tools_scripts_and_hosts_of_the_settings_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGRUN_SCRIPTS", str(tmp_path))
    (tmp_path / "good.yaml").write_text("turns: [[{text: hi}]]")
    (tmp_path / "longrun.toml").write_text(
        "[providers.mine]\nkind = 'openai'\nbase_url = 'http://x'\napi_key_env = 'MINE'"
    )
    found = {finding.what: finding for finding in check_project(settings(tmp_path))}
    assert "run_python" in found["tools"].found
    assert found["scripts"].found == f"{tmp_path}: good"
    assert (found["mine/…"].verdict, found["mine/…"].advice) == ("note", "set MINE for mine/… models")
    (tmp_path / "bad.yaml").write_text("turns: 1")
    (tmp_path / "longrun.toml").write_text("[providers.mine]")
    wrong = verdicts(check_project(settings(tmp_path, tools="no_such_tools")))
    assert wrong == {"store": "ok", "tools": "missing", "scripts": "note", "hosts of models": "missing"}
    monkeypatch.setenv("LONGRUN_SCRIPTS", str(tmp_path / "nowhere"))
    assert verdicts(check_project(settings(tmp_path)))["scripts"] == "missing"


def test_what_runs_over_the_home_folder_is_told(tmp_path: Path) -> None:
    with only_one(tmp_path, "http://127.0.0.1:5", "127.0.0.1:6"):
        assert verdicts(check_home(settings(tmp_path))) == {"home folder": "ok", "longrun dev": "ok"}
    assert verdicts(check_home(settings(tmp_path))) == {"home folder": "ok"}


def test_a_home_that_is_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = check_home(settings(tmp_path / "file" / "home"))
    assert found.verdict == "missing"
    assert found.advice == "set LONGRUN_HOME"


def test_a_key_is_never_shown() -> None:
    findings = check_keys({"OPENAI_API_KEY": "sk-secret"})
    assert verdicts(findings) == {"OPENAI_API_KEY": "ok", "ANTHROPIC_API_KEY": "note"}
    assert "secret" not in printed(findings)[1]


async def test_the_report_covers_everything(tmp_path: Path) -> None:
    environ = {**EMPTY, "PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path)}
    found = verdicts(await examine(environ, tmp_path))
    assert found.keys() >= {"Python", "temporalio", "Temporal", "home folder", "store", "OPENAI_API_KEY"}
