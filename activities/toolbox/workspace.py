"""The folder that file tools may touch: paths that stay in it, and walks that end."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from longrun.activities.toolbox.tool import ToolFailure

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
MAX_VISITED = 50_000
_SNIFFED_BYTES = 8192


class Workspace:
    """A folder, made if it is not there.

    Args:
        root: Where it is.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()

    def resolve(self, path: str) -> Path:
        """Where a path of a call leads, symbolic links followed; it need not exist.

        Raises:
            ToolFailure: It leads out of the workspace, or cannot be a path.
        """
        try:
            found = (self._root / path).resolve()
        except (OSError, ValueError, RuntimeError) as exc:  # a name too long, a NUL, a loop of links
            raise ToolFailure(f"{path!r} is not a usable path: {exc}") from exc
        if not found.is_relative_to(self._root):
            raise ToolFailure(f"{path!r} is outside the workspace")
        return found

    def shown(self, path: Path) -> str:
        """A path as the tools write it: relative to the workspace."""
        return path.relative_to(self._root).as_posix()


@contextmanager
def file_failures(path: str) -> Generator[None]:
    """Turn what the file system refuses into an answer that names the path."""
    try:
        yield
    except OSError as exc:
        raise ToolFailure(f"{path!r}: {exc.strerror or exc}") from exc


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, except in hidden folders, dependency folders and behind symbolic links.

    Ends after ``MAX_VISITED`` entries. Folders that cannot be read are left out.
    """
    waiting = [folder]
    visited = 0
    while waiting:
        try:
            found = entries(waiting.pop())
        except OSError:
            continue
        for entry in found:
            visited += 1
            if visited > MAX_VISITED:
                return
            yield entry
        waiting.extend(Path(entry.path) for entry in reversed(found) if _is_walked(entry))


def _is_walked(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and entry.name not in SKIPPED_FOLDERS


def is_binary(data: bytes) -> bool:
    """Whether a file that begins with this is not text."""
    return b"\0" in data[:_SNIFFED_BYTES]
