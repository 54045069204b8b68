"""What ``longrun doctor`` says of a project: its store, its tools, its scripts and its hosts of models."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.script import read_script
from longrun.activities.providers.settings import ProviderSettings
from longrun.activities.toolbox.registry import Toolbox, ToolboxError
from longrun.cli.doctor import Finding
from longrun.runtime.hosts import HostsError, load_hosts
from longrun.runtime.plain import PlainError
from longrun.runtime.settings import Settings
from longrun.store.db.engines import shown, sqlite_file
from longrun.store.db.schema import state

_SQLITE = b"SQLite format 3\x00"


def check_store(settings: Settings) -> Finding:
    """Whether the store can be used; a connection to another database than SQLite is tried."""
    try:
        path = sqlite_file(settings.database)
        where = str(path or shown(settings.database))
        if path and not path.exists():
            return Finding("store", "ok", f"{path} will be made")
        if path and path.stat().st_size and not _is_sqlite(path):
            return Finding(
                "store", "missing", f"{path} is not SQLite", "move it away; what history keeps can be rebuilt"
            )
        found = state(settings.database)
    except ImportError as error:
        return Finding("store", "missing", str(error), "pip install 'longrun-server[postgres]'")
    except (OSError, PlainError) as error:
        advice = "make it readable, or set LONGRUN_DATABASE_URL"
        return Finding("store", "missing", " ".join(str(error).split()), advice)
    return Finding("store", "ok", f"{where}, {'no tables yet' if found == 'empty' else f'schema {found}'}")


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def check_project(settings: Settings) -> list[Finding]:
    """The store, the tools, the scripts and the hosts of models that the settings name."""
    scripts = ProviderSettings().longrun_scripts
    return [
        check_store(settings),
        _check_tools(settings),
        *_check_scripts(scripts),
        *_check_hosts(settings, os.environ),
    ]


def _check_tools(settings: Settings) -> Finding:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as a worker does
    try:
        tools = Toolbox.load(settings.tools).specs()
    except ToolboxError as error:
        return Finding("tools", "missing", str(error), "put LONGRUN_TOOLS right")
    return Finding("tools", "ok", f"{len(tools)}: {', '.join(tool.name for tool in tools)}")


def _check_scripts(folder: Path | None) -> list[Finding]:
    if folder is None:
        return []
    if not folder.is_dir():
        return [Finding("scripts", "missing", f"{folder} is no folder", "put LONGRUN_SCRIPTS right")]
    files = sorted(folder.glob("*.yaml"))
    wrong: list[Finding] = []
    for file in files:
        try:
            read_script(file)
        except ProviderFailure as error:
            wrong.append(Finding("scripts", "note", " ".join(str(error).split()), "see docs/scripts.md"))
    return wrong or [Finding("scripts", "ok", f"{folder}: {', '.join(file.stem for file in files) or 'none yet'}")]


def _check_hosts(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    try:
        hosts = load_hosts(settings.providers)
    except HostsError as error:
        return [Finding("hosts of models", "missing", str(error), "see docs/hosts.md")]
    findings: list[Finding] = []
    for name, host in hosts.items():
        unset = host.api_key_env is not None and not environ.get(host.api_key_env)
        advice = f"set {host.api_key_env} for {name}/… models" if unset else ""
        findings.append(Finding(f"{name}/…", "note" if unset else "ok", f"{host.kind} at {host.base_url}", advice))
    return findings
