"""Reading signals: anybody may send anything to a workflow, and what is no signal of ours must not harm its run."""

from collections.abc import Sequence

from pydantic import ValidationError

from longrun.workflows.contract.characters import clean, clean_json
from longrun.workflows.contract.runs import Cancel, Decision, Said

SIGNALS: dict[str, type[Decision | Cancel | Said]] = {"decide": Decision, "cancel": Cancel, "say": Said}
_LONGEST_REASON = 300


class NotUnderstoodError(Exception):
    """A signal is none of ours, or its payload is not what it takes."""


def read_signal(name: str, given: Sequence[object]) -> Decision | Cancel | Said:
    """A signal; ``cancel`` needs no payload.

    Args:
        name: Its name.
        given: The JSON values that it came with.

    Raises:
        NotUnderstoodError: It is something else.
    """
    kind = SIGNALS.get(name)
    if kind is None:
        raise NotUnderstoodError(f"there is no signal of this name, but {', '.join(SIGNALS)}")
    if len(given) > 1:
        raise NotUnderstoodError(f"it has {len(given)} arguments and takes one")
    value = given[0] if given else None
    if value is None and kind is Cancel:
        return Cancel()
    try:
        return kind.model_validate(clean_json(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NotUnderstoodError(_short(f"{where}: {first['msg']}" if where else first["msg"])) from None


def _short(reason: str) -> str:
    return clean(reason)[:_LONGEST_REASON]
