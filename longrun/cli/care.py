"""The commands for who runs a server: ``doctor``, ``rebuild`` and ``demo``."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from longrun.cli.options import RunId
from longrun.cli.surroundings import use_temporal_of_dev

app = typer.Typer()


@app.command("rebuild")
def rebuild_log(run_id: RunId) -> None:
    """Rebuild a run's log from its history, compare it with the store's, and put back what is missing."""
    from rich.console import Console

    from longrun.cli.rebuild import rebuild
    from longrun.runtime.settings import Settings

    use_temporal_of_dev()
    raise typer.Exit(asyncio.run(rebuild(run_id, Settings(), Console(highlight=False))))


@app.command("setup")
def set_up(
    *,
    retention: Annotated[
        int | None, typer.Option(help="Keep closed runs in Temporal for so many days; by default as it is.", min=1)
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the namespace if there is none.")] = False,
    rebind: Annotated[bool, typer.Option("--rebind", help="Bind the store to this Temporal, come what may.")] = False,
) -> None:
    """Prepare your own Temporal server for longrun: its search attributes and retention; bind the store to it."""
    from rich.console import Console

    from longrun.cli.setup import SetupOptions, set_up
    from longrun.runtime.settings import Settings

    options = SetupOptions(timedelta(days=retention) if retention else None, create, rebind)
    asyncio.run(set_up(options, Settings(), Console(highlight=False)))


@app.command()
def demo(
    *,
    model: Annotated[str, typer.Option(help="The model; a real one needs its key.")] = "scripted/demo",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder.")] = False,
) -> None:
    """Show what longrun does, in a folder of its own, and check it: 0 when all of it was proved."""
    from rich.console import Console

    from longrun.demo.command import DemoOptions, demonstrate

    raise typer.Exit(asyncio.run(demonstrate(DemoOptions(model, keep), Console(highlight=False))))


@app.command()
def doctor() -> None:
    """Say what is there, what is missing and how to get it."""
    from rich.console import Console

    from longrun.cli.doctor import examine, report

    findings = asyncio.run(examine(os.environ, Path.cwd()))
    raise typer.Exit(report(findings, Console(highlight=False)))
