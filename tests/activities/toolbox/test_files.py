"""File tools touch the workspace and nothing else."""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from pydantic import JsonValue

from longrun.activities.toolbox import files, search, search_child
from longrun.activities.toolbox import workspace as folder
from longrun.activities.toolbox.registry import Toolbox, ToolResult
from longrun.activities.toolbox.tool import ToolContext

Run = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def run(toolbox: Toolbox, context: ToolContext) -> Run:
    async def run(name: str, **arguments: JsonValue) -> ToolResult:
        return await toolbox.run(name, json.dumps(arguments), context)

    return run


@pytest.fixture
def tree(workspace: Path) -> Path:
    for name, text in {
        "readme.md": "# Moon\nand stars\n",
        "docs/a.md": "the moon\r\nis far\r\n",
        "docs/deep/b.txt": "no stars\n",
        ".git/config": "moon\n",
        "node_modules/x/y.md": "moon\n",
    }.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_bytes(text.encode())
    (workspace / "picture.png").write_bytes(b"\x89PNG\r\n\0moon")
    (workspace / "link").symlink_to("readme.md")
    return workspace


async def test_a_folder_is_listed_with_sizes(run: Run, tree: Path) -> None:
    assert (await run("list_files")).content.splitlines() == [
        ".git/",
        "docs/",
        "link -> (link)",
        "node_modules/",
        "picture.png (11 bytes)",
        "readme.md (17 bytes)",
    ]
    assert (await run("list_files", path="docs")).content == "docs/a.md (18 bytes)\ndocs/deep/"


async def test_a_pattern_finds_files_at_any_depth_but_in_hidden_and_dependency_folders(run: Run, tree: Path) -> None:
    assert (await run("list_files", pattern="*.md")).content == "docs/a.md (18 bytes)\nreadme.md (17 bytes)"
    assert (await run("list_files", pattern="docs/*.txt")).content == "docs/deep/b.txt (9 bytes)"
    assert (await run("list_files", path="docs", pattern="deep/*")).content == "docs/deep/b.txt (9 bytes)"
    assert (await run("list_files", pattern="*.rs")).content == "(nothing)"


async def test_the_first_list_of_a_new_workspace_is_empty(run: Run) -> None:
    assert await run("list_files") == ToolResult("ok", "(nothing)")


async def test_a_huge_folder_is_listed_in_part(run: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LISTED", 3)
    for number in range(5):
        (workspace / f"{number}.txt").touch()
    for pattern in (None, "*.txt"):
        lines = (await run("list_files", pattern=pattern)).content.splitlines()
        assert len(lines) == 4
        assert lines[-1].startswith("... and more: only the first 3")


async def test_a_walk_ends_after_so_many_entries(run: Run, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_VISITED", 3)
    assert (await run("list_files", pattern="*.md")).content == "(nothing)"


def test_a_folder_that_is_gone_is_left_out_of_a_walk(tmp_path: Path) -> None:
    assert list(folder.walk(tmp_path / "gone")) == []


def test_a_file_that_goes_while_it_is_listed_is_said_to_be_gone(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (entry,) = folder.entries(tmp_path)
    (tmp_path / "a").unlink()
    assert files.line_of(folder.Workspace(tmp_path), entry) == "a (gone)"


async def test_a_text_is_read_as_it_is(run: Run, tree: Path) -> None:
    assert await run("read_file", path="docs/a.md") == ToolResult("ok", "the moon\r\nis far\r\n")
    assert (await run("read_file", path="link")).content == "# Moon\nand stars\n"
    assert (await run("read_file", path=str(tree / "readme.md"))).content == "# Moon\nand stars\n"


async def test_a_long_text_is_read_in_pieces_that_join(run: Run, workspace: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 6)]
    (workspace / "long.txt").write_text("".join(lines).rstrip())
    assert (await run("read_file", path="long.txt", limit=2)).content == (
        "line 1\nline 2\n... [lines 1 to 2 of 5; go on with offset 3]"
    )
    assert (await run("read_file", path="long.txt", offset=5)).content == "line 5"
    result = await run("read_file", path="long.txt", offset=6)
    assert result == ToolResult("error", "'long.txt' has 5 lines; there is no line 6")


async def test_a_piece_is_never_longer_than_a_result(run: Run, workspace: Path) -> None:
    (workspace / "wide.txt").write_text(f"{'a' * 40_000}\n{'b' * 40_000}\n{'c' * 60_000}\nend\n")
    assert (await run("read_file", path="wide.txt")).content.endswith("a\n... [lines 1 to 1 of 4; go on with offset 2]")
    cut = (await run("read_file", path="wide.txt", offset=3)).content
    assert cut.endswith("c... [line cut: 60001 characters]\n... [lines 3 to 3 of 4; go on with offset 4]")
    assert len(cut) < 50_000


async def test_an_empty_file_is_said_to_be_empty(run: Run, workspace: Path) -> None:
    (workspace / "empty").touch()
    assert (await run("read_file", path="empty")).content == "(the file is empty)"


async def test_what_is_not_a_readable_text_is_refused(run: Run, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe")
    for path, reason in {
        "picture.png": "'picture.png' is a binary file of 11 bytes",
        "docs": "'docs': Is a directory",
        "pipe": "'pipe' is not a file",
        "gone.txt": "'gone.txt': No such file or directory",
        "readme.md/x": "'readme.md/x': Not a directory",
    }.items():
        assert await run("read_file", path=path) == ToolResult("error", reason)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 5)
    assert (await run("read_file", path="readme.md")).content == "'readme.md' has 17 bytes; at most 5 can be read"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list_files", {}),
        ("list_files", {"pattern": "*"}),
        ("read_file", {}),
        ("search_files", {"pattern": "x"}),
        ("write_file", {"content": "x"}),
    ],
)
@pytest.mark.parametrize("path", ["..", "../secret", "docs/../../secret", "/etc/passwd", "out/secret", "secret-link"])
async def test_what_is_outside_the_workspace_is_refused_by_name(
    run: Run, tree: Path, path: str, name: str, arguments: dict[str, JsonValue]
) -> None:
    (tree.parent / "secret").write_text("x")
    (tree / "out").symlink_to(tree.parent)
    (tree / "secret-link").symlink_to(tree.parent / "secret")
    assert await run(name, path=path, **arguments) == ToolResult("error", f"{path!r} is outside the workspace")
    assert (tree.parent / "secret").read_text() == "x"


