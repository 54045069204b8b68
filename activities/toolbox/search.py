"""Searching the files of the workspace."""

import asyncio
import json
from pathlib import Path

from longrun.activities.toolbox.definition import tool
from longrun.activities.toolbox.process import Program, run_program, unreported
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from longrun.activities.toolbox.workspace import Workspace, file_failures, walk

SECONDS = 20.0

_SEARCHER = Path(__file__).with_name("search_child.py")


@tool()
async def search_files(context: ToolContext, pattern: str, path: str = ".") -> str:
    """Search text files of the workspace, line by line. Each match is a line: path:number: text.

    Hidden folders, dependency folders, binary and very large files are left out.

    Args:
        context: The call.
        pattern: A regular expression in Python's syntax; (?i) at its start ignores case.
        path: The folder or file to search, relative to the workspace.
    """
    files = await asyncio.to_thread(_files, Workspace(context.workspace), path)
    request = json.dumps({"pattern": pattern, "files": files}).encode()
    ended = await run_program(Program(_SEARCHER, (), request, context.workspace, SECONDS), unreported)
    if ended.code is None:
        raise ToolFailure(f"the search took more than {SECONDS:g} s: use a simpler pattern or a smaller folder")
    if ended.code != 0:
        raise ToolFailure(ended.output.strip())
    return ended.output or f"(no match in {len(files)} files)"


def _files(workspace: Workspace, path: str) -> list[tuple[str, str]]:
    """Each file to search, as it is shown and where it is."""
    start = workspace.resolve(path)
    with file_failures(path):
        if start.is_file():
            return [(workspace.shown(start), str(start))]
        if not start.is_dir():
            raise ToolFailure(f"{path!r} is not there")
        found = [Path(entry.path) for entry in walk(start) if entry.is_file(follow_symlinks=False)]
    return [(workspace.shown(file), str(file)) for file in found]
