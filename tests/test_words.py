"""The words that the design has given up for the field's own terms: no name of the product or its tests has them."""

import keyword
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

from longrun.workflows.contract.events import Event
from tests.product import modules, modules_of_tests, name_of

FORBIDDEN = re.compile(
    r"places?|placed|begun|left|untorn|unheard|arriv(al|als|e|es|ed)|links?|linked|rest|doing|gone|away|endings|historian"
    r"|warden|pok(e|es|ed)|standing|told|words?|heard|asked|house|stages?|plant(s|ed)?"
)
"""Components of names. A message has parts; a process or a service is none, see ``PARTS``."""
PARTS = ("longrun/dev/", "longrun/demo/", "gateway/app.py", "gateway/services.py")
"""Where ``part`` could mean nothing but a process or a service."""
HONEST = {
    "workflows/contract/views.py": {"links"},
    "gateway/native/views.py": {"links"},
    "longrun/demo/proofs.py": {"part", "parts"},
    "tests/longrun/pseudo_terminal.py": {"left"},
    "tests/longrun/terminal/test_prompt.py": {"left"},
    "tests/test_words.py": {"words"},
}
"""What means what everybody means by it: the links of a resource, the parts of a message, the left arrow, words."""
_COMPONENT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def components(name: str) -> set[str]:
    """What a name is made of."""
    return {component.lower() for component in _COMPONENT.findall(name)}


def names_in(path: Path) -> Iterator[str]:
    """The names in a module, and those of its file and folders; a test's own name is a sentence and not one of them."""
    yield name_of(path)
    with path.open("rb") as file:
        tokens = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME]
    for before, name in pairwise(["", *tokens]):
        if not keyword.iskeyword(name) and not (before == "def" and name.startswith("test_")):
            yield name


def forbidden(path: Path) -> set[str]:
    """The forbidden components of a module's names."""
    found = {component for name in names_in(path) for component in components(name)}
    parts = {"part", "parts"} & found if name_of(path).startswith(PARTS) else set[str]()
    return (parts | set(filter(FORBIDDEN.fullmatch, found))) - HONEST.get(name_of(path), set())


def test_no_name_has_a_component_that_is_forbidden() -> None:
    found = {name_of(path): forbidden(path) for path in (*modules(), *modules_of_tests())}
    assert {module: terms for module, terms in found.items() if terms} == {}


def test_no_event_has_such_a_component() -> None:
    events = {kind.model_fields["type"].default for kind in get_args(get_args(Event)[0])}
    assert [name for name in sorted(events) if any(map(FORBIDDEN.fullmatch, components(name)))] == []


def test_a_name_is_taken_apart_at_its_underscores_and_capitals() -> None:
    assert components("_HTTPServer_thing2Do") == {"http", "server", "thing", "do"}
