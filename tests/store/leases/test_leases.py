"""A lease ends with the process that holds it, and with nothing else; what the process held is given back then."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.attempts import Taker
from longrun.store.db.database import Database, StoreUnavailableError
from longrun.store.leases import takeover as takeovers
from longrun.store.leases.lease import Beats, Leases
from longrun.store.leases.takeover import Takeover
from longrun.store.leases.where import lease_in, leases_in
from longrun.workflows.contract.requests import ModelCall
from tests.build import START, Stores, calls, tool_call
from tests.harness import until
from tests.patience import PATIENCE

NEVER = Beats(frozen=1_000_000)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Stores]:
    stores = Stores.over(database_url)
    yield stores
    await stores.database.aclose()


@contextmanager
def held(url: str, worker: str) -> Generator["subprocess.Popen[str]"]:
    """A process that holds a lease."""
    command = [sys.executable, "-m", "tests.store.leases.holder", url, worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


async def over(leases: Leases, *workers: str) -> bool:
    """Wait until exactly these are over."""

    async def look() -> bool:
        return set(await leases.expired()) == set(workers)

    return await until(look, f"the end of {workers}", PATIENCE)


async def test_the_lease_of_a_process_that_is_killed_is_over(database_url: str, store: Stores) -> None:
    leases = leases_in(store.database, NEVER)
    with held(database_url, "one") as one, held(database_url, "two"):
        assert await leases.expired() == []
        one.kill()
        await over(leases, "one")
        await leases.forget("one")
        assert await leases.expired() == []


async def test_a_process_that_is_held_up_is_not_dead_until_it_counts_as_frozen(
    database_url: str, store: Stores
) -> None:
    patient, strict = leases_in(store.database, NEVER), leases_in(store.database, Beats(frozen=200))
    with held(database_url, "one") as one, held(database_url, "two"):
        assert await strict.expired() == []
        one.send_signal(signal.SIGSTOP)
        await over(strict, "one")
        assert await patient.expired() == []
        await strict.forget("one")
        assert await strict.expired() == []
        one.send_signal(signal.SIGCONT)  # it is back, and holds a lease again
        one_again = leases_in(store.database, Beats(frozen=200))

        async def dead() -> bool:
            one.kill() if one.poll() is None else None
            return "one" in await one_again.expired()

        await asyncio.sleep(3)
        await until(dead, "the end of one", PATIENCE)


async def test_a_lease_that_is_given_back_is_not_over(store: Stores) -> None:
    lease, leases = lease_in(store.database, "one"), leases_in(store.database, NEVER)
    lease.hold()
    assert await leases.expired() == []
    lease.release()
    assert await leases.expired() == []


async def test_a_lease_that_cannot_be_taken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "leases").write_text("this is no folder")
    lease = lease_in(Database(f"sqlite:///{tmp_path / 'longrun.db'}"), "one")
    with pytest.raises(StoreUnavailableError, match="the lease of this worker cannot be taken"):
        lease.hold()


async def test_what_is_no_lease_is_passed_over(tmp_path: Path) -> None:
    leases = leases_in(Database(f"sqlite:///{tmp_path / 'longrun.db'}"), NEVER)
    (tmp_path / "leases" / "longrun.db" / "folder").mkdir(parents=True)
    assert await leases.expired() == []


async def with_two_calls(store: Stores, *workers: str) -> str:
    """A run whose message has two calls, the first of which these workers have begun, one after the other."""
    run_id = (await store.accept()).run_id
    message = calls("c1", "c2")
    await store.runs.dispatched(run_id)
    await store.ask(ModelCall(run_id=run_id, step=1), message)
    for worker in workers:
        await store.calls.begin(tool_call(run_id, 1, message.calls[0]), None, Taker(worker, START, worker.encode()))
    return run_id


async def with_both_calls(store: Stores, worker: str) -> str:
    """A run whose two calls a worker has begun."""
    run_id = await with_two_calls(store, worker)
    (second,) = calls("c2").calls
    await store.calls.begin(tool_call(run_id, 1, second), None, Taker(worker, START, b"second of two"))
    return run_id


async def asks(store: Stores, *workers: str) -> str:
    """A run whose model these workers have asked, one after the other."""
    run_id = (await store.accept()).run_id
    await store.runs.dispatched(run_id)
    for worker in workers:
        taker = Taker(worker, START, f"{worker} of {run_id}".encode())
        await store.steps.begin(ModelCall(run_id=run_id, step=1), "scripted/echo", taker)
    return run_id


@pytest.mark.parametrize("looks_last", [True, False])
async def test_what_a_dead_worker_held_is_given_back_and_nothing_else(
    database_url: str, store: Stores, monkeypatch: pytest.MonkeyPatch, looks_last: bool
) -> None:
    monkeypatch.setattr(takeovers, "_LAST_LOOK" if looks_last else "_LOOKS", 0.0 if looks_last else (0.0,))
    monkeypatch.setattr(takeovers, "_LOOKS" if looks_last else "_LAST_LOOK", () if looks_last else 1000.0)
    held_by_one, taken_over = await asks(store, "one"), await asks(store, "one", "two")
    unbegun, neighbour = await with_two_calls(store), await with_two_calls(store, "two")
    for run_id in (await asks(store, "two"), await with_both_calls(store, "two")):
        assert run_id not in (held_by_one, taken_over, unbegun, neighbour)
    given: list[bytes] = []
    of_runs: list[str] = []

    async def give_back(token: bytes) -> None:
        given.append(token)

    async def give_back_of(run_id: str, worker: str) -> None:
        assert worker == "one"
        of_runs.append(run_id)

    wanted = {unbegun, neighbour, held_by_one} if looks_last else {unbegun, neighbour}
    takeover = Takeover(store.database, leases_in(store.database, NEVER), give_back, give_back_of)
    with held(database_url, "one") as one, held(database_url, "two"):
        watching = asyncio.create_task(takeover.serve())
        one.kill()
        await until(lambda: _at_least(of_runs, len(wanted)), "a look at the runs", PATIENCE)
        await over(leases_in(store.database, NEVER))
        watching.cancel()
        await asyncio.wait([watching])
    assert given == [f"one of {held_by_one}".encode()]
    assert sorted(of_runs) == sorted(wanted)


async def test_a_takeover_waits_for_a_temporal_that_does_not_answer(
    database_url: str, store: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await asks(store, "one")
    given: list[bytes] = []
    unavailable = True

    async def give_back(token: bytes) -> None:
        if unavailable:
            raise TemporalUnavailableError("it is away")
        given.append(token)

    async def give_back_of(run_id: str, worker: str) -> None:
        pass

    takeover = Takeover(store.database, leases_in(store.database, NEVER), give_back, give_back_of)
    with held(database_url, "one") as one:
        watching = asyncio.create_task(takeover.serve())
        one.kill()
        await until(lambda: _said(caplog, "it is away"), "Temporal to be missed", PATIENCE)
        unavailable = False
        await until(lambda: _at_least(given, 1), "the takeover", PATIENCE)
        await over(leases_in(store.database, NEVER))
        watching.cancel()
        await asyncio.wait([watching])
    assert given == [f"one of {run_id}".encode()]


async def _at_least(found: Sequence[object], number: int) -> bool:
    return len(found) >= number


async def _said(caplog: pytest.LogCaptureFixture, what: str) -> bool:
    return what in caplog.text
