"""The settings of every process of longrun, from its environment; nothing else reads the environment for them."""

import hashlib
import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from longrun.runtime.dev_lock import running_dev


class Settings(BaseSettings):
    """``LONGRUN_*`` from the environment, then from ``.env``.

    ``home`` is the data folder; ``database_url`` an SQLAlchemy URL, by default ``longrun.db`` in it; ``model`` the
    model of agents that name none; ``url`` where the command line finds a gateway that is elsewhere;
    ``allowed_hosts`` the names under which clients reach the gateway, and ``allowed_origins`` the origins whose pages
    may change something through it, separated by commas, ``*`` for any;
    ``providers`` the file that names hosts of models, by default ``longrun.toml`` in the current folder;
    ``keep_alive`` the seconds between the comments that keep an idle stream open; ``grace`` the seconds for which a
    worker that is shut down continues calls that no other worker could resume; ``most_lost_workers`` how many workers
    may be lost over one step of a run before it fails.
    """

    model_config = SettingsConfigDict(env_prefix="LONGRUN_", env_file=".env", extra="ignore")

    home: Path = Path(".longrun")
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8283, ge=0, le=65535)
    model: str = "scripted/hello"
    url: str = ""
    providers: Path | None = None
    allowed_hosts: str = ""
    allowed_origins: str = ""
    keep_alive: float = Field(default=15.0, gt=0)
    grace: float = Field(default=30.0, ge=0)
    most_lost_workers: int = Field(default=25, ge=1)
    workspace: Path | None = None
    tools: str = ""
    allow_private_http: bool = False
    task_queue: str = "longrun"

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
