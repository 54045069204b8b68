"""A PostgreSQL server for the tests of the store."""

import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

from tests.patience import PATIENCE

_NUMBERS = count()


class Cluster:
    """A PostgreSQL server of our own, on a socket in its folder.

    Args:
        folder: Where its data and its socket go; belongs to ``user``.
        user: Who runs it, for it will not run as root.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self._as: dict[str, Any] = {"user": user, "cwd": folder, "stdin": subprocess.DEVNULL}
        self.server: subprocess.Popen[Any] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def run(self, *command: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - programs that we found ourselves
            command, capture_output=True, text=True, check=False, **self._as
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, postgres: str) -> None:
        with (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - a program that we found ourselves
                [postgres, "-D", str(self.folder / "data"), "-k", str(self.folder), "-F", "-c", "listen_addresses="],
                stdout=log,
                stderr=log,
                **self._as,
            )
        self.server = server
        until = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < until, (self.folder / "log").read_text()
            assert server.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        engine = create_engine(
            self.url("postgres").replace("://", "+psycopg://"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def hang_up(self, url: str) -> None:
        """End the connections to one of our databases."""
        name = url.split("/")[3].split("?", maxsplit=1)[0]
        hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        self.execute(f"{hang_up}'{name}'")

    def stop(self) -> None:
        if self.server and self.server.poll() is None:
            self.server.send_signal(2)
            self.server.wait(PATIENCE)

    def fresh(self) -> str:
        """The URL of a new database with our schema."""
        name = f"test_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE longrun")
        return self.url(name)
