"""What is wrong with the arguments of a call, for the model that wrote them."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_SHOWN_VALUE = 100
_SHOWN_ERRORS = 20


def explain(exc: ValidationError, tool: str) -> str:
    """What is wrong with the arguments, field by field."""
    errors = exc.errors(include_url=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return f"The arguments of {tool} are not valid JSON: {errors[0]['msg']}."
    lines = [_line(error) for error in errors[:_SHOWN_ERRORS]]
    if len(errors) > _SHOWN_ERRORS:
        lines.append(f"- and {len(errors) - _SHOWN_ERRORS} more")
    return "\n".join([f"The arguments of {tool} are not valid:", *lines])


def _line(error: ErrorDetails) -> str:
    where = ".".join(str(key) for key in error["loc"]) or "the whole"
    if error["type"] in ("missing", "extra_forbidden"):
        return f"- {where}: {error['msg']}"
    shown = repr(error["input"])
    shown = shown if len(shown) <= _SHOWN_VALUE else f"{shown[:_SHOWN_VALUE]}..."
    return f"- {where}: {error['msg']}, but it is {shown}"
