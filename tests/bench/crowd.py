"""The client of many runs at once: it starts them, watches some of them, looks at all, and decides."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from tests.bench.http_client import Answer, BadAnswerError, Connection
from tests.bench.provider import TOOL

Job = dict[str, Any]
Result = dict[str, Any]
T = TypeVar("T")

_AT_ONCE = 32


class Crowd:
    """Runs that were started together.

    Args:
        port: The gateway's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._watched: list[asyncio.Task[Answer]] = []

    async def start(self, job: Job) -> Result:
        """Start ``count`` runs and follow the streams of the first ``watched`` ones."""
        tool = {"name": TOOL, "approval": "always"} if job.get("asks") else TOOL
        agent = {"name": "bench", "model": f"openai-chat/{job['model']}", "tools": [tool]}
        given = json.dumps({"agent": agent, "input": "hello"}).encode()
        found = await self._each(range(job["count"]), lambda _: self._ask("POST", "/api/runs", given))
        ids = [run["id"] for run in found]
        self._watched = [asyncio.create_task(self._watch(run_id)) for run_id in ids[: job.get("watched", 0)]]
        return {"ids": ids}

    async def _watch(self, run_id: str) -> Answer:
        connection = await Connection.open(self._port)
        return (await connection.request("GET", f"/api/runs/{run_id}/stream?view=raw")).completed()

    async def watched(self, _job: Job) -> Result:
        """How many of the streams came to the end of a completed run."""
        ends = await asyncio.gather(*self._watched, return_exceptions=True)
        return {"streams": len(ends), "whole": sum(isinstance(end, Answer) for end in ends)}

    async def look(self, job: Job) -> Result:
        """Runs with their attempts."""
        return {"runs": await self._each(job["ids"], lambda run_id: self._ask("GET", f"/api/runs/{run_id}"))}

    async def decide(self, job: Job) -> Result:
        """Approve the call that each of these runs waits with."""

        async def approve(run_id: str) -> Any:  # noqa: ANN401 - JSON
            page = await self._ask("GET", f"/api/approvals?run_id={run_id}")
            call_id = page["approvals"][0]["call_id"]
            body = json.dumps({"call_id": call_id, "run_id": run_id, "decision": "approve"}).encode()
            return await self._ask("POST", "/api/approvals", body)

        await self._each(job["ids"], approve)
        return {}

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Any:  # noqa: ANN401 - JSON
        connection = await Connection.open(self._port)
        answer = await connection.request(method, path, body)
        connection.close()
        if answer.status // 100 != 2:
            raise BadAnswerError(f"{method} {path}: {answer.status}: {answer.body[:500]!r}")
        return json.loads(answer.body)

    @staticmethod
    async def _each(items: Iterable[Any], do: Callable[[Any], Coroutine[Any, Any, T]]) -> list[T]:
        few = asyncio.Semaphore(_AT_ONCE)

        async def one(item: Any) -> T:  # noqa: ANN401 - whatever the items are
            async with few:
                return await do(item)

        return await asyncio.gather(*map(one, items))
