"""The ``longrun`` command: its commands, each of which imports what it needs when it runs."""

import os
import sys
from typing import Annotated, NoReturn

import typer
from dotenv import load_dotenv

from longrun.cli import care, lists, review, runs, serving
from longrun.runtime.plain import PlainError

app = typer.Typer(
    name="longrun",
    help="A durable run server for LLM agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (serving.app, runs.app, lists.app, care.app):
    app.add_typer(group)
app.add_typer(review.app, name="review")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"longrun {version('longrun-server')}\n")
        raise typer.Exit


@app.callback()
def longrun(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A durable run server for LLM agents."""


def main() -> None:
    """Run the command line: a wrong setting or a server that does not answer is one message and status 2."""
    # The values of .env reach what reads the environment by itself too: the providers' SDKs, Temporal's, and tools.
    load_dotenv(".env")
    try:
        app()
    except PlainError as error:
        _refuse(str(error))
    except ValueError as error:
        from longrun.cli.wrong_settings import described

        if message := described(error):
            _refuse(message)
        raise


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
    sys.stderr.write(f"longrun: {message}\n")
    sys.exit(2)


if __name__ == "__main__":
    program()
