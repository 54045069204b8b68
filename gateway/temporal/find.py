"""Which Temporal server to use: a given address, a binary that is there, or one that can be had."""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.envconfig import ClientConfig
from temporalio.testing import WorkflowEnvironment

from gateway.temporal.config import SetupError

CLI_MODULE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
_GO_NEEDED = (1, 25)
_ABANDONED = 3600.0
_HOW = (
    "no Temporal server was found. One of these helps:\n"
    "  set TEMPORAL_ADDRESS=host:port to use a server that runs already\n"
    "  put Temporal's command line tool on PATH (https://docs.temporal.io/cli)\n"
    "  put its binary at {cached}\n"
    "  install Go 1.25 or newer (https://go.dev/dl): longrun then builds the tool once"
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
    """

    def __init__(self, environ: Mapping[str, str], say: Say) -> None:
        self._environ = environ
        self._say = say

    @property
    def cached(self) -> Path:
        """Where a downloaded or built binary is kept."""
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
        if shutil.which(self.cached):
            return Found(how=f"{self.cached} (in the cache)", binary=self.cached)
        return None

    async def find(self) -> Found:
        """A server to use, fetched when it must be.

        Raises:
            SetupError: Nothing worked; the message says what to do.
        """
        found = self.here() or await self._fetch("the SDK's download", self._download)
        found = found or await self._fetch(f"go install {CLI_MODULE}", self._build)
        if found is None:
            raise SetupError(_HOW.format(cached=self.cached))
        self._say(f"Temporal: {found.how}")
        return found

    async def _fetch(self, way: str, fetch: Callable[[Path], Awaitable[Path]]) -> Found | None:
        """Fetch into a folder of its own, then move: a killed fetch leaves no half binary in the cache."""
        self._say(f"Temporal: trying {way}")
        try:
            self.cached.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.cached.parent)
            with tempfile.TemporaryDirectory(
                dir=self.cached.parent, prefix="fetch-", ignore_cleanup_errors=True
            ) as temp:
                binary = await fetch(Path(temp))
                binary.chmod(0o755)
                binary.replace(self.cached)
        except (SetupError, OSError, RuntimeError) as error:  # RuntimeError is what the SDK's bridge raises
            self._say(f"Temporal: {way} did not work: {error}")
            return None
        return Found(how=f"{self.cached} (by {way})", binary=self.cached)

    async def _download(self, folder: Path) -> Path:
        """The SDK downloads only in order to start a server, so one is started and stopped again."""
        server = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - the SDK's gap
            download_dest_dir=str(folder), dev_server_startup_timeout=timedelta(seconds=30)
        )
        await server.shutdown()
        return folder / (await asyncio.to_thread(os.listdir, folder))[0]

    async def _build(self, folder: Path) -> Path:
        go = shutil.which("go", path=self._environ.get("PATH", ""))
        if go is None:
            raise SetupError("go is not on PATH")
        version = await go_version(go)
        if version < _GO_NEEDED:
            raise SetupError(f"{go} is Go {'.'.join(map(str, version))}, 1.25 is needed")
        self._say("Temporal: building it takes some minutes, once")
        environ = {**self._environ, "GOBIN": str(folder)}
        status, output = await _run([go, "install", CLI_MODULE], environ)
        if status != 0:
            raise SetupError(output[-2000:].strip() or f"go ended with {status}")
        return folder / "temporal"


async def go_version(go: str) -> tuple[int, int]:
    """The Go toolchain's major and minor version, ``(0, 0)`` where it does not tell."""
    _, output = await _run([go, "version"], None)
    match = re.search(r"go(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a fetch left that was killed; one that is young may still be at work."""
    for left in folder.glob("fetch-*"):
        if time.time() - left.stat().st_mtime > _ABANDONED:
            shutil.rmtree(left, ignore_errors=True)


async def _run(command: list[str], environ: Mapping[str, str] | None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")
