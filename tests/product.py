"""The product's own files, as the tests that read its code need them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("workflows", "activities", "store", "gateway", "runtime", "longrun")


def modules() -> list[Path]:
    """All modules, each once: the links in ``longrun/`` lead to the other rooms."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if not _linked(path)]
    assert found
    return sorted(found)


def name_of(path: Path) -> str:
    """A module's path below the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def _linked(path: Path) -> bool:
    return any(folder.is_symlink() for folder in path.parents if folder.is_relative_to(ROOT))
