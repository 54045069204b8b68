"""How the development server runs: ``temporal-dev.yaml``, read, checked and turned into a command line."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from longrun.runtime.plain import PlainError

FILE_NAME = "temporal-dev.yaml"
_PACKAGE = Path(__file__).parents[2]

AttributeType = Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"]


class SetupError(PlainError):
    """The surroundings do not let longrun start; the message says what to do."""


def _duration(value: object) -> timedelta:
    if isinstance(value, str) and value[:-1].isdecimal() and value[-1] in "hd":
        number = int(value[:-1])
        return timedelta(hours=number) if value.endswith("h") else timedelta(days=number)
    message = "must be a whole number of hours or days, such as 720h or 30d"
    raise ValueError(message)


class TemporalConfig(BaseModel):
    """The keys of ``temporal-dev.yaml``; each is explained in the file itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ip: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    ui_port: int = Field(ge=1, le=65535)
    db_file: str = Field(min_length=1)
    retention: Annotated[timedelta, BeforeValidator(_duration)] = Field(ge=timedelta(hours=1))
    log_level: Literal["debug", "info", "warn", "error", "never"]
    search_attributes: dict[str, AttributeType]
    dynamic_config: dict[str, bool | int | float | str]
    sqlite_pragmas: dict[str, int | str]

    @property
    def address(self) -> str:
        """Where the server answers, as ``host:port``."""
        return f"{self.ip}:{self.port}"

    def command(self, binary: Path, home: Path, *, namespace: str = "default", headless: bool = False) -> list[str]:
        """The command line that starts the server with its file in ``home``."""
        flags = ["--ip", self.ip, "--port", str(self.port), "--namespace", namespace]
        flags += ["--headless"] if headless else ["--ui-port", str(self.ui_port)]
        flags += ["--db-filename", str((home / self.db_file).absolute()), "--log-level", self.log_level]
        for name, pragma in self.sqlite_pragmas.items():
            flags += ["--sqlite-pragma", f"{name}={pragma}"]
        for name, value in self.dynamic_config.items():
            flags += ["--dynamic-config-value", f"{name}={json.dumps(value)}"]
        for name, kind in self.search_attributes.items():
            flags += ["--search-attribute", f"{name}={kind}"]
        return [str(binary), "server", "start-dev", *flags]


def config_file(folder: Path) -> Path:
    """The file to use: the one in ``folder``, else the one that came with longrun."""
    # A wheel has the file inside the package, a checkout beside it.
    for candidate in (folder, _PACKAGE, _PACKAGE.parent):
        if (candidate / FILE_NAME).is_file():
            return candidate / FILE_NAME
    raise SetupError(f"{FILE_NAME} is missing, here and where longrun is installed: install longrun again")


def read_config(path: Path) -> TemporalConfig:
    """Read and check one file.

    Raises:
        SetupError: Names the file and each key that is wrong.
    """
    try:
        return TemporalConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SetupError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "".join(
            f"\n  {_key(found['loc'])}: {found['msg'].removeprefix('Value error, ')}" for found in error.errors()
        )
        raise SetupError(f"{path}: {error.error_count()} wrong:{wrong}") from error


def _key(location: tuple[int | str, ...]) -> str:
    # Pydantic's location also names the branch of a union, which means nothing to the author of the file.
    return ".".join(str(key) for key in location[:2]) or "(the whole file)"
