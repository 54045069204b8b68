import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from longrun.dev.child import ChildProcess, Watchdog
from longrun.dev.plan import DevOptions, Plan, make_plan, start_order
from longrun.dev.temporal.config import FILE_NAME, SetupError, read_config
from longrun.dev.temporal.find import Found
from tests.dev_server import found

ROOT = Path(__file__).parents[3]
OURS = Found(how="a binary", binary=Path("/bin/temporal"))
GIVEN = Found(how="a server", address="far:7233")


async def test_options_win_over_settings_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_HOME", str(tmp_path / "from settings"))
    monkeypatch.setenv("LONGRUN_PORT", "0")
    monkeypatch.setenv("LONGRUN_HOST", "0.0.0.0")  # noqa: S104 - bound for a moment, on a free port
    options = DevOptions(temporal_port=0, ui_port=0, workers=3)

    plan = await make_plan(options, OURS, ROOT)
    assert plan.home == tmp_path / "from settings"
    assert plan.api == f"http://127.0.0.1:{plan.port}"
    assert plan.config is not None
    assert plan.ui == f"http://127.0.0.1:{plan.config.ui_port}"
    assert plan.temporal == f"127.0.0.1:{plan.config.port}"
    assert [[recipe.name for recipe in group] for group in start_order(plan, {})] == [
        ["temporal"],
        ["gateway"],
        ["worker-1", "worker-2", "worker-3"],
    ]

    other = await make_plan(DevOptions(tmp_path, "127.0.0.1", 0, 0, 0), OURS, ROOT)
    assert (other.home, other.host) == (tmp_path, "127.0.0.1")


async def test_a_server_that_is_given_is_not_started_and_keeps_its_environment(tmp_path: Path) -> None:
    plan = await make_plan(DevOptions(home=tmp_path, port=0), GIVEN, ROOT)
    inherited = {"TEMPORAL_ADDRESS": "far:7233", "TEMPORAL_API_KEY": "key"}

    assert [[recipe.name for recipe in group] for group in start_order(plan, inherited)] == [["gateway"], ["worker"]]
    assert plan.environ(inherited).items() >= inherited.items()
    assert (plan.temporal, plan.ui) == ("far:7233", None)


def test_our_own_server_is_reached_without_another_ones_keys(tmp_path: Path) -> None:
    config = read_config(ROOT / FILE_NAME)
    plan = Plan(tmp_path, "::1", 8283, OURS, config, "scripted/demo", 1)
    inherited = {"TEMPORAL_API_KEY": "key", "TEMPORAL_TLS": "true", "TEMPORAL_NAMESPACE": "mine", "HOME": "/root"}

    assert plan.api == "http://[::1]:8283"
    assert plan.environ(inherited) == {
        "HOME": "/root",
        "TEMPORAL_NAMESPACE": "mine",
        "TEMPORAL_ADDRESS": "127.0.0.1:7233",
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "LONGRUN_HOME": str(tmp_path),
        "LONGRUN_HOST": "::1",
        "LONGRUN_PORT": "8283",
        "LONGRUN_MODEL": "scripted/demo",
        "LONGRUN_GRACE": "2",
        "PYTHONUNBUFFERED": "1",
    }


async def test_the_gateway_is_ready_when_it_says_so_over_http(tmp_path: Path) -> None:
    plan = await make_plan(DevOptions(home=tmp_path, port=0), GIVEN, ROOT)
    probe = start_order(plan, {})[0][0].probe
    assert probe is not None
    assert not await probe()
    statuses = [b"503 Service Unavailable", b"200 OK"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /api/ready ")
        writer.write(b"HTTP/1.1 " + statuses.pop(0) + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, plan.host, plan.port):
        assert not await probe()
        assert await probe()


@pytest.mark.server
async def test_temporal_comes_up_tuned_over_the_home_folder_and_again_over_its_file(tmp_path: Path) -> None:
    lines: list[str] = []
    watchdog = Watchdog()
    for life in range(2):
        home = await make_plan(DevOptions(tmp_path, port=0, temporal_port=0, ui_port=0), found(), ROOT)
        ((recipe,), *_) = start_order(home, os.environ)
        patient = replace(recipe, grace=20.0)  # how long a server takes to end is not what is looked at
        child = ChildProcess(patient, lambda _, text: lines.append(text), watchdog)
        await child.start()
        try:
            await child.ready()
        finally:
            await child.stop()
        assert (tmp_path / "temporal.db").is_file(), life
    assert not [line for line in lines if "did not end" in line]


@pytest.mark.server
async def test_a_search_attribute_of_another_type_is_told_at_the_start(tmp_path: Path, temporal: str) -> None:
    config = read_config(ROOT / FILE_NAME)
    host, _, port = temporal.rpartition(":")
    wrong = config.model_copy(update={"ip": host, "port": int(port), "search_attributes": {"RunStatus": "Int"}})
    ((recipe,), *_) = start_order(Plan(tmp_path, host, 0, OURS, wrong, None, 1), {})
    assert recipe.probe is not None
    with pytest.raises(SetupError, match="RunStatus is registered with another type than Int"):
        await recipe.probe()
