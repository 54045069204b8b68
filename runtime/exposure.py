"""Whether a gateway would answer beyond this machine without asking for a key."""

import ipaddress
import socket

from longrun.runtime.plain import PlainError
from longrun.runtime.settings import Settings


class ExposedError(PlainError):
    """The gateway would serve anybody; the message says what to set."""


def refuse_exposed(settings: Settings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        ExposedError: ``host`` is not loopback, there is no key, and ``insecure`` is not set.
    """
    if settings.keys or settings.insecure or _is_loopback(settings.host):
        return
    raise ExposedError(
        f"{settings.host} can be reached from other machines, and there is no key: set LONGRUN_API_KEY, "
        "or LONGRUN_INSECURE=1 to let anybody in"
    )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(_loops(str(entry[4][0])) for entry in found)


def _loops(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
