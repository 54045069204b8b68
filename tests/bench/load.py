"""The clients, in a process of their own so that what they cost is counted apart.

Reads one job per line, as JSON with a ``kind``, and answers with one line each. Run as
``python -m tests.bench.load GATEWAY_PORT TEMPORAL_ADDRESS``; the provider comes from the environment.
"""

import asyncio
import gc
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any
from uuid import uuid4

from openai import AsyncOpenAI
from temporalio.client import Client

from tests.bench.bare import TASK_QUEUE
from tests.bench.bare_workflow import BareRun
from tests.bench.crowd import Crowd
from tests.bench.figures import MILLISECOND, SECOND, received_at, sent_at, spread
from tests.bench.http_client import Answer, BadAnswerError, Connection
from tests.bench.provider import TOOL

Job = dict[str, Any]
Result = dict[str, Any]
READY = "load ready"


class Load:
    """What can be asked for.

    Args:
        port: The gateway's.
        temporal: A client of Temporal.
        provider: The provider's SDK.
    """

    def __init__(self, port: int, temporal: Client, provider: AsyncOpenAI) -> None:
        self._port = port
        self._temporal = temporal
        self._provider = provider
        self._connections: list[Connection] = []
        self._crowd = Crowd(port)

    async def perform(self, job: Job) -> Result:
        """Do one job."""
        kinds: dict[str, Callable[[Job], Awaitable[Result]]] = {
            "longrun_runs": self.longrun_runs,
            "bare_runs": self.bare_runs,
            "longrun_tokens": self.longrun_tokens,
            "sdk_tokens": self.sdk_tokens,
            "crowd_start": self._crowd.start,
            "crowd_watched": self._crowd.watched,
            "crowd_look": self._crowd.look,
            "crowd_decide": self._crowd.decide,
            "longest_gap": self.longest_gap,
            "viewers": self.viewers,
            "finished_run": self.finished_run,
            "resume": self.resume,
        }
        return await kinds[job["kind"]](job)

    async def _run(self, model: str) -> Answer:
        """A run from its request to the end of its stream, over a connection that is kept."""
        self._connections = [each for each in self._connections if each.open_still]
        connection = self._connections.pop() if self._connections else await Connection.open(self._port)
        body = {"agent": {"name": "bench", "model": f"openai-chat/{model}", "tools": [TOOL]}, "input": "hello"}
        answer = await connection.request("POST", "/api/runs?stream=true", json.dumps(body).encode())
        self._connections.append(connection)
        return answer.completed()

    async def longrun_runs(self, job: Job) -> Result:
        """So many runs, so many at a time."""
        return await _closed_loop(job, lambda: self._run(job["model"]))

    async def bare_runs(self, job: Job) -> Result:
        """The same with the bare workflow."""

        async def run() -> None:
            await self._temporal.execute_workflow(
                BareRun.run, job["model"], id=f"bare-{uuid4()}", task_queue=TASK_QUEUE
            )

        return await _closed_loop(job, run)

    async def longrun_tokens(self, job: Job) -> Result:
        """When the tokens of runs came, all runs at once."""
        runs = (self._run(job["model"]) for _ in range(job["count"]))
        return _token_times([_tokens_of_stream(answer) for answer in await asyncio.gather(*runs)])

    async def sdk_tokens(self, job: Job) -> Result:
        """The same with nothing but the provider's SDK."""

        async def ask() -> tuple[int, list[tuple[int, str]]]:
            requested = time.monotonic_ns()
            stream = await self._provider.chat.completions.create(
                model=job["model"], messages=[{"role": "user", "content": "hello"}], stream=True
            )
            async with stream:
                return requested, [
                    (time.monotonic_ns(), content)
                    async for chunk in stream
                    if chunk.choices and (content := chunk.choices[0].delta.content)
                ]

        return _token_times(await asyncio.gather(*(ask() for _ in range(job["count"]))))

    async def longest_gap(self, job: Job) -> Result:
        """The longest time without a new event of a run that talks all the time."""
        times = [came for came, _ in (await self._run(job["model"])).frames()]
        return {"ms": max(after - before for before, after in pairwise(times)) / MILLISECOND}

    async def viewers(self, job: Job) -> Result:
        """Many viewers of one run, who all come before its first token."""
        run_id = await self._start(job["model"])
        connections = [await Connection.open(self._port) for _ in range(job["count"])]
        path = f"/api/runs/{run_id}/stream?view=raw"
        answers = await asyncio.gather(*(each.request("GET", path) for each in connections))
        after = await connections[0].request("GET", path)
        for each in connections:
            each.close()
        expected = _digest(after.completed())
        delays = _token_times([_tokens_of_stream(answer) for answer in answers])["delays"]
        frames = [len(answer.frames()) for answer in answers]
        return {
            "events": len(after.frames()),
            "whole": sum(_digest(answer) == expected for answer in answers),
            "frames": sum(frames),
            "fewest_frames": min(frames),
            "delays": delays,
        }

    async def _start(self, model: str) -> str:
        connection = await Connection.open(self._port)
        body = {"agent": {"name": "bench", "model": f"openai-chat/{model}", "tools": [TOOL]}, "input": "hello"}
        answer = await connection.request("POST", "/api/runs", json.dumps(body).encode())
        connection.close()
        if answer.status != 201:
            raise BadAnswerError(f"{answer.status}: {answer.body!r}")
        run_id: str = json.loads(answer.body)["id"]
        return run_id

    async def finished_run(self, job: Job) -> Result:
        """A run that is over, and how long its log is."""
        frames = (await self._run(job["model"])).frames()
        return {"run_id": json.loads(frames[0][1].split(b"data: ", 1)[1])["run_id"], "events": len(frames)}

    async def resume(self, job: Job) -> Result:
        """Read a finished run from a place to its end, some times, over a connection that is open."""
        connection = await Connection.open(self._port)
        path = f"/api/runs/{job['run_id']}/stream?starting_after={job['after']}"
        first: list[float] = []
        last: list[float] = []
        for _ in range(job["count"]):
            answer = (await connection.request("GET", path)).completed()
            if len(answer.frames()) != job["events"]:
                raise BadAnswerError(f"{len(answer.frames())} events after {job['after']}, not {job['events']}")
            first.append((answer.pieces[0][0] - answer.requested) / MILLISECOND)
            last.append((answer.ended - answer.requested) / MILLISECOND)
        connection.close()
        return {"first": first, "last": last}


