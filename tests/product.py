"""The product's own files and those of its tests, as the tests that read code need them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("workflows", "activities", "store", "gateway", "runtime", "longrun")


def modules() -> list[Path]:
    """All modules, each once: the links in ``longrun/`` lead to the other rooms."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if not _behind_symlink(path)]
    assert found
    return sorted(found)


def modules_of_tests() -> list[Path]:
    """All modules of the tests."""
    found = sorted((ROOT / "tests").rglob("*.py"))
    assert found
    return found


def name_of(path: Path) -> str:
    """A module's path below the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def _behind_symlink(path: Path) -> bool:
    return any(folder.is_symlink() for folder in path.parents if folder.is_relative_to(ROOT))
