"""The worker process of the bare workflow: the same SDK, the same worker options, no store and no stream.

Run as ``python -m tests.bench.bare TEMPORAL_ADDRESS``; the provider comes from the environment, as the SDK reads it.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from tests.bench.bare_workflow import BareRun, Call, Question, Said
from tests.bench.provider import TOOL

TASK_QUEUE = "bare"
READY = "bare worker ready"
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "Do nothing for a while.",
            "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]},
        },
    }
]


def conversation(question: Question) -> list[ChatCompletionMessageParam]:
    """The messages, as Chat Completions takes them."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question.prompt}]
    if question.said is None:
        return messages
    calls = question.said.calls
    messages.append(
        {
            "role": "assistant",
            "content": question.said.text or None,
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in calls
            ],
        }
    )
    for call, result in zip(calls, question.results, strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return messages


def take(chunk: ChatCompletionChunk, said: Said) -> None:
    """Add a chunk to the answer."""
    for choice in chunk.choices:
        said.text += choice.delta.content or ""
        for piece in choice.delta.tool_calls or ():
            if piece.id:
                said.calls.append(Call(piece.id, (piece.function and piece.function.name) or "", ""))
            said.calls[-1].arguments += (piece.function and piece.function.arguments) or ""


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(1.0)


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Send heartbeats while the block runs."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


class BareActivities:
    """The two activities.

    Args:
        client: The provider's SDK.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @activity.defn(name="bare_model")
    async def model(self, question: Question) -> Said:
        """Ask, and return the whole answer."""
        said = Said("", [])
        async with heartbeats():
            stream = await self._client.chat.completions.create(
                model=question.model,
                messages=conversation(question),
                tools=TOOLS,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    take(chunk, said)
        return said

    @activity.defn(name="bare_tool")
    async def tool(self, call: Call) -> str:
        """Do what the tool ``wait`` does."""
        async with heartbeats():
            seconds = float(json.loads(call.arguments)["seconds"])
            await asyncio.sleep(seconds)
            return f"{seconds:g} seconds have passed."


async def work(address: str) -> None:
    """Work until the process is ended."""
    client = await Client.connect(address)
    async with AsyncOpenAI(max_retries=0) as provider:
        activities = BareActivities(provider)
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[BareRun],
            activities=[activities.model, activities.tool],
            max_concurrent_activities=500,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
            max_heartbeat_throttle_interval=timedelta(seconds=0.5),
            default_heartbeat_throttle_interval=timedelta(seconds=0.5),
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        )
        async with worker:
            sys.stdout.write(f"{READY}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
