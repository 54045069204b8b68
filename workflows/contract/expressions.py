"""Regular expressions that anybody may write: in time that grows with the text alone, whatever the expression (RE2)."""

from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs] # there are none

_re2: Any = re2
_QUIET = _re2.Options()
_QUIET.log_errors = False


def check(expression: str) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: It is none; the message says why.
    """
    _compile(expression)


def matches(expression: str, text: str) -> bool:
    """Whether an expression is found anywhere in a text.

    Raises:
        ValueError: It is no regular expression.
    """
    return _compile(expression).search(text) is not None


def _compile(expression: str) -> Any:  # noqa: ANN401 - untyped upstream
    try:
        return _re2.compile(expression, _QUIET)
    except _re2.error as error:
        why: bytes | str = error.args[0] if error.args else "it cannot be read"
        raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else why) from None
