"""The arguments and options that several commands take."""

from typing import Annotated

import typer

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Url = Annotated[
    str | None,
    typer.Option(help="The gateway; by default LONGRUN_URL, else that of the `longrun dev` of this folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: of a log or a list, one entry a line.")]


def gateway_url(url: str | None) -> str:
    """The gateway that a command talks to: the one that is given, or the one that the settings lead to."""
    from longrun.runtime.settings import Settings

    return url or Settings().client_url
