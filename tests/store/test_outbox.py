"""The outbox of signals."""

import asyncio

from longrun.store.outbox import Outbox, Signal
from tests.build import START, Stores, at


async def test_a_signal_waits_until_it_is_delivered(store: Stores) -> None:
    signals = Outbox(store.database)
    sent = [Signal("run-1", f"k{n}", "say", f'"{n}"') for n in range(3)]
    for n, signal in enumerate(sent):
        assert await signals.accept(signal, at(n)) == signal
    assert await signals.undelivered(at(2)) == sent[:2]
    await signals.delivered("k0", at(5))
    assert await signals.undelivered(at(9)) == sent[1:]


async def test_two_signals_of_one_key_are_the_first_one(database_url: str) -> None:
    stores = [Stores.over(database_url), Stores.over(database_url)]
    boxes = [Outbox(store.database) for store in stores]
    for n in range(8):
        accepted = await asyncio.gather(
            *(box.accept(Signal("run-1", f"k{n}", "decide", f'"{m}"'), START) for m, box in enumerate(boxes))
        )
        assert accepted[0] == accepted[1]
    assert len(await boxes[0].undelivered(at(1))) == 8
    for store in stores:
        await store.database.aclose()


async def test_what_waits_for_one_run_says_nothing_of_another(store: Stores) -> None:
    signals = Outbox(store.database)
    sent = [Signal(f"run-{n % 2}", f"k{n}", "say", f'"{n}"') for n in range(6)]
    for signal in sent:
        await signals.accept(signal, START)
    await signals.delivered("k2", START)
    assert await signals.undelivered_of("run-0") == [sent[0], sent[4]]
    assert await signals.undelivered_of("run-1") == sent[1::2]