@pytest.mark.parametrize("path", ["a\0b", "loop", "x" * 5000])
async def test_a_path_that_cannot_be_one_is_refused(run: Run, workspace: Path, path: str) -> None:
    (workspace / "loop").symlink_to("loop")
    result = await run("read_file", path=path)
    assert result.status == "error"
    assert result.content.startswith(repr(path).replace("\0", "\\x00")[:20])


async def test_a_file_is_no_folder_to_list(run: Run, tree: Path) -> None:
    for pattern in (None, "*"):
        result = await run("list_files", path="readme.md", pattern=pattern)
        assert result == ToolResult("error", "'readme.md' is not a folder")


async def test_a_search_shows_path_line_and_text(run: Run, tree: Path) -> None:
    result = await run("search_files", pattern="(?i)moon$")
    assert result == ToolResult("ok", "readme.md:1: # Moon\ndocs/a.md:1: the moon\n")
    assert (await run("search_files", pattern="moon", path="docs/a.md")).content == "docs/a.md:1: the moon\n"
    assert (await run("search_files", pattern="sun", path="docs")).content == "(no match in 2 files)"


async def test_a_search_says_what_is_wrong_with_the_pattern_or_the_path(run: Run, tree: Path) -> None:
    result = await run("search_files", pattern="(moon")
    assert result.status == "error"
    assert result.content.startswith("'(moon' is not a regular expression: missing )")
    assert (await run("search_files", pattern="x", path="gone")).content == "'gone' is not there"


async def test_a_search_that_would_never_end_is_ended(
    run: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SECONDS", 0.3)
    (workspace / "trap.txt").write_text("a" * 40 + "b")
    result = await run("search_files", pattern="(a+)+$")
    assert result.status == "error"
    assert result.content.startswith("the search took more than 0.3 s")


def test_a_search_shows_so_many_matches_and_so_much_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("moon" * 100 + "\n" + "moon\n" * 300)
    found = list(search_child.search("moon", [("a", str(tmp_path / "a"))]))
    assert len(found) == search_child.MAX_MATCHES + 1
    assert found[0] == "a:1: " + "moon" * 75 + "..."
    assert found[-1] == "... and more: only the first 200 matches are shown"


def test_a_search_leaves_out_files_that_are_gone_binary_or_huge(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"moon\0")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(search_child.MAX_FILE_BYTES + 1)
    named = [(name, str(tmp_path / name)) for name in ("gone", "binary", "huge")]
    assert list(search_child.search("", named)) == []


def test_the_search_program_prints_matches_or_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the child processes above do, here once where it is measured."""
    (tmp_path / "a").write_text("moon")
    for pattern, complaint in (("moon", ""), ("(", "is not a regular expression")):
        request = json.dumps({"pattern": pattern, "files": [["a", str(tmp_path / "a")]]}).encode()
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(request)))
        with pytest.raises(SystemExit, match=complaint) if complaint else nullcontext():
            search_child.main()
    assert capsys.readouterr().out == "a:1: moon\n"


async def test_a_file_is_written_with_its_folders(run: Run, workspace: Path) -> None:
    result = await run("write_file", path="new/deep/größe.txt", content="ä\n")
    assert result == ToolResult("ok", "Wrote 3 bytes to new/deep/größe.txt.")
    written = workspace / "new/deep/größe.txt"
    assert written.read_bytes() == "ä\n".encode()
    assert written.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in written.parent.iterdir()] == ["größe.txt"]


async def test_a_file_is_replaced_at_once_and_keeps_its_mode(run: Run, workspace: Path) -> None:
    script = workspace / "run.sh"
    script.write_text("old")
    script.chmod(0o750)
    with script.open() as reader:
        await run("write_file", path="run.sh", content="new")
        assert reader.read() == "old"
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o750


async def test_what_cannot_be_written_is_said_and_leaves_nothing(run: Run, tree: Path) -> None:
    assert await run("write_file", path="docs", content="x") == ToolResult("error", "'docs' is not a file")
    result = await run("write_file", path="readme.md/x", content="x")
    assert result.status == "error"
    assert result.content.startswith("'readme.md/x': ")
    assert not [name for name in os.listdir(tree) if name.startswith(".write-")]  # noqa: PTH208 - names are enough
