"""A round: runs are started, a process is killed at a failpoint and comes back, and everything is checked."""

import asyncio
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import monotonic

from tests.chaos.checker import Fault, check
from tests.chaos.driving.costs import cost_of, is_unnamed
from tests.chaos.driving.kinds import KindName, services_of
from tests.chaos.driving.moments import MOMENTS, WAITS, At, Cell
from tests.chaos.driving.playing import Playing
from tests.chaos.driving.stack import ActiveRun, Stack
from tests.chaos.driving.viewing import first_after
from tests.chaos.observations import Observed
from tests.spawning import Child

_LEADS = 2
_OTHERS: tuple[KindName, ...] = ("talk", "look", "strike", "pay", "pair", "cancel", "halt", "leave", "regret")
_UNTIL_STOPPED = 20.0
_UNTIL_OVER = 90.0
_BETWEEN = 0.02


@dataclass(frozen=True)
class Kill:
    """What came of a round. ``killed`` is false where no process reached the failpoint.

    ``recovery`` has the seconds until viewers saw something new, for each run that was under way; ``woken`` has those
    of runs that did nothing but wait when the kill came, from their decision on.

    ``unnamed`` are the faults, and ``rebilled_unnamed`` the tokens, of answers that can be taken up again, but whose
    attempt died before the provider had told their names.
    """

    cell: Cell
    stop_at: str
    seed: int
    killed: bool
    runs: int = 0
    faults: tuple[Fault, ...] = ()
    unnamed: tuple[Fault, ...] = ()
    recovery: tuple[float, ...] = ()
    woken: tuple[float, ...] = ()
    rebilled: int = 0
    rebilled_unnamed: int = 0
    billed: int = 0
    seconds: float = 0.0


