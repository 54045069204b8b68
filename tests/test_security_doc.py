"""docs/security.md names the tests that prove it: they are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (?!what |---)(.*) \| (.*) \|$", re.MULTILINE)


def test_every_claim_names_tests_that_there_are() -> None:
    rows = _ROW.findall(DOCUMENT)
    assert len(rows) == DOCUMENT.count("\n| ") - DOCUMENT.count("\n| what")
    for claim, named in rows:
        files = re.findall(r"`([\w/]+\.py)`", named)
        assert files, claim
        for file in files:
            assert "\nasync def test_" in (text := (TESTS / file).read_text(encoding="utf-8")) or "\ndef test_" in text


def test_every_setting_that_it_names_is_in_the_readme() -> None:
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(LONGRUN_\w+)(?:=1)?`", DOCUMENT))
    assert len(named) > 5
    assert [name for name in sorted(named) if f"`{name}`" not in readme] == []
