"""A write whose task is cancelled while it is under way."""

import asyncio

import pytest

from longrun.workflows import shielded
from tests.provider_fake import Gate


class Write:
    """A write that waits at a gate."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.written = False

    async def __call__(self) -> str:
        await self.gate.passed()
        self.written = True
        return "kept"


async def test_a_write_ends_however_often_it_is_cancelled_and_says_so() -> None:
    write = Write()
    task = asyncio.create_task(shielded.ended(write()))
    await write.gate.reached.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    write.gate.open()
    assert await task == ("kept", True)


async def test_a_write_that_is_not_cancelled_says_so_too() -> None:
    write = Write()
    write.gate.open()
    assert await shielded.ended(write()) == ("kept", False)
    await shielded.completed(Write.__call__(write))


async def test_a_cancel_takes_effect_after_the_write() -> None:
    write = Write()
    task = asyncio.create_task(shielded.completed(write()))
    await write.gate.reached.wait()
    task.cancel()
    write.gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert write.written


async def test_a_write_that_fails_fails_who_waits_for_it() -> None:
    async def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await shielded.completed(fail())


async def test_a_cancellation_that_comes_during_a_write_takes_effect_after_it() -> None:
    going_on, written = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        await going_on.wait()
        written.set()

    writing = asyncio.create_task(shielded.completed(write()))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.sleep(0)
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert written.is_set()
