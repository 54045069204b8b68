"""Many runs at once: calls in flight whose worker dies, and runs that wait for people."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

from longrun.dev.plan import WORKER_READY
from tests.bench.figures import percentile, rounded
from tests.bench.system import BenchError, System

Figures = dict[str, Any]
OURS = ("temporal", "worker", "gateway")
SECOND = "second worker"
_TAKEN_OVER = 40.0
"""Seconds that are waited for takeovers to begin."""
_MARGIN = 20.0
_DECIDED = 100
_PAGE = 500


async def takeover(system: System, calls: int, seconds: float, settled: float) -> Figures:
    """Calls in flight that say nothing, some with readers; then SIGKILL of one of the two workers that have them.

    Args:
        system: What runs.
        calls: How many calls.
        seconds: For how long they are watched before the kill.
        settled: Seconds until their heartbeats come as rarely as they do from then on.
    """
    command, environ = system.command("worker")
    await (await system.start(SECOND, command, environ)).until_said(WORKER_READY)
    until = int(time() + calls / 10 + settled + seconds + _TAKEN_OVER + _MARGIN)
    job = {"model": f"bench-1-0-until-{until}", "count": calls, "watched": calls // 10}
    ids = (await system.load("crowd_start", **job))["ids"]
    await asyncio.sleep(settled)
    cores = await cores_of(system, seconds, (*OURS, SECOND))
    began = {run["id"]: _last_attempt(run) for run in await _look(system, ids)}
    dead = _worker_of(system.parts[SECOND].pid, began)
    killed = datetime.now(UTC)
    await system.parts.pop(SECOND).kill()
    await asyncio.sleep(_TAKEN_OVER)
    lost = {run_id for run_id in ids if began[run_id]["worker"] == dead}
    runs = {run["id"]: run for run in await _look(system, ids)}
    times = [_seconds(killed, _last_attempt(runs[run_id])["started_at"]) for run_id in lost]
    again = [run_id for run_id in ids if run_id not in lost and len(runs[run_id]["attempts"]) > 1]
    watched = await system.load("crowd_watched")
    ended = await _ended(system, ids)
    return {
        "calls": calls,
        "seconds": seconds,
        "cores": cores,
        "lost": len(lost),
        "taken_over_s": {share: rounded(percentile(times, float(share[1:]) / 100)) for share in ("p50", "p95", "p100")},
        "others_asked_again": len(again),
        "streams": watched["streams"],
        "streams_whole": watched["whole"],
        "completed": sum(run["status"] == "completed" for run in ended),
    }


async def _ended(system: System, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The runs, once none of them is under way any more, or none has ended for long."""
    count = -1
    while True:
        runs = await _look(system, ids)
        ended = sum(run["status"] != "running" for run in runs)
        if ended in (count, len(ids)):
            return runs
        count = ended
        await asyncio.sleep(_MARGIN)


def _worker_of(pid: int, began: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the worker that is this process: it begins with the process's number."""
    names = {attempt["worker"] for attempt in began.values() if attempt["worker"].startswith(f"{pid}@")}
    if len(names) != 1:
        raise BenchError(f"process {pid} has the calls of {names or 'nobody'}")
    return names.pop()


async def waiting(system: System, runs: int, seconds: float) -> Figures:
    """Runs that wait for approval: what they cost, and how soon a decision starts a tool, also after a restart."""
    idle = _memory(system)
    before = await cores_of(system, seconds)
    began = monotonic()
    ids = (await system.load("crowd_start", model="bench-8-0-tool", count=runs, asks=True))["ids"]
    await _all_wait(system, ids)
    started = monotonic() - began
    await asyncio.sleep(seconds / 2)
    full = _memory(system)
    cores = await cores_of(system, seconds)
    chosen = random.Random(7).sample(ids, 2 * min(_DECIDED, runs // 2))  # noqa: S311 - no secret
    half = len(chosen) // 2
    first = await _decided(system, chosen[:half])
    await system.restart()
    second = await _decided(system, chosen[half:])
    return {
        "runs": runs,
        "seconds_to_start": rounded(started),
        "kb_per_run": {name: rounded(1000 * (full[name] - idle[name]) / runs) for name in OURS},
        "cores_before": before,
        "cores": cores,
        "decided_s": first,
        "decided_after_restart_s": second,
    }


async def _all_wait(system: System, ids: Sequence[str]) -> None:
    remaining = list(ids)
    while remaining:
        remaining = [run["id"] for run in await _look(system, remaining[:1000]) if run["status"] != "waiting"] + (
            remaining[1000:]
        )
        await asyncio.sleep(0.5)


async def _decided(system: System, ids: Sequence[str]) -> dict[str, float]:
    """Seconds from a decision to the start of its tool."""
    times: list[float] = []
    for run_id in ids:
        decided = datetime.now(UTC)
        await system.load("crowd_decide", ids=[run_id])
        calls: list[Mapping[str, Any]] = []
        while not calls:
            (run,) = await _look(system, [run_id])
            calls = [attempt for attempt in run["attempts"] if attempt["call_id"]]
        times.append(_seconds(decided, calls[0]["started_at"]))
    return {"p50": rounded(percentile(times, 0.5)), "max": rounded(max(times))}


async def _look(system: System, ids: Sequence[str]) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for first in range(0, len(ids), _PAGE):
        runs += (await system.load("crowd_look", ids=ids[first : first + _PAGE]))["runs"]
    return runs


async def cores_of(system: System, seconds: float, names: Sequence[str] = OURS) -> dict[str, float]:
    """The cores that some processes use while ``seconds`` pass."""
    before, began = system.meter(), monotonic()
    await asyncio.sleep(seconds)
    after, passed = system.meter(), monotonic() - began
    cores = {name: (after[name] - before[name]) / passed for name in names}
    return {**cores, "total": sum(cores.values())}


def _memory(system: System) -> dict[str, float]:
    return {name: system.parts[name].memory for name in OURS}


def _last_attempt(run: Mapping[str, Any]) -> dict[str, Any]:
    attempts: list[dict[str, Any]] = run["attempts"]
    if not attempts:
        raise BenchError(f"run {run['id']} is {run['status']} without an attempt")
    return attempts[-1]


def _seconds(since: datetime, moment: str) -> float:
    return (datetime.fromisoformat(moment) - since).total_seconds()
