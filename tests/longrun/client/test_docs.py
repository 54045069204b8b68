"""The examples of docs/client.md, and those of the README that use the client, run as they stand there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from longrun.client import Client
from tests.running import running
from tests.test_readme import README, Example

DOCUMENT = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
_PATIENCE = 30.0


def examples() -> list[Example]:
    """The programs, and what they print."""
    found = [Example(program, shown) for program, shown in _BLOCK.findall(DOCUMENT + README)]
    return [example for example in found if "Client(" in example.command]


async def printed(program: str, url: str) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={**os.environ, "LONGRUN_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.server
async def test_every_example_prints_what_the_document_shows(temporal: str, tmp_path: Path) -> None:
    assert len(examples()) >= 5
    async with running(temporal, tmp_path) as front:
        for example in examples():
            output = await printed(example.command, front.base_url)
            assert example.matches(output), f"{example.command}\n{output}"


def test_every_method_is_in_the_table() -> None:
    named = set(re.findall(r"`(\w+)`", DOCUMENT.partition("## Methods")[2]))
    methods = {name for name, each in vars(Client).items() if callable(each) and not name.startswith("_")}
    assert methods - named == {"close", "send"}
