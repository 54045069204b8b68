"""The commands that list what the server has: runs, kept agents and tools."""

import asyncio
from typing import Annotated

import typer

from longrun.cli.options import AsJson, Url, gateway_url

app = typer.Typer()


@app.command("list")
def list_runs(  # noqa: PLR0913 - one argument for each option
    *,
    status: Annotated[str | None, typer.Option(help="Only those: queued, running, waiting, completed, …")] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of this agent.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only those of this thread.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=200)] = 20,
    before: Annotated[str | None, typer.Option(help="Older ones than this run, with which a list ended.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from longrun.terminal import lists

    which = lists.Which(status, agent, thread, limit, before)
    asyncio.run(lists.runs(which, gateway_url(url), as_json=as_json))


@app.command()
def agents(*, url: Url = None, as_json: AsJson = False) -> None:
    """List the kept agents."""
    from longrun.terminal import lists

    asyncio.run(lists.agents(gateway_url(url), as_json=as_json))


@app.command()
def tools(*, url: Url = None, as_json: AsJson = False) -> None:
    """List the tools that workers offer."""
    from longrun.terminal import lists

    asyncio.run(lists.tools(gateway_url(url), as_json=as_json))
