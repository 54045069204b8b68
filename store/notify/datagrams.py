"""Notices of commits between processes of one machine: datagrams with the ids of the runs whose logs grew.

A datagram only saves the reader its next poll; one that is lost costs a little time and nothing else.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic

logger = logging.getLogger(__name__)

_RESCAN = 1.0
_LARGEST = 8192
_MOST_IDS = 200


class DatagramNotifier:
    """Sends to every listener in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._listeners: list[str] = []
        self._scanned = -_RESCAN

    def __call__(self, run_ids: frozenset[str]) -> None:
        """Send the ids; never waits, never fails."""
        now = monotonic()
        if now - self._scanned >= _RESCAN:
            self._listeners = [str(path) for path in self._folder.glob("*.sock")]
            self._scanned = now
        named = sorted(run_ids)
        for start in range(0, len(named), _MOST_IDS):
            message = " ".join(named[start : start + _MOST_IDS]).encode()
            for listener in list(self._listeners):
                self._send(message, listener)

    def _send(self, message: bytes, listener: str) -> None:
        try:
            self._socket.sendto(message, listener)
        except (ConnectionRefusedError, FileNotFoundError):
            self._listeners.remove(listener)
            Path(listener).unlink(missing_ok=True)
        except OSError:
            return  # a full queue: the listener's own poll will find the news

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class DatagramListener:
    """Receives the datagrams.

    Args:
        folder: Where notifiers look; made if it is missing.
        received: Called on the event loop with the run ids of each datagram.
    """

    def __init__(self, folder: Path, received: Callable[[set[str]], None]) -> None:
        self._received = received
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{id(self):x}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        try:
            self._socket.bind(str(self._path))
        except OSError as error:  # no sockets in this folder, or its path is too long for one
            logger.warning("without news from %s (%s): streams look for themselves, which takes longer", folder, error)

    def start(self) -> None:
        """Listen on the running loop."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)

    def _receive(self) -> None:
        named: set[str] = set()
        while True:
            try:
                named.update(self._socket.recv(_LARGEST).decode().split())
            except BlockingIOError:
                break
        self._received(named)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
