"""The commands ``longrun review …``: the calls that wait for a reviewer, and the reviewer's decisions."""

import asyncio
import json
from typing import Annotated, cast

import typer

from longrun.cli.surroundings import use_temporal_of_dev

app = typer.Typer(help="List the calls that wait for a person, and decide them by signal.")

Call = Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")]
Run = Annotated[str | None, typer.Option("--run", help="The run that asks; else it is looked for.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; by default the user of this system.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def list_waiting(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the calls that wait for a person, and decide them by signal: it works without the gateway."""
    if context.invoked_subcommand is None:
        from longrun.terminal import review

        use_temporal_of_dev()
        asyncio.run(review.list_waiting(as_json=as_json))


@app.command("show")
def show(run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]) -> None:
    """Show the calls of a run that wait, with all their arguments."""
    from longrun.terminal import review

    use_temporal_of_dev()
    asyncio.run(review.show(run))


@app.command("approve")
def approve(call: Call, *, run: Run = None, by: By = None) -> None:
    """Approve a call as the model wrote it."""
    _decide(call, run, by, decision="approve")


@app.command("deny")
def deny(
    call: Call,
    *,
    reason: Annotated[str | None, typer.Option(help="Why; the model is told.")] = None,
    run: Run = None,
    by: By = None,
) -> None:
    """Do not let a call run, and tell the model why."""
    _decide(call, run, by, decision="deny", reason=reason)


@app.command("edit")
def edit(
    call: Call,
    *,
    args: Annotated[str, typer.Option(help="All arguments, as a JSON object.")],
    run: Run = None,
    by: By = None,
) -> None:
    """Approve a call with other arguments."""
    try:
        value: object = json.loads(args)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--args") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("is JSON, but no object", param_hint="--args")
    _decide(call, run, by, decision="edit", args=cast("dict[str, object]", value))


@app.command("answer")
def answer(
    call: Call,
    *,
    text: Annotated[str, typer.Option(help="What the model gets as the call's result.")],
    run: Run = None,
    by: By = None,
) -> None:
    """Answer a call in the tool's place."""
    _decide(call, run, by, decision="answer", answer=text)


def _decide(call_id: str, run_id: str | None, by: str | None, **given: object) -> None:
    from longrun.terminal import review

    use_temporal_of_dev()
    raise typer.Exit(asyncio.run(review.decide(call_id, run_id, by, given)))
