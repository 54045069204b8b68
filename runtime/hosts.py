"""Hosts of models that a settings file names, so that several of one kind can be used side by side: ``NAME/model``."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, field_validator
from pydantic_core import ErrorDetails

from longrun.runtime.plain import PlainError

Kind = Literal["openai", "openai-chat", "anthropic"]

OURS = ("openai", "openai-chat", "anthropic", "scripted")
"""The providers that there are without any file."""
HOSTS_FILE = Path("longrun.toml")
_SECTION = "providers"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Host(BaseModel):
    """A host of models.

    ``kind`` is the API that it speaks: ``openai`` (Responses), ``openai-chat`` (Chat Completions) or ``anthropic``.
    ``api_key_env`` names the environment variable that holds its key; a host that wants none has none. ``headers``,
    ``query`` and ``extra_body`` are added to each request. ``background`` says of an ``openai`` host that it can
    generate an answer without a connection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    base_url: str
    api_key_env: str | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    extra_body: dict[str, JsonValue] = {}
    background: bool = False

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s]", url):
            raise ValueError("has to begin with http:// or https:// and a host")
        return url

    @field_validator("api_key_env")
    @classmethod
    def _is_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE.fullmatch(name):
            raise ValueError("is not the name of an environment variable; the key itself does not belong into the file")
        return name


class HostsError(PlainError):
    """The file cannot be used; the message names the file, the section and the field."""


def load_hosts(file: Path | None) -> dict[str, Host]:
    """The hosts of a settings file, by name.

    Args:
        file: The file; ``None`` for ``longrun.toml`` in the current folder, if there is one.

    Raises:
        HostsError: It cannot be read, or something in it is wrong.
    """
    path = file or HOSTS_FILE
    if file is None and not path.exists():
        return {}
    sections = _read(path)
    if others := sections.keys() - {_SECTION}:
        raise HostsError(f"{path}: there is no section [{min(others)}]; there is [{_SECTION}.NAME]")
    given = sections.get(_SECTION, {})
    if not isinstance(given, dict):
        raise HostsError(f"{path}: {_SECTION}: has to be sections [{_SECTION}.NAME]")
    named = cast("Mapping[str, object]", given)
    return {name: _host(path, name, fields) for name, fields in named.items()}


def _read(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise HostsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HostsError(f"{path}: is not TOML: {error}") from error


def _host(path: Path, name: str, fields: object) -> Host:
    section = f"{path}: [{_SECTION}.{name}]"
    if not _NAME.fullmatch(name):
        raise HostsError(f"{section}: a name is of the characters a-z 0-9 - _")
    if name in OURS:
        raise HostsError(f"{section}: {name} is the name of a provider that is there without a file; choose another")
    try:
        return Host.model_validate(fields)
    except ValidationError as error:
        wrong = "; ".join(_described(each) for each in error.errors())
        raise HostsError(f"{section} {wrong}") from error


def _described(wrong: ErrorDetails) -> str:
    """A field and what is wrong with it. Its value is not shown: it may be a key that was pasted into the file."""
    if wrong["type"] == "extra_forbidden":
        message = f"is no field; there are {', '.join(Host.model_fields)}"
    elif wrong["type"] == "missing":
        message = "is missing"
    else:
        message = wrong["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, wrong['loc']))}: {message}".removeprefix(": ")
