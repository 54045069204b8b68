"""A line that a person types and edits at the terminal. It loads prompt_toolkit: import it where a person is asked."""

import json
import signal
import sys
import termios

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_session
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.validation import Validator

_KEYS = KeyBindings()


@_KEYS.add("c-c")
def _interrupt(_: KeyPressEvent) -> None:
    """Send the signal that the terminal does not send while keys are read one by one."""
    signal.raise_signal(signal.SIGINT)


def _is_object(text: str) -> bool:
    try:
        return not text.strip() or isinstance(json.loads(text), dict)
    except ValueError:
        return False


_OBJECT = Validator.from_callable(_is_object, "that is not a JSON object", move_cursor_to_end=True)


async def edit_line(question: str, default: str, *, as_object: bool) -> str | None:
    """The line that the person ended by Enter; ``None`` for Ctrl-D, and when the terminal has hung up.

    Keys that were pressed before the question do not count: nobody approves by a key that was pressed too early. What
    is printed meanwhile appears above the line.
    """
    clear_typeahead(get_app_session().input)
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    with patch_stdout(raw=True):
        session = PromptSession[str]([("bold", question)], key_bindings=_KEYS, reserve_space_for_menu=0)
        validator = _OBJECT if as_object else None
        try:
            return await session.prompt_async(
                default=default, validator=validator, validate_while_typing=False, handle_sigint=False
            )
        except (EOFError, OSError):  # the latter of a terminal that has hung up
            return None
