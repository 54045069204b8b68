"""Reading signals: anybody may send anything to a workflow, and what is no signal of ours must not harm its run."""

import json
from collections.abc import Sequence

from pydantic import ValidationError
from temporalio.common import RawValue

from longrun.workflows.contract.characters import clean, clean_json
from longrun.workflows.contract.runs import Cancel, Decision, Said

SIGNALS: dict[str, type[Decision | Cancel | Said]] = {"decide": Decision, "cancel": Cancel, "say": Said}
_LONGEST_REASON = 300


class NotUnderstoodError(Exception):
    """A signal is none of ours, or its payload is not what it takes."""


def read_signal(name: str, given: Sequence[RawValue]) -> Decision | Cancel | Said:
    """A signal; ``cancel`` needs no payload.

    Raises:
        NotUnderstoodError: It is something else.
    """
    kind = SIGNALS.get(name)
    if kind is None:
        raise NotUnderstoodError(f"there is no signal of this name, but {', '.join(SIGNALS)}")
    if len(given) > 1:
        raise NotUnderstoodError(f"it has {len(given)} arguments and takes one")
    data = _json(given[0]) if given else b"null"
    if data == b"null" and kind is Cancel:
        return Cancel()
    try:
        given_json = json.loads(data)
        json.dumps(given_json, ensure_ascii=False).encode()  # half of a character is nobody's wish
        return kind.model_validate(clean_json(given_json))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NotUnderstoodError(_short(f"{where}: {first['msg']}" if where else first["msg"])) from None
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(_short(f"its argument is not JSON: {error}")) from None


def _json(given: RawValue) -> bytes:
    encoding = given.payload.metadata.get("encoding", b"")
    if encoding == b"binary/null":
        return b"null"
    if encoding != b"json/plain":
        raise NotUnderstoodError(f"its argument is not JSON but {encoding.decode(errors='replace')!r}")
    return given.payload.data.strip()


def _short(reason: str) -> str:
    return clean(reason)[:_LONGEST_REASON]
