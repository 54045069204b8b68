"""``longrun dev``: Temporal, the gateway and workers as child processes over one folder."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Generator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from longrun.dev.child import ChildProcess, Listener, Watchdog
from longrun.dev.plan import DevOptions, Plan, make_plan, start_order
from longrun.dev.supervisor import Supervisor
from longrun.dev.temporal.config import SetupError
from longrun.dev.temporal.find import TemporalFinder
from longrun.dev.temporal.server import connect_when_up
from longrun.runtime.dev_lock import RunningDev, lock_file, running_dev, write_dev
from longrun.runtime.exposure import refuse_exposed
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import temporal_connection

_COLOURS = {"longrun": "bold", "temporal": "magenta", "gateway": "cyan"}
_GIVEN_PATIENCE = 10.0
_ANOTHER = "another `longrun dev` runs over {}: end it, or set --home"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def only_one(home: Path, api: str, temporal: str) -> Generator[None]:
    """Lock the folder against a second ``longrun dev``, and say in it where the servers of this one listen.

    Raises:
        SetupError: Another one holds the lock, or the folder cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = lock_file(home).open("a")
    except OSError as error:
        raise SetupError(f"the home folder {home} cannot be written ({error.strerror}): set --home") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(_ANOTHER.format(home)) from error
        write_dev(lock, RunningDev(os.getpid(), api, temporal))
        try:
            yield
        finally:
            write_dev(lock, None)


def listen_on(console: Console) -> Listener:
    """A listener that prints each line behind the name of its child process."""

    def listen(name: str, text: str) -> None:
        console.print(Text(f"{name:>9} │ ", _COLOURS.get(name, "green")) + Text.from_ansi(text), soft_wrap=True)

    return listen


async def develop(options: DevOptions, console: Console, patience: float = _GIVEN_PATIENCE) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP; a second signal does not wait for anything.

    Args:
        options: What the command line says.
        console: Where the output of the child processes is printed.
        patience: Seconds that a server which is given may take to answer.

    Raises:
        SetupError: It cannot be started; no child process runs any more.
        ExposedError: The gateway would let anybody in from other machines.
    """
    settings = Settings()
    refuse_exposed(settings.model_copy(update={"host": options.host or settings.host}))
    home = (options.home or settings.home).absolute()
    if running_dev(home):  # before its ports are found taken
        raise SetupError(_ANOTHER.format(home))
    listener = listen_on(console)
    environ = dict(os.environ)
    found = await TemporalFinder(environ, lambda text: listener("longrun", text)).find()
    plan = await make_plan(options, found, Path.cwd())
    if plan.config is None:
        await _reach(plan, patience)
    with only_one(plan.home, plan.api, plan.temporal):
        watchdog = Watchdog()
        await watchdog.start()
        try:
            order = start_order(plan, environ)
            groups = [[ChildProcess(recipe, listener, watchdog) for recipe in recipes] for recipes in order]
            supervisor = Supervisor(groups, listener)
            with _stop_on_signals(supervisor, listener) as stop:
                await supervisor.run(lambda: _announce(plan, listener), stop)
        finally:
            await watchdog.close()
    listener("longrun", "all stopped")


async def _reach(plan: Plan, patience: float) -> None:
    """Wait a little for a server that is given. Its retention and search attributes are its operator's."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while True:
                if await connect_when_up(temporal_connection()):
                    return
                await asyncio.sleep(0.2)
    raise SetupError(f"Temporal at {plan.temporal} does not answer: unset TEMPORAL_ADDRESS to start one here")


@contextlib.contextmanager
def _stop_on_signals(supervisor: Supervisor, listener: Listener) -> Generator[asyncio.Event]:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
            return
        stop.set()
        listener("longrun", "stopping; once more to kill")

    loop = asyncio.get_running_loop()
    # Not a signal that is ignored on purpose, as SIGHUP is under nohup.
    numbers = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _announce(plan: Plan, listener: Listener) -> None:
    listener("longrun", f"API       {plan.api}")
    if plan.ui:
        listener("longrun", f"Web UI    {plan.ui}")
    listener("longrun", f"Temporal  {plan.temporal}")
    listener("longrun", f"Home      {plan.home}")
    listener("longrun", "ready; Ctrl-C stops all")
