"""What is measured. Each measure drives the running system and returns its figures, ready for JSON."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tests.bench.crowds import OURS, cores_of, takeover, waiting
from tests.bench.figures import middle, paired_ratio, percentile, rounded
from tests.bench.system import System

RUN = "bench-8-0-tool"
"""Two model calls, the second of 8 tokens at once, and a tool that does nothing: all that remains is overhead."""
ANSWER = "bench-4-0"
THEIRS = ("temporal", "bare worker")

Figures = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much is measured. ``runs`` is the number of runs in a round, by concurrency."""

    rounds: int
    runs: Mapping[int, int]
    first_tokens: int
    tokens: int
    token_rounds: int
    viewers: int
    lengths: Sequence[int]
    reads: int
    in_flight: Sequence[int]
    kills: int
    taken_over: tuple[int, float]
    waiting: tuple[int, float]


FULL = Scale(
    5, {1: 30, 8: 120, 32: 240}, 60, 400, 3, 200, (100, 1000, 5000), 10, (200, 1000), 10, (2000, 300.0), (10_000, 60.0)
)
QUICK = Scale(2, {1: 10, 8: 40, 32: 96}, 15, 150, 1, 200, (100, 1000), 5, (200,), 3, (200, 10.0), (300, 10.0))


async def warm_up(system: System) -> None:
    """Let caches fill and pollers grow, and see that both ways work at all."""
    for kind in ("longrun_runs", "bare_runs"):
        await system.load(kind, model=RUN, count=48, concurrency=16)


async def throughput(system: System, scale: Scale) -> Figures:
    """Runs per second and CPU per run, in rounds that take turns."""
    return {str(concurrency): await _at(system, concurrency, scale) for concurrency in scale.runs}


async def _at(system: System, concurrency: int, scale: Scale) -> Figures:
    ours: list[Figures] = []
    theirs: list[Figures] = []
    for _ in range(scale.rounds):
        job = {"model": RUN, "count": scale.runs[concurrency], "concurrency": concurrency}
        ours.append(await _round(system, "longrun_runs", job, OURS))
        theirs.append(await _round(system, "bare_runs", job, THEIRS))
    rates = [[each["runs_per_second"] for each in rounds] for rounds in (ours, theirs)]
    cpu = [[each["cpu_ms"]["total"] for each in rounds] for rounds in (ours, theirs)]
    return {
        "rounds": scale.rounds,
        "runs_per_round": scale.runs[concurrency],
        "longrun": _medians(ours),
        "bare": _medians(theirs),
        "ratio": paired_ratio(*rates),
        "ratio_of_rounds": [rounded(a / b) for a, b in zip(*rates, strict=True)],
        "cpu_ratio": paired_ratio(*cpu),
        "cpu_ms_added": middle(a - b for a, b in zip(*cpu, strict=True)),
    }


async def _round(system: System, kind: str, job: Mapping[str, Any], counted: Sequence[str]) -> Figures:
    before = system.meter()
    seconds: float = (await system.load(kind, **job))["seconds"]
    await asyncio.sleep(0.3)  # what follows the answer belongs to the runs too: the workflow's last task
    after = system.meter()
    spent = {name: (after[name] - before[name]) * 1000 / job["count"] for name in (*counted, "client")}
    return {
        "runs_per_second": job["count"] / seconds,
        "cpu_ms": {**spent, "total": sum(spent[name] for name in counted)},
    }


def _medians(rounds: Sequence[Figures]) -> Figures:
    names: list[str] = list(rounds[0]["cpu_ms"])
    return {
        "runs_per_second": middle(each["runs_per_second"] for each in rounds),
        "cpu_ms": {name: middle(each["cpu_ms"][name] for each in rounds) for name in names},
    }


async def first_token(system: System, scale: Scale) -> Figures:
    """From the request to the first token, one run at a time, next to the provider's SDK."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(scale.first_tokens):
        ours += (await system.load("longrun_tokens", model=ANSWER, count=1))["starts"]
        theirs += (await system.load("sdk_tokens", model=ANSWER, count=1))["starts"]
        await asyncio.sleep(0.05)  # the end of one run is not to disturb the start of the next
    figures = {"longrun": _starts(ours), "sdk": _starts(theirs)}
    added = {
        share: rounded(figures["longrun"]["whole"][share] - figures["sdk"]["whole"][share]) for share in ("p50", "p95")
    }
    return {"runs": len(ours), **figures, "added_ms": added}


def _starts(starts: Sequence[Mapping[str, float]]) -> Figures:
    return {
        way: {
            "p50": rounded(percentile([each[way] for each in starts], 0.5)),
            "p95": rounded(percentile([each[way] for each in starts], 0.95)),
        }
        for way in ("whole", "to_provider", "to_client")
    }


async def token_delay(system: System, scale: Scale) -> Figures:
    """From the provider's sending of a token to its arrival, for one stream and for 50 at once."""
    model = f"bench-{scale.tokens}-50"
    figures: Figures = {}
    for streams in (1, 50):
        ours: list[Figures] = []
        theirs: list[Figures] = []
        for _ in range(scale.token_rounds):
            before = system.meter()
            found = await system.load("longrun_tokens", model=model, count=streams)
            spent = {name: system.parts[name].cpu - before[name] for name in OURS}
            ours.append({**found["delays"], "pieces": found["pieces"], "cpu_seconds": sum(spent.values())})
            theirs.append((await system.load("sdk_tokens", model=model, count=streams))["delays"])
        figures[str(streams)] = {"tokens": scale.tokens, "longrun": _middles(ours), "sdk": _middles(theirs)}
    return figures


