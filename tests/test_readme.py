"""The README's examples, run as they stand there."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from longrun.activities.providers.settings import ProviderSettings
from longrun.runtime.settings import Settings
from tests.patience import PATIENCE
from tests.running import Front, running

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"([A-Z]+)=\$\((.*)\)")
_GENERIC = {
    r"…\\\n": r"(?:.*\n)*",
    r"…": r".*",
    r"[0-9a-f]{8}(?:\\-[0-9a-f]+){4}": r"[0-9a-f-]{36}",
    r"call_[0-9a-f]+": r"call_[0-9a-f]+",
    r"[\w.\\-]+@[\w.\\-]+": r"\S+@\S+",
    r"(?:\\ ){2,}": r" {2,}",
    r"\d+": r"\d+",
}


@dataclass
class Example:
    """A command, and what the README shows of its output."""

    command: str
    shown: str

    def matches(self, output: str) -> bool:
        """Whether the output is what is shown, but for what is left out and for numbers, times and ids."""
        pattern = re.sub("|".join(f"({known})" for known in _GENERIC), _generic, re.escape(self.shown.strip()))
        return not self.shown or re.fullmatch(pattern, output.strip()) is not None


def _generic(found: re.Match[str]) -> str:
    assert found.lastindex
    return list(_GENERIC.values())[found.lastindex - 1]


def examples() -> Iterator[Example]:
    """All commands of the README, in order."""
    for block in _BLOCK.findall(README):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Example(command, shown)


async def _run(command: str, environ: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command), env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return output.decode()


async def _shown(example: Example, front: Front, environ: dict[str, str]) -> str:
    """What the command says. One that only looks may look again until the run has come so far."""
    command = example.command.replace("localhost:8283", front.base_url.removeprefix("http://"))
    looks = " -d " not in command
    async with asyncio.timeout(PATIENCE):
        while True:
            output = await _run(await _resuming(command, front, environ), environ)
            if not looks or example.matches(output):
                return output
            await asyncio.sleep(0.1)


async def _resuming(command: str, front: Front, environ: dict[str, str]) -> str:
    """The command, resuming two events before the end: how many there are depends on how the text came."""
    if "Last-Event-ID" not in command:
        return command
    page = (await front.http.get(f"/api/runs/{environ['RUN']}/events", params={"limit": 500})).json()
    return re.sub(r"(Last-Event-ID: )\d+", rf"\g<1>{len(page['events']) - 2}", command)


@pytest.mark.server
async def test_every_example_says_what_the_readme_shows(temporal: str, tmp_path: Path) -> None:
    async with running(temporal, tmp_path) as front:
        environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LONGRUN_URL": front.base_url,
            "TEMPORAL_ADDRESS": temporal,
            "COLUMNS": "200",
        }
        for example in examples():
            if assigned := _ASSIGNED.fullmatch(example.command):
                output = await _run(assigned[2].replace("localhost:8283", front.base_url), environ)
                environ[assigned[1]] = output.strip()
            else:
                output = await _shown(example, front, environ)
            assert example.matches(output), f"{example.command}\n{output}"


def test_each_variable_in_the_table_is_read_and_each_that_is_read_is_in_the_table() -> None:
    documented = set(re.findall(r"`(LONGRUN_\w+)`", README.partition("## Configuration")[2]))
    read = {f"LONGRUN_{name.upper()}" for name in Settings.model_fields}
    read |= {name.upper() for name in ProviderSettings.model_fields if name.startswith("longrun_")}
    assert documented == read