@dataclass
class Round:
    """One kill in one cell, for the how many-th time."""

    stack: Stack
    cell: Cell
    seed: int
    turn: int = 0
    playing: list[Playing] = field(default_factory=list[Playing])

    async def play(self) -> Kill:
        """Play it to its end."""
        began = monotonic()
        rng = random.Random(self.seed)  # noqa: S311 - a schedule to repeat, no secret
        at, stop_at = MOMENTS[self.cell.moment].draw(self.cell.provider, self.turn, rng)
        await self._arm(at, stop_at)
        may_review = asyncio.Event()
        lives = self._cast(at.kind or MOMENTS[self.cell.moment].kind, rng, may_review)
        if at.failpoint != WAITS:
            may_review.set()
        living = asyncio.gather(*lives)
        try:
            stopped, there = await self._come(at, living)
            killed_at, active = monotonic(), list[ActiveRun]()
            if there:
                active = await self._kill(stopped)
            may_review.set()
            late = await self._over(living)
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
        kill = await self._checked(Kill(self.cell, stop_at, self.seed, killed=there, faults=tuple(late)))
        recovered = list(self._recovery(active, killed_at))
        return replace(
            kill,
            recovery=tuple(seconds for _, seconds in recovered),
            woken=tuple(seconds for each, seconds in recovered if at.failpoint == WAITS and each.part.kind == "pay"),
            seconds=monotonic() - began,
        )

    async def _checked(self, kill: Kill) -> Kill:
        """The round with what the checker and the bills say."""
        observed = [await each.observed() for each in self.playing if each.run_id]
        faults = [*kill.faults, *check(Observed(tuple(observed)))]
        unnamed = [fault for fault in faults if is_unnamed(fault, observed)]
        costs = [cost_of(run) for run in observed]
        return replace(
            kill,
            runs=len(observed),
            faults=tuple(fault for fault in faults if fault not in unnamed),
            unnamed=tuple(unnamed),
            rebilled=sum(cost.again for cost in costs),
            rebilled_unnamed=sum(cost.unnamed for cost in costs),
            billed=sum(cost.billed for cost in costs),
        )

    async def _arm(self, at: At, stop_at: str) -> None:
        """Let the process that is to stop be the only one of its kind."""
        stack = self.stack
        stack.stop_file.unlink(missing_ok=True)
        if at.failpoint == WAITS:
            return
        if at.stops == "worker":
            await stack.kill_workers()
            await stack.start_worker(stop_at)
        else:
            await stack.kill_gateway()
            await stack.start_gateway(stop_at)

    def _cast(self, kind: KindName, rng: random.Random, may_review: asyncio.Event) -> list[asyncio.Task[None]]:
        lives: list[asyncio.Task[None]] = []
        names: list[KindName] = [*(kind for _ in range(_LEADS)), rng.choice(_OTHERS), rng.choice(_OTHERS)]
        for name in names:
            for part in services_of(name, self.cell.provider, rng):
                own = random.Random(rng.random())  # noqa: S311 - a schedule to repeat, no secret
                playing = Playing(self.stack, part, own, may_review)
                self.playing.append(playing)
                lives.append(asyncio.create_task(playing.live()))
        return lives

    async def _come(self, at: At, living: "asyncio.Future[list[None]]") -> tuple[Child | None, bool]:
        """Wait for the moment: who has stopped, and whether it came."""
        if at.failpoint == WAITS:
            return None, await self._waits() and await self._frozen_when_named()
        looking = asyncio.create_task(self._stopped(at))
        await asyncio.wait([looking, living], return_when=asyncio.FIRST_COMPLETED)
        if not looking.done():
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            return None, False
        return looking.result(), looking.result() is not None

    async def _stopped(self, at: At) -> Child | None:
        """Wait for the process that stops, until nothing is charged again that cannot be helped.

        An answer that was asked for and has not told its name cannot be taken up by anybody, so no kill is made then:
        the process goes on and stops the next time that it reaches its failpoint.
        """
        stack = self.stack
        stopped = await stack.stopped(_UNTIL_STOPPED)
        while stopped and self._would_cost(at) and stack.unnamed():
            stack.stop_file.unlink()
            stopped.signal(signal.SIGCONT)
            stopped = await stack.stopped(_UNTIL_STOPPED)
        if stopped and at.stops != "worker":
            return stopped if await self._frozen_when_named() else None
        return stopped

    def _would_cost(self, at: At) -> bool:
        return at.stops == "worker" and self.cell.victim in ("worker", "all")

    async def _frozen_when_named(self) -> bool:
        """Stop the workers that are to be killed, at a moment when each answer has a name."""
        if self.cell.victim not in ("worker", "all"):
            return True
        ends = monotonic() + _UNTIL_STOPPED
        while monotonic() < ends:
            for worker in self.stack.workers:
                worker.signal(signal.SIGSTOP)
            if not self.stack.unnamed():
                return True
            for worker in self.stack.workers:
                worker.signal(signal.SIGCONT)
            await asyncio.sleep(_BETWEEN)
        return False

    async def _waits(self) -> bool:
        """Wait until every run that is to wait does nothing else, for Temporal too."""
        ends = monotonic() + _UNTIL_STOPPED
        while monotonic() < ends:
            waiting = {each.run_id for each in self.stack.active_runs() if each.status == "waiting"}
            payers = [each for each in self.playing if each.part.kind == "pay"]
            if all(each.run_id in waiting for each in payers) and all([await each.rests() for each in payers]):
                return True
            await asyncio.sleep(0.05)
        return False

    async def _kill(self, stopped: Child | None) -> list[ActiveRun]:
        """Kill the victims, let go on who is none, and bring back what was killed; what was open at the kill."""
        stack, victim = self.stack, self.cell.victim
        both = victim == "all"
        await asyncio.gather(
            *([stack.kill_workers()] if both or victim == "worker" else []),
            *([stack.kill_gateway()] if both or victim == "gateway" else []),
            *([stack.temporal.end()] if both or victim == "Temporal" else []),
        )
        active = stack.active_runs()
        if stopped and stopped.alive:
            stopped.signal(signal.SIGCONT)
        if both or victim == "Temporal":
            await stack.temporal.start()
        await asyncio.gather(
            *([stack.start_worker()] if both or victim == "worker" else []),
            *([stack.start_gateway()] if both or victim == "gateway" else []),
        )
        return active

    async def _over(self, living: "asyncio.Future[list[None]]") -> list[Fault]:
        """Wait for the end of all runs."""
        faults: list[Fault] = []
        done, _ = await asyncio.wait([living], timeout=_UNTIL_OVER)
        if done:
            living.result()
        else:
            faults += [Fault("viewers_see_the_end", each.run_id, "they wait") for each in self.playing if not each.over]
        open_ones = [each for each in self.playing if each.run_id and not await each.closed()]
        return faults + [Fault("workflows_end", each.run_id, "it goes on") for each in open_ones]

    def _recovery(self, active: list[ActiveRun], killed_at: float) -> Iterator[tuple[Playing, float]]:
        """For each run that was under way: how long until its viewers saw something new."""
        by_id = {each.run_id: each for each in self.playing}
        for run in active:
            playing = by_id.get(run.run_id)
            if playing is None or (run.status == "queued" and not run.first):
                continue
            seen = first_after(playing.watchers, run.last_seq)
            if seen is not None and seen > killed_at:
                yield playing, seen - _due(playing, run, killed_at, seen)


def _due(playing: Playing, run: ActiveRun, killed_at: float, seen: float) -> float:
    """From when on something new was to be expected: a run that waits, waits for its decision."""
    if run.status != "waiting" or playing.reviewing is None:
        return killed_at
    pairs = zip(playing.reviewing.moments, playing.reviewing.sent, strict=True)
    received = [when for when, sent in pairs if sent.answered in ("counted", "accepted") and when <= seen]
    return max(killed_at, min(received, default=killed_at))
