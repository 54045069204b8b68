"""The command ``longrun rebuild``."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import delete, update

from longrun.cli.rebuild import NoStoreError, rebuild
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.tables import SegmentRow
from tests.gateway.service_harness import service_harness
from tests.harness import Harness, harnessed, order
from tests.provider_fake import in_turn, turn

pytestmark = pytest.mark.server
DONE = in_turn(turn("That is all."))


async def rebuilt(harness: Harness, run_id: str, patch: pytest.MonkeyPatch) -> tuple[int, str]:
    patch.setenv("TEMPORAL_ADDRESS", harness.client.service_client.config.target_host)
    out = StringIO()
    return await rebuild(run_id, harness.settings, Console(file=out, width=200)), out.getvalue()


async def test_it_puts_back_what_is_missing_and_says_how_much(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harnessed(temporal, tmp_path, DONE) as harness:
        handle = await harness.start(order())
        _, events = await harness.ended(handle)
        parts = service_harness(harness)
        before = await parts.settled(handle.id)
        await harness.stores.database.write(lambda tx: tx.execute(delete(SegmentRow)))
        status, out = await rebuilt(harness, handle.id, monkeypatch)
        assert status == 0
        assert f"history: {len(events)} events, complete to seq {len(events)}, its end; 0 superseded" in out
        assert f"0 equal, {len(events)} missing, 0 different" in out
        assert f"put back {len(events)} events" in out
        assert await parts.settled(handle.id) == before
        status, out = await rebuilt(harness, handle.id, monkeypatch)
        assert (status, "put back 0 events" in out) == (0, True)


async def test_it_fails_for_a_store_that_tells_another_story(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harnessed(temporal, tmp_path, DONE) as harness:
        handle = await harness.start(order())
        await harness.ended(handle)
        forged = update(SegmentRow).where(SegmentRow.first_seq == 1).values(body=b'{"seq":1}')  # pyright: ignore[reportArgumentType] # a column
        await harness.stores.database.write(lambda tx: tx.execute(forged))
        status, out = await rebuilt(harness, handle.id, monkeypatch)
        assert (status, "1 different" in out) == (1, True)


async def test_it_fails_for_a_run_that_temporal_does_not_know(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harnessed(temporal, tmp_path, DONE) as harness:
        status, out = await rebuilt(harness, new_id(), monkeypatch)
        assert (status, "no history" in out) == (1, True)


async def test_it_makes_no_second_store_in_another_folder(tmp_path: Path) -> None:
    home = tmp_path / ".longrun"
    with pytest.raises(NoStoreError, match=f"there is no data folder {home}: go to the folder that longrun runs in"):
        await rebuild(new_id(), Settings(home=home), Console(file=StringIO()))
    assert not home.exists()


async def test_it_says_so_when_temporal_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    with pytest.raises(TemporalUnavailableError):
        await rebuild(new_id(), Settings(home=tmp_path), Console(file=StringIO()))
