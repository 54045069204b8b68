"""The ``longrun`` command: a list of commands, each in a module of its own."""

import asyncio
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from dotenv import load_dotenv
from pydantic import ValidationError
from rich.console import Console

from longrun.cli.doctor import examine, report
from longrun.cli.rebuild import rebuild as rebuild_log
from longrun.client import ClientError
from longrun.demo.command import MODEL, DemoOptions, demonstrate
from longrun.dev.command import develop
from longrun.dev.plan import DevOptions
from longrun.dev.temporal.config import SetupError
from longrun.gateway.serve import serve
from longrun.gateway.service.reviews import ReviewError
from longrun.runtime.exposure import ExposedError
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.terminal import review as review_cli
from longrun.terminal import watch

app = typer.Typer(
    name="longrun",
    help="A durable run server for LLM agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(review_cli.app, name="review")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Url = Annotated[str | None, typer.Option(help="The gateway; by default LONGRUN_URL, or the one of this machine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: of a log one event a line.")]


@app.command()
def dev(  # noqa: PLR0913 - one argument for each option
    *,
    host: Annotated[str | None, typer.Option(help="The address that the gateway binds.")] = None,
    port: Annotated[int | None, typer.Option(help="The gateway's port; 0 takes a free one.", min=0, max=65535)] = None,
    temporal_port: Annotated[int | None, typer.Option(help="Temporal's port.", min=0, max=65535)] = None,
    ui_port: Annotated[int | None, typer.Option(help="The Web UI's port.", min=0, max=65535)] = None,
    home: Annotated[Path | None, typer.Option(help="The data folder.")] = None,
    model: Annotated[str | None, typer.Option(help="The model of agents that name none.")] = None,
    workers: Annotated[int, typer.Option(help="How many workers.", min=1, max=64)] = 1,
) -> None:
    """Run Temporal, the gateway and a worker here, over one folder, until Ctrl-C."""
    options = DevOptions(home, host, port, temporal_port, ui_port, model, workers)
    # A service manager's SIGTERM must end the child processes, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(develop(options, Console(highlight=False)))


@app.command()
def worker() -> None:
    """Run one worker: the process that carries out runs."""
    sys.path.insert(0, "")  # tools may be in the current folder, where `python -m` would find them
    import_module("longrun.activities.worker").main()  # the providers' SDKs are not loaded for any other command


@app.command()
def gateway() -> None:
    """Run the HTTP gateway."""
    serve(Settings())


@app.command()
def run(  # noqa: PLR0913 - one argument for each option
    prompt: Annotated[str, typer.Argument(help="What the user says.")],
    *,
    agent: Annotated[str | None, typer.Option(help="A kept agent, by name or id.")] = None,
    model: Annotated[str | None, typer.Option(help="The model of an agent for this run alone.")] = None,
    system: Annotated[str, typer.Option(help="That agent's instructions.")] = "",
    tool: Annotated[list[str] | None, typer.Option(help="A tool that it may use; repeat it for more.")] = None,
    thread: Annotated[str | None, typer.Option(help="The conversation that the run joins.")] = None,
    watching: Annotated[bool, typer.Option("--watch/--no-watch", help="Watch it, or print its id only.")] = True,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Start a run and watch it: 0 when it completed, 1 when it failed or was cancelled."""
    if agent and (model or system or tool):
        raise typer.BadParameter("goes without --model, --system and --tool", param_hint="--agent")
    inline = {"system": system, "tools": tool or [], **({"model": model} if model else {})}
    order = watch.Order(agent or inline, prompt, thread)
    raise typer.Exit(asyncio.run(watch.run(order, _watch(url, as_json=as_json), watching=watching)))


@app.command("watch")
def watch_run(
    run_id: RunId,
    *,
    after: Annotated[int, typer.Option(help="Show what comes after this event.", min=0)] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a run from any event to its end: 0 when it completed, 1 when it failed or was cancelled."""
    raise typer.Exit(asyncio.run(watch.watch(run_id, _watch(url, after, as_json=as_json))))


@app.command()
def show(run_id: RunId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show the state of a run, its attempts, and what they have cost."""
    raise typer.Exit(asyncio.run(watch.show(run_id, _watch(url, as_json=as_json))))


@app.command()
def cancel(
    run_id: RunId,
    *,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the log.")] = None,
    url: Url = None,
) -> None:
    """End a run now."""
    raise typer.Exit(asyncio.run(watch.cancel(run_id, reason, _watch(url))))


@app.command()
def say(
    run_id: RunId, text: Annotated[str, typer.Argument(help="What the model sees next.")], *, url: Url = None
) -> None:
    """Say something to a run that is under way."""
    raise typer.Exit(asyncio.run(watch.say(run_id, text, _watch(url))))


def _watch(url: str | None, after: int = 0, *, as_json: bool = False) -> watch.Watch:
    return watch.Watch(url or Settings().base_url, after, as_json)


@app.command()
def rebuild(run_id: RunId) -> None:
    """Rebuild a run's log from its history, compare it with the store's, and put back what is missing."""
    raise typer.Exit(asyncio.run(rebuild_log(run_id, Settings(), Console(highlight=False))))


@app.command()
def demo(
    *,
    model: Annotated[str, typer.Option(help="The model; a real one needs its key.")] = MODEL,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder.")] = False,
) -> None:
    """Show what longrun does, in a folder of its own, and check it: 0 when all of it was proved."""
    raise typer.Exit(asyncio.run(demonstrate(DemoOptions(model, keep), Console(highlight=False))))


@app.command()
def doctor() -> None:
    """Say what is there, what is missing and how to get it."""
    findings = asyncio.run(examine(os.environ, Path.cwd()))
    raise typer.Exit(report(findings, Console(highlight=False)))


def main() -> None:
    """Run the command line: a wrong setting or a server that does not answer is one message and status 2."""
    # The values of .env reach what reads the environment by itself too: the providers' SDKs and Temporal's.
    load_dotenv(Path(".env"))
    try:
        app()
    except (
        SetupError,
        ExposedError,
        ClientError,
        ReviewError,
        TemporalUnavailableError,
        StoreUnavailableError,
    ) as error:
        _refuse(str(error))
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        wrong = (f"LONGRUN_{str(found['loc'][0]).upper()}: {found['msg']}" for found in error.errors())
        _refuse("; ".join(wrong))


def program() -> NoReturn:
    """The process: ``main``, and an end without Python's own, under which a thread of Temporal's SDK may crash it."""
    try:
        main()
        status: object = 0
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def _refuse(message: str) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False).print(f"longrun: {message}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    program()
