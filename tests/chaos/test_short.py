"""The short form of ``make chaos``: processes are killed at named places, and no rule of the checker is broken."""

from pathlib import Path

import pytest

from tests.chaos.driving.matrix import play, short
from tests.chaos.driving.rounds import Kill

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]

SEED = 11
STACKS = 4


async def test_whoever_is_killed_wherever_nothing_is_lost_doubled_or_paid_for_twice(tmp_path: Path) -> None:
    kills: list[Kill] = []
    rounds = short(SEED)
    cells = {planned.cell for planned in rounds}
    await play(rounds, tmp_path, STACKS, kills.append)
    assert [(str(kill.cell), kill.stop_at, kill.seed, kill.faults) for kill in kills if kill.faults] == []
    assert {kill.cell for kill in kills if kill.killed} == cells
