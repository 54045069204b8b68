"""``longrun dev`` in the folder of somebody's own project, which has packages of the names that ours once had."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import yaml
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from longrun.dev.temporal.config import FILE_NAME, config_file
from tests.dev_server import found, take_port

TOOLS = """
from longrun import ToolContext, tool
from workflows.greeting import GREETING


@tool()
async def greet(name: str, context: ToolContext) -> str:
    \"\"\"Greet somebody.

    Args:
        name: Who.
    \"\"\"
    (context.workspace / "greeted.txt").write_text(name)
    return f"{GREETING}, {name}!"
"""
SCRIPT = """
turns:
  - tool_calls: [{name: greet, arguments: {name: Ann}}]
  - text: "{last_result}"
"""
_PATIENCE = 50.0


def project(folder: Path) -> int:
    """Somebody's project: packages, tools, a script, and a configuration of Temporal, whose port is returned."""
    for package in ("workflows", "activities", "store", "gateway", "runtime"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    (folder / "workflows" / "greeting.py").write_text('GREETING = "Good morning"\n')
    (folder / "mytools.py").write_text(TOOLS)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "greeter.yaml").write_text(SCRIPT)
    port = take_port()
    config = yaml.safe_load(config_file(Path(os.devnull)).read_text(encoding="utf-8"))
    (folder / FILE_NAME).write_text(yaml.safe_dump({**config, "port": port, "ui_port": take_port(), "retention": "2d"}))
    return port


@asynccontextmanager
async def dev(folder: Path, environ: dict[str, str]) -> AsyncGenerator[str]:
    """The URL of the API of a ``longrun dev`` that was started in a folder."""
    command = (str(Path(sys.executable).with_name("longrun")), "dev", "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    output = ""
    try:
        async with asyncio.timeout(_PATIENCE):
            while "ready; Ctrl-C stops all" not in output:
                line = await process.stdout.readline()
                assert line, output
                output += line.decode()
        api = re.search(r"API +(\S+)", output)
        assert api, output
        yield api[1]
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@pytest.mark.server
@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", [{}, {"PYTHONPATH": "."}], ids=["plain", "PYTHONPATH=."])
async def test_dev_works_in_a_project_that_has_packages_tools_and_a_configuration_of_its_own(
    tmp_path: Path, path: dict[str, str]
) -> None:
    found()
    port = project(tmp_path)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own = {"LONGRUN_TOOLS": "mytools", "LONGRUN_SCRIPTS": str(tmp_path / "scripts")}
    async with dev(tmp_path, {**kept, **own, **path}) as api:
        async with httpx2.AsyncClient(base_url=api, trust_env=False, timeout=30) as http:
            order = {"agent": {"model": "scripted/greeter", "tools": ["greet"]}, "input": "hi"}
            streamed = await http.post("/api/runs", params={"stream": "true"}, json=order)
        client = await Client.connect(f"127.0.0.1:{port}")
        namespace = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert '"output":"Good morning, Ann!"' in streamed.text
    assert (tmp_path / ".longrun" / "workspace" / "greeted.txt").read_text() == "Ann"
    assert namespace.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=2)
