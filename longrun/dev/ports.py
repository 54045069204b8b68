"""The ports that ``longrun dev`` needs: free, or an error that names the option that changes them."""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from longrun.dev.temporal.config import SetupError


@dataclass(frozen=True)
class Wanted:
    """One port, 0 for any free one; ``option`` is the command line option that sets it."""

    host: str
    port: int
    what: str
    option: str


def choose_ports(wanted: list[Wanted]) -> list[int]:
    """The ports to use, in the order asked for.

    All are held together while they are tried, so that the same port twice is refused.

    Raises:
        SetupError: Names the port that cannot be had and the option that sets another.
    """
    with ExitStack() as held:
        return [_bind(one, held) for one in wanted]


def _bind(wanted: Wanted, held: ExitStack) -> int:
    try:
        family, _, _, _, address = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM)[0]
        probe = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
        # As the servers do it: a connection that has just been closed does not keep its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()
    except OSError as error:
        raise SetupError(_error_text(wanted, error)) from error
    port: int = probe.getsockname()[1]
    return port


def _error_text(wanted: Wanted, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {wanted.port} is taken, {wanted.what} needs it: end what uses it, or set {wanted.option}"
    if error.errno == errno.EACCES:
        return f"port {wanted.port} is not allowed to {wanted.what}: set {wanted.option}"
    return f"{wanted.what} cannot listen on {wanted.host}: {error.strerror or error}"
