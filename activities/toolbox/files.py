"""Looking at the files of the workspace and writing them."""

import asyncio
import fnmatch
import io
import os
import stat
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field

from longrun.activities.toolbox.definition import tool
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from longrun.activities.toolbox.workspace import Workspace, entries, file_failures, is_binary, walk

MAX_LISTED = 1_000
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_READ_CHARS = 45_000
_NEW_FILE_MODE = 0o644


@tool()
async def list_files(context: ToolContext, path: str = ".", pattern: str | None = None) -> str:
    """List the files of the workspace, one a line: folders end in a slash, files have their size in bytes.

    Without a pattern it lists what is directly in the folder; with one, everything below it that matches, except in
    hidden folders and dependency folders.

    Args:
        context: The call.
        path: The folder, relative to the workspace.
        pattern: A pattern such as *.md or docs/*.txt, matched with the name and with the path below the folder.
    """
    return await asyncio.to_thread(_list, Workspace(context.workspace), path, pattern)


def _list(workspace: Workspace, path: str, pattern: str | None) -> str:
    folder = workspace.resolve(path)
    with file_failures(path):
        if not folder.is_dir():
            raise ToolFailure(f"{path!r} is not a folder")
        found = entries(folder) if pattern is None else _matching(folder, pattern)
        lines = [line_of(workspace, entry) for entry in found[:MAX_LISTED]]
    if len(found) > MAX_LISTED:
        lines.append(f"... and more: only the first {MAX_LISTED} are listed; give a folder or a pattern")
    return "\n".join(lines) or "(nothing)"


def _matching(folder: Path, pattern: str) -> list[os.DirEntry[str]]:
    found: list[os.DirEntry[str]] = []
    for entry in walk(folder):
        below = Path(entry.path).relative_to(folder).as_posix()
        if fnmatch.fnmatchcase(entry.name, pattern) or fnmatch.fnmatchcase(below, pattern):
            found.append(entry)
        if len(found) > MAX_LISTED:
            break
    return sorted(found, key=lambda entry: entry.path)


def line_of(workspace: Workspace, entry: os.DirEntry[str]) -> str:
    """An entry as a line of a list."""
    shown = workspace.shown(Path(entry.path))
    if entry.is_symlink():
        return f"{shown} -> (link)"
    if entry.is_dir():
        return f"{shown}/"
    try:
        return f"{shown} ({entry.stat().st_size} bytes)"
    except FileNotFoundError:
        return f"{shown} (gone)"


@tool()
async def read_file(
    context: ToolContext,
    path: str,
    offset: Annotated[int, Field(ge=1)] = 1,
    limit: Annotated[int, Field(ge=1, le=10_000)] = 2_000,
) -> str:
    """Read a text file of the workspace. A long one comes in pieces: the last line says how to go on.

    Args:
        context: The call.
        path: The file, relative to the workspace.
        offset: The first line to read, counted from 1.
        limit: How many lines to read at most.
    """
    return await asyncio.to_thread(_read, Workspace(context.workspace), path, offset, limit)


def _read(workspace: Workspace, path: str, offset: int, limit: int) -> str:
    found = workspace.resolve(path)
    with file_failures(path):
        data = _content(found, path)
    if is_binary(data):
        raise ToolFailure(f"{path!r} is a binary file of {len(data)} bytes")
    lines = io.StringIO(data.decode("utf-8", "replace")).readlines()
    if not lines:
        return "(the file is empty)"
    if offset > len(lines):
        raise ToolFailure(f"{path!r} has {len(lines)} lines; there is no line {offset}")
    taken = _fitting(lines[offset - 1 : offset - 1 + limit])
    last = offset - 1 + len(taken)
    if last >= len(lines):
        return "".join(taken)
    text = "".join(taken)
    newline = "" if text.endswith("\n") else "\n"
    return f"{text}{newline}... [lines {offset} to {last} of {len(lines)}; go on with offset {last + 1}]"


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _content(found: Path, path: str) -> bytes:
    """The bytes of a regular file; anything else (a pipe, a device) could keep a reader waiting for ever."""
    with io.FileIO(found, opener=_open) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ToolFailure(f"{path!r} is not a file")
        if status.st_size > MAX_FILE_BYTES:
            raise ToolFailure(f"{path!r} has {status.st_size} bytes; at most {MAX_FILE_BYTES} can be read")
        return file.read(MAX_FILE_BYTES)


def _fitting(lines: list[str]) -> list[str]:
    """As many whole lines as a result holds, but at least one, cut if it must be."""
    room = MAX_READ_CHARS
    for count, line in enumerate(lines):
        room -= len(line)
        if room < 0:
            return lines[:count] or [f"{line[:MAX_READ_CHARS]}... [line cut: {len(line)} characters]\n"]
    return lines


@tool(
    effect="write", approval="always", loosenable=True, on_interrupted="retry"
)  # writing the same again changes nothing
async def write_file(context: ToolContext, path: str, content: str) -> str:
    """Write a text file of the workspace: all of it. What was there before is replaced; folders are made.

    Args:
        context: The call.
        path: The file, relative to the workspace.
        content: The whole new text of the file.
    """
    return await asyncio.to_thread(_write, Workspace(context.workspace), path, content)


def _write(workspace: Workspace, path: str, content: str) -> str:
    target = workspace.resolve(path)
    data = content.encode("utf-8", "replace")
    with file_failures(path):
        if target.exists() and not target.is_file():
            raise ToolFailure(f"{path!r} is not a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _NEW_FILE_MODE
        _replace(target, data, mode)
    return f"Wrote {len(data)} bytes to {workspace.shown(target)}."


def _replace(target: Path, data: bytes, mode: int) -> None:
    """Put the bytes in place at once: a reader, or a crash, sees the old file or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=".write-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.chmod(mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
