"""The commands that serve: ``dev``, ``worker`` and ``gateway``."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


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
    from rich.console import Console

    from longrun.dev.command import develop
    from longrun.dev.plan import DevOptions

    options = DevOptions(home, host, port, temporal_port, ui_port, model, workers)
    # A service manager's SIGTERM must end the child processes, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(develop(options, Console(highlight=False)))


@app.command()
def worker() -> None:
    """Run one worker: the process that carries out runs."""
    from longrun.activities.worker import main

    sys.path.insert(0, "")  # tools may be in the current folder, where `python -m` would find them
    main()


@app.command()
def gateway() -> None:
    """Run the HTTP gateway."""
    from longrun.gateway.serve import serve
    from longrun.runtime.settings import Settings

    serve(Settings())