async def _closed_loop(job: Job, run: Callable[[], Coroutine[Any, Any, object]]) -> Result:
    """Run ``count`` times, ``concurrency`` at a time."""
    remaining = job["count"]

    async def loop() -> None:
        nonlocal remaining
        while remaining > 0:
            remaining -= 1
            await run()

    started = time.monotonic_ns()
    await asyncio.gather(*(loop() for _ in range(job["concurrency"])))
    return {"seconds": (time.monotonic_ns() - started) / SECOND}


def _tokens_of_stream(answer: Answer) -> tuple[int, list[tuple[int, str]]]:
    """When the run was asked for, and the texts of its deltas with the times at which they came."""
    deltas = (
        (came, json.loads(frame.split(b"data: ", 1)[1])["delta"])
        for came, frame in answer.frames()
        if b"\nevent: text.delta\n" in frame
    )
    return answer.requested, list(deltas)


def _token_times(streams: list[tuple[int, list[tuple[int, str]]]]) -> Result:
    """The tokens' delays; and for each stream the way of the first one: to the provider, and from it to the client."""
    delays = [came - sent for _, texts in streams for came, text in texts for sent in sent_at(text)]
    starts: list[dict[str, float]] = []
    for requested, texts in streams:
        came, text = texts[0]
        received = received_at(text)
        if received is None:
            raise BadAnswerError(f"a stream begins with {text!r}")
        starts.append(
            {
                "whole": (came - requested) / MILLISECOND,
                "to_provider": (received - requested) / MILLISECOND,
                "to_client": (came - sent_at(text)[0]) / MILLISECOND,
            }
        )
    return {"delays": spread(delays), "pieces": sum(len(texts) for _, texts in streams), "starts": starts}


def _digest(answer: Answer) -> str:
    return hashlib.sha256(b"\n\n".join(frame for _, frame in answer.frames())).hexdigest()


async def serve(port: int, address: str) -> None:
    """Do jobs until the input ends."""
    loop = asyncio.get_running_loop()
    temporal = await Client.connect(address)
    async with AsyncOpenAI(max_retries=0) as provider:
        load = Load(port, temporal, provider)
        gc.disable()  # a collection in the middle would be counted as a delay
        _say(READY)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                _say(json.dumps(await load.perform(json.loads(line))))
            except Exception as error:  # noqa: BLE001 - the edge of the process: whoever asked is told
                _say(json.dumps({"error": f"{error!r}\n{traceback.format_exc()}"}))
            gc.collect()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
