"""What the documents show of files is taken as it stands there."""

import re
from pathlib import Path

import pytest

from longrun.activities.providers.script import Item, Script, read_script
from longrun.runtime.hosts import Host, load_hosts

ROOT = Path(__file__).parents[1]


def shown(document: str, language: str) -> list[str]:
    """The blocks of a document that are in a language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def named(document: str) -> set[str]:
    """What stands in the first cells of a document's tables."""
    cells = re.findall(r"^\| (`[^|]+) \|", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


@pytest.mark.parametrize("document", ["README.md", "docs/hosts.md"])
def test_the_hosts_of_the_documents_can_be_loaded(document: str, tmp_path: Path) -> None:
    path = tmp_path / "longrun.toml"
    for block in shown(document, "toml"):
        path.write_text(block)
        assert "ollama" in load_hosts(path)


def test_each_field_of_a_host_is_described() -> None:
    assert Host.model_fields.keys() <= named("docs/hosts.md")


def test_the_script_of_the_documents_is_one_and_each_of_its_fields_is_described(tmp_path: Path) -> None:
    (block,) = shown("docs/scripts.md", "yaml")
    (tmp_path / "shown.yaml").write_text(block)
    assert len(read_script(tmp_path / "shown.yaml").turns) == 2
    assert Item.model_fields.keys() | Script.model_fields.keys() <= named("docs/scripts.md")