def _middles(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: middle(each[name] for each in rounds) for name in rounds[0]}


async def viewers(system: System, scale: Scale) -> Figures:
    """Many viewers of one run."""
    before = system.parts["gateway"].cpu
    found = await system.load("viewers", model=f"bench-{scale.tokens}-50-silent-3", count=scale.viewers)
    spent = system.parts["gateway"].cpu - before
    return {
        "viewers": scale.viewers,
        "events": found["events"],
        "viewers_with_the_whole_log": found["whole"],
        "events_lost": found["events"] * scale.viewers - found["frames"],
        "gateway_cpu_us_per_frame": rounded(spent * 1_000_000 / found["frames"]),
        "delays": found["delays"],
    }


async def resume(system: System, scale: Scale) -> list[Figures]:
    """Reading the log of a run that is over, from its beginning and from its middle."""
    figures: list[Figures] = []
    for length in scale.lengths:
        # Some tokens are merged into one event: a few more are sent than events are wanted.
        run = await system.load("finished_run", model=f"bench-{length * 21 // 20}-200")
        for after in (0, run["events"] // 2):
            job = {"run_id": run["run_id"], "after": after, "events": run["events"] - after, "count": scale.reads}
            found = await system.load("resume", **job)
            figures.append(
                {
                    "events": run["events"],
                    "after": after,
                    "first_byte_ms": middle(found["first"]),
                    "last_byte_ms": middle(found["last"]),
                }
            )
    return figures


_WATCHED = 20.0
"""Seconds for which calls that say nothing are watched."""
_SETTLED = 35.0
"""Seconds after which their heartbeats come as rarely as they do from then on."""


async def in_flight(system: System, scale: Scale) -> list[Figures]:
    """What calls cost that are in flight and say nothing, and what they keep in memory."""
    found: list[Figures] = [{"calls": 0, "cores": await cores_of(system, _WATCHED)}]
    for count in scale.in_flight:
        idle = {name: system.parts[name].memory for name in OURS}
        silence = int(_SETTLED + _WATCHED) + 5 + count // 10
        await system.load("crowd_start", model=f"bench-1-0-silent-{silence}", count=count)
        await asyncio.sleep(_SETTLED)
        cores = await cores_of(system, _WATCHED)
        memory = {name: system.parts[name].memory for name in OURS}
        found.append(
            {
                "calls": count,
                "cores": cores,
                "idle_mb": sum(idle.values()),
                "mb_per_call": {name: (memory[name] - idle[name]) / count for name in OURS},
            }
        )
        await asyncio.sleep(silence - _WATCHED - _SETTLED)
    return found


async def startup(system: System, scale: Scale) -> Figures:
    """What a command takes that does nothing; and a worker, until it is ready and from there to a first token."""
    helps: list[float] = []
    ready: list[float] = []
    cpu: list[float] = []
    first: list[float] = []
    for _ in range(scale.kills):
        began = monotonic()
        await system.once([sys.executable, "-m", "longrun.cli.main", "--help"])
        helps.append(monotonic() - began)
        began = monotonic()
        await system.replace("worker")
        ready.append(monotonic() - began)
        (start,) = (await system.load("longrun_tokens", model=ANSWER, count=1))["starts"]
        first.append(start["whole"] / 1000)
        await asyncio.sleep(2)
        cpu.append(system.parts["worker"].cpu)
    return {
        "rounds": scale.kills,
        "help_s": middle(helps),
        "ready_s": middle(ready),
        "first_token_s": middle(first),
        "worker_cpu_s": middle(cpu),
    }


async def recovery(system: System, scale: Scale) -> Figures:
    """From SIGKILL of the only worker, which is started again at once, until its run says something new."""
    gaps: list[float] = []
    for _ in range(scale.kills):
        run = asyncio.create_task(system.load("longest_gap", model="bench-400-20"))
        await asyncio.sleep(4)
        await system.replace("worker")
        gaps.append((await run)["ms"])
    return {"kills": len(gaps), "p50": rounded(percentile(gaps, 0.5)), "max": rounded(max(gaps))}


MEASURES: Mapping[str, Callable[[System, Scale], Awaitable[Any]]] = {
    "throughput": throughput,
    "first_token": first_token,
    "token_delay": token_delay,
    "viewers": viewers,
    "resume": resume,
    "in_flight": in_flight,
    "startup": startup,
    "recovery": recovery,
    "takeover": lambda system, scale: takeover(system, *scale.taken_over, _SETTLED),
    "waiting": lambda system, scale: waiting(system, *scale.waiting),
}
