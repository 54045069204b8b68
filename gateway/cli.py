"""The ``longrun`` command: a list of commands, each in a module of its own."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from dotenv import load_dotenv
from pydantic import ValidationError
from rich.console import Console

from gateway.dev import develop
from gateway.dev_plan import DevOptions
from gateway.doctor import examine, report
from gateway.serve import serve
from gateway.temporal_config import SetupError
from store.settings import Settings

app = typer.Typer(
    name="longrun",
    help="A durable run server for LLM agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    # A service manager's SIGTERM must unwind what was begun, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(develop(options, Console(highlight=False)))


@app.command()
def worker() -> NoReturn:
    """Run one worker: the process that carries out runs."""
    # Not imported: the gateway and the worker know nothing of each other.
    os.execv(sys.executable, [sys.executable, "-m", "activities.worker"])  # noqa: S606 - our own program, no shell


@app.command()
def gateway() -> None:
    """Run the HTTP gateway."""
    serve(Settings())


@app.command()
def doctor() -> None:
    """Say what is there, what is missing and how to get it."""
    findings = asyncio.run(examine(os.environ, Path.cwd()))
    raise typer.Exit(report(findings, Console(highlight=False)))


def main() -> None:
    """Run the command line: what is wrong with the surroundings is one message and status 2."""
    # The values of .env reach what reads the environment by itself too: the providers' SDKs and Temporal's.
    load_dotenv(Path(".env"))
    try:
        app()
    except SetupError as error:
        _refuse(str(error))
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        wrong = (f"LONGRUN_{str(found['loc'][0]).upper()}: {found['msg']}" for found in error.errors())
        _refuse("; ".join(wrong))


def _refuse(message: str) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False).print(f"longrun: {message}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
