"""The commands about runs: started, watched, shown, listed, told something, ended."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from longrun.cli.options import AsJson, RunId, Url, gateway_url

if TYPE_CHECKING:
    from longrun.terminal.watch import Watch

app = typer.Typer()


@app.command()
def run(  # noqa: PLR0913 - one argument for each option
    prompt: Annotated[
        str | None, typer.Argument(help="What the user says; `-`, or none where stdin is no terminal, reads stdin.")
    ] = None,
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
    from longrun.terminal import watch

    if agent and (model or system or tool):
        raise typer.BadParameter("goes without --model, --system and --tool", param_hint="--agent")
    inline = {"system": system, "tools": tool or [], **({"model": model} if model else {})}
    order = watch.Order(agent or inline, _prompt(prompt), thread)
    raise typer.Exit(asyncio.run(watch.run(order, _watch(url, as_json=as_json), watching=watching)))


def _prompt(given: str | None) -> str:
    """What the user says, from the command line or from stdin."""
    if given is not None and given != "-":
        return given
    if given is None and sys.stdin.isatty():
        raise typer.BadParameter("is missing: give it as an argument, or on stdin", param_hint="PROMPT")
    text = sys.stdin.read().rstrip("\n")
    if not text.strip():
        raise typer.BadParameter("is empty: nothing came on stdin", param_hint="PROMPT")
    return text


@app.command("watch")
def watch_run(
    run_id: RunId,
    *,
    after: Annotated[int, typer.Option(help="Show what comes after this event.", min=0)] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a run from any event to its end: 0 when it completed, 1 when it failed or was cancelled."""
    from longrun.terminal import watch

    raise typer.Exit(asyncio.run(watch.watch(run_id, _watch(url, after, as_json=as_json))))


@app.command()
def show(run_id: RunId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show the state of a run, its attempts, and what they have cost."""
    from longrun.terminal import watch

    raise typer.Exit(asyncio.run(watch.show(run_id, _watch(url, as_json=as_json))))


@app.command()
def cancel(
    run_id: RunId,
    *,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the log.")] = None,
    url: Url = None,
) -> None:
    """End a run now."""
    from longrun.terminal import watch

    raise typer.Exit(asyncio.run(watch.cancel(run_id, reason, _watch(url))))


@app.command()
def say(
    run_id: RunId, text: Annotated[str, typer.Argument(help="What the model sees next.")], *, url: Url = None
) -> None:
    """Say something to a run that is under way."""
    from longrun.terminal import watch

    raise typer.Exit(asyncio.run(watch.say(run_id, text, _watch(url))))


def _watch(url: str | None, after: int = 0, *, as_json: bool = False) -> "Watch":
    from longrun.terminal.watch import Watch

    return Watch(gateway_url(url), after, as_json)
