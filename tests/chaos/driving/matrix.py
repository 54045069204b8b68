"""Many rounds, side by side on several stacks."""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
from temporalio.service import RPCError

from tests.chaos.checker import Fault
from tests.chaos.driving.moments import CELLS, MOMENTS, PROVIDERS, VICTIMS, Cell
from tests.chaos.driving.rounds import Kill, Round
from tests.chaos.driving.stack import Stack, stacked
from tests.chaos.providing import CountingProvider, providing
from tests.spawning import Nursery, nursing

logger = logging.getLogger(__name__)

_TRIES = 3
_BROKEN = "rounds_come_to_their_end"
_SOME = 4
"""How many moments of each victim but the worker the short form has."""


@dataclass(frozen=True)
class Planned:
    """A round to play. ``turn`` counts the rounds of the cell, ``tries`` those that came to nothing."""

    cell: Cell
    seed: int
    turn: int
    tries: int = 0


def schedule(kills: int, seed: int, only: str = "", cells: Sequence[Cell] = CELLS) -> deque[Planned]:
    """So many rounds over the cells, evenly and in an order that the seed decides.

    Raises:
        ValueError: No cell is meant by ``only``.
    """
    rng = random.Random(seed)  # noqa: S311 - a schedule to repeat, no secret
    chosen = [cell for cell in cells if only in str(cell)]
    if not chosen:
        raise ValueError(f"no cell has {only!r} in its name, which is victim/moment/provider")
    rounds: list[Planned] = []
    for turn in range(math.ceil(kills / len(chosen))):
        rng.shuffle(chosen)
        rounds += [Planned(cell, rng.randrange(2**32), turn) for cell in chosen]
    return deque(rounds[:kills])


def short(seed: int) -> deque[Planned]:
    """A worker killed at every moment, and each other victim at some of them; the providers take turns."""
    rng = random.Random(seed)  # noqa: S311 - a schedule to repeat, no secret
    cells = [Cell("worker", name, PROVIDERS[index % 2]) for index, name in enumerate(MOMENTS)]
    for victim in VICTIMS[1:]:
        some = rng.sample(list(MOMENTS), _SOME)
        cells += [Cell(victim, name, PROVIDERS[index % 2]) for index, name in enumerate(some)]
    return deque(Planned(cell, rng.randrange(2**32), rng.randrange(6)) for cell in cells)


@asynccontextmanager
async def surroundings() -> AsyncGenerator[tuple[Nursery, CountingProvider]]:
    """What all stacks share."""
    async with nursing() as nursery, providing() as provider:
        yield nursery, provider


async def play(rounds: deque[Planned], folder: Path, stacks: int, tell: Callable[[Kill], None]) -> list[Kill]:
    """Play all rounds; each is told when it is over."""
    kills: list[Kill] = []

    async def serve(number: int, nursery: Nursery, provider: CountingProvider) -> None:
        lives, broken = 0, True
        while rounds and broken:
            lives, broken = lives + 1, False
            async with stacked(folder / f"stack-{number}-{lives}", nursery, provider) as stack:
                while rounds and not broken:
                    kill = await _round(stack, rounds)
                    kills.append(kill)
                    tell(kill)
                    broken = any(fault.rule == _BROKEN for fault in kill.faults)

    async with surroundings() as (nursery, provider), asyncio.TaskGroup() as group:
        for number in range(min(stacks, len(rounds))):
            group.create_task(serve(number, nursery, provider))
    return kills


async def _round(stack: Stack, rounds: deque[Planned]) -> Kill:
    """The next round; one that breaks off is a fault, of the product or of ours, and its stack is not used again."""
    planned = rounds.popleft()
    try:
        kill = await Round(stack, planned.cell, planned.seed, planned.turn).play()
    except (AssertionError, OSError, TimeoutError, httpx2.HTTPError, RPCError) as error:
        logger.exception("the round %s broke off", planned)
        fault = Fault(_BROKEN, str(stack.settings.home), f"{type(error).__name__}: {error}")
        return Kill(planned.cell, "", planned.seed, killed=False, faults=(fault,))
    if not kill.killed and planned.tries + 1 < _TRIES:
        rounds.append(replace(planned, seed=planned.seed + 1, tries=planned.tries + 1))
    return kill
