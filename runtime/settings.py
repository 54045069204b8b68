"""The settings of every process of longrun, from its environment; nothing else reads the environment for them."""

import hashlib
import tempfile
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from longrun.runtime.dev_lock import running_dev
from longrun.runtime.keys import Key, first_key, parse_keys


class Settings(BaseSettings):
    """``LONGRUN_*`` from the environment, then from ``.env``.

    ``home`` is the data folder; ``database_url`` an SQLAlchemy URL, by default ``longrun.db`` in it; ``model`` the
    model of agents that name none; ``url`` where the command line finds a gateway that is elsewhere;
    ``allowed_hosts`` the names under which clients reach the gateway, and ``allowed_origins`` the origins whose pages
    may change something through it, separated by commas, ``*`` for any;
    ``providers`` the file that names hosts of models, by default ``longrun.toml`` in the current folder;
    ``api_key`` is what a request must bring, ``KEY`` or ``ann:KEY1,bob:KEY2``, and what a client sends; ``insecure``
    lets the gateway listen beyond this machine without one; ``send_timeout`` and ``receive_timeout`` the seconds after
    which a connection is closed whose other end takes nothing, or sends nothing of a request that it has begun;
    ``unasked_tools`` the tools whose approval callers may loosen, separated by commas, ``*`` for all;
    ``keep_alive`` the seconds between the comments that keep an idle stream open; ``grace`` the seconds for which a
    worker that is shut down continues calls that no other worker could resume; ``most_lost_workers`` how many workers
    may be lost over one step of a run before it fails.
    """

    model_config = SettingsConfigDict(env_prefix="LONGRUN_", env_file=".env", extra="ignore", hide_input_in_errors=True)

    home: Path = Path(".longrun")
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8283, ge=0, le=65535)
    model: str = "scripted/hello"
    url: str = ""
    providers: Path | None = None
    allowed_hosts: str = ""
    allowed_origins: str = ""
    api_key: SecretStr = SecretStr("")
    insecure: bool = False
    send_timeout: float = Field(default=60.0, gt=0)
    receive_timeout: float = Field(default=30.0, gt=0)
    keep_alive: float = Field(default=15.0, gt=0)
    grace: float = Field(default=30.0, ge=0)
    most_lost_workers: int = Field(default=25, ge=1)
    workspace: Path | None = None
    tools: str = ""
    unasked_tools: str = ""
    allow_private_http: bool = False
    task_queue: str = "longrun"

    @field_validator("api_key")
    @classmethod
    def _readable(cls, given: SecretStr) -> SecretStr:
        parse_keys(given.get_secret_value())
        return given

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of which a request must bring one; without any nobody is asked."""
        return parse_keys(self.api_key.get_secret_value())

    @property
    def own_key(self) -> str | None:
        """The key that a client sends."""
        return first_key(self.api_key.get_secret_value())

    def may_loosen(self, tool: str) -> bool:
        """Whether a caller may let a tool run with less approval than its definition asks for."""
        named = {each.strip() for each in self.unasked_tools.split(",")}
        return tool in named or "*" in named

    @property
    def database(self) -> str:
        """The store's URL."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'longrun.db'}"

    @property
    def client_url(self) -> str:
        """Where a client looks for the gateway: ``url``, else that of the ``longrun dev`` that runs over ``home``."""
        dev = None if self.url else running_dev(self.home)
        return dev.api if dev else self.base_url

    @property
    def base_url(self) -> str:
        """Where a client on this machine finds a gateway with these settings."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is bound there answers on loopback
        host = anywhere.get(self.host, self.host)
        return self.url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def workspace_folder(self) -> Path:
        """The folder that tools work in: ``workspace`` in the data folder unless set."""
        return (self.workspace or self.home / "workspace").absolute()

    @property
    def notify_folder(self) -> Path:
        """The folder of the sockets that notify gateways of this machine: a short path, as sockets require."""
        name = hashlib.sha256(str(self.home.absolute()).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"longrun-{name}"
