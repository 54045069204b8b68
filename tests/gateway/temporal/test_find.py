import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from gateway.temporal.config import SetupError
from gateway.temporal.find import TemporalFinder, go_version
from gateway.temporal.server import main

FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
[ "$2" = github.com/temporalio/cli/cmd/temporal@v1.5.1 ] || exit 9
{install}
"""


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A cache and a PATH of its own. Nothing can be downloaded: the proxy is nobody."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.bin = folder / "bin"
        self.environ = {
            "PATH": str(self.bin),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        self.finder = TemporalFinder(self.environ, self.said.append)

    def go(self, version: str, install: str) -> None:
        program(self.bin / "go", FAKE_GO.format(version=version, install=install))


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
    assert machine.said == ["Temporal: the server at far:7233 (TEMPORAL_ADDRESS)"]


async def test_a_binary_on_path_wins_over_the_cache(machine: Machine) -> None:
    cached = program(machine.finder.cached)
    assert (await machine.finder.find()).binary == cached
    on_path = program(machine.bin / "temporal")
    assert (await machine.finder.find()).binary == on_path
    assert machine.said == [f"Temporal: {cached} (in the cache)", f"Temporal: {on_path} (on PATH)"]


async def test_go_builds_one_into_the_cache_when_a_download_fails(machine: Machine) -> None:
    machine.go("1.25.0", 'printf "#!/bin/sh\\n" > "$GOBIN/temporal"')
    abandoned = machine.finder.cached.parent / "fetch-old"
    young = machine.finder.cached.parent / "fetch-young"
    for folder in (abandoned, young):
        folder.mkdir(parents=True)
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, times=(two_hours_ago, two_hours_ago))

    found = await machine.finder.find()

    assert found.binary == machine.finder.cached
    assert os.access(found.binary, os.X_OK)
    assert "the SDK's download did not work" in machine.said[1]
    assert machine.said[-1].endswith("(by go install github.com/temporalio/cli/cmd/temporal@v1.5.1)")
    assert sorted(path.name for path in machine.finder.cached.parent.iterdir()) == ["fetch-young", "temporal"]


@pytest.mark.parametrize(
    ("version", "install", "complaint"),
    [
        ("1.24.9", "exit 0", "is Go 1.24, 1.25 is needed"),
        ("1.26.1", "echo no such module; exit 1", "did not work: no such module"),
        ("1.26.1", "exit 1", "did not work: go ended with 1"),
        ("1.26.1", "exit 0", "did not work: .*No such file"),
        ("devel", "exit 0", "is Go 0.0"),
    ],
)
async def test_when_nothing_works_one_message_says_what_to_do(
    machine: Machine, version: str, install: str, complaint: str
) -> None:
    machine.go(version, install)
    with pytest.raises(SetupError, match="set TEMPORAL_ADDRESS") as refused:
        await machine.finder.find()

    assert str(machine.finder.cached) in str(refused.value)
    assert "install Go 1.25" in str(refused.value)
    assert re.search(complaint, machine.said[-1])
    assert list(machine.finder.cached.parent.iterdir()) == []


async def test_a_build_that_is_called_off_leaves_nothing(machine: Machine) -> None:
    machine.go("1.25.0", ': > "$GOBIN/temporal"; exec /bin/sleep 60')
    finding = asyncio.create_task(machine.finder.find())
    for _ in range(1000):
        if list(machine.finder.cached.parent.glob("fetch-*/temporal")):
            break
        await asyncio.sleep(0.02)
    assert not finding.done()
    finding.cancel()
    await asyncio.wait({finding})

    assert finding.cancelled()
    assert list(machine.finder.cached.parent.iterdir()) == []


async def test_the_version_of_go_is_read(machine: Machine) -> None:
    machine.go("1.26.8", "")
    assert await go_version(str(machine.bin / "go")) == (1, 26)


def test_as_a_program_it_prints_the_choice(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(machine.bin))
    assert main() == 1
    assert "no Temporal server was found" in capsys.readouterr().err
    binary = program(machine.bin / "temporal")
    assert main() == 0
    assert capsys.readouterr().err == f"Temporal: {binary} (on PATH)\n"
