"""Wrong settings, in one line."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from longrun.runtime.settings import Settings

_PROVIDERS = "ProviderSettings"


def described(error: ValueError) -> str | None:
    """Each wrong variable and what is wrong with it; ``None`` for an error of anything but settings."""
    if not isinstance(error, ValidationError) or error.title not in (Settings.__name__, _PROVIDERS):
        return None
    prefix = "LONGRUN_" if error.title == Settings.__name__ else ""
    return "; ".join(f"{prefix}{found['loc'][0]}".upper() + f": {_plain(found)}" for found in error.errors())


def _plain(found: ErrorDetails) -> str:
    message = found["msg"].removeprefix("Value error, ")
    return f"{message}, not {found['input']!r}"
