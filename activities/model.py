"""Asking a model: its deltas go to the log while they come, its message comes back whole."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from activities.delta_writer import DeltaWriter
from activities.failures import ProviderFailure
from activities.heartbeat import cancelled_by_run, heartbeats
from activities.providers.provider import Completed, ModelRequest, Provider
from activities.toolbox.registry import Toolbox
from store.agents import new_id
from store.clock import now
from store.log import FencedError
from store.messages import Messages
from store.runs import Runs
from store.steps import BegunStep, Steps
from workflows import untorn
from workflows.contract.events import Event
from workflows.contract.messages import Message, Usage
from workflows.contract.runs import RunOrder
from workflows.contract.steps import ModelCall, ModelReply, ModelSteps, Span, ToolPlan
from workflows.deltas import Attempt
from workflows.transcript import paired


class Catalog(Protocol):
    """The models that there are."""

    def resolve(self, model: str) -> tuple[Provider, str]:
        """The provider of ``provider/name``, and the name."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""


class ModelActivities(ModelSteps):
    """Implements the port with real providers and the store."""

    def __init__(self, catalog: Catalog, toolbox: Toolbox, runs: Runs, steps: Steps, messages: Messages) -> None:
        self._catalog = catalog
        self._toolbox = toolbox
        self._runs = runs
        self._steps = steps
        self._messages = messages

    @override
    @activity.defn
    async def call_model(self, call: ModelCall) -> ModelReply:
        order = await self._runs.order(call.run_id)
        if order is None:
            raise ApplicationError(f"the store has no run {call.run_id}", type="store_away")
        worker = activity.info().task_queue
        try:
            begun = await self._steps.begin(call, order.agent.model, worker, now())
        except FencedError as error:  # the run has ended: trying again cannot help
            raise ApplicationError(str(error), type="fenced", non_retryable=True) from error
        if begun.reply:
            return begun.reply
        try:
            async with heartbeats():
                return await self._ask(call, order, begun)
        except ProviderFailure as failure:
            raise failure.to_application_error() from failure
        except FencedError as error:
            raise ApplicationError(str(error), type="fenced") from error

    async def _ask(self, call: ModelCall, order: RunOrder, begun: BegunStep) -> ModelReply:
        provider, name = self._catalog.resolve(order.agent.model)
        said = await self._messages.conversation(call.run_id, call.step)
        attempt = Attempt(call.run_id, call.step, begun.attempt, now(), new_id())

        async def append(batch: int, events: Sequence[Event]) -> Span:
            return await self._steps.append(call.run_id, call.step, begun.attempt, batch, events)

        writer = DeltaWriter(attempt, append, frozenset(part.call_id for m in said for part in m.calls))
        request = ModelRequest(
            model=name,
            system=order.agent.system,
            messages=paired(said),
            tools=tuple(spec for spec in self._toolbox.specs() if any(t.name == spec.name for t in order.agent.tools)),
            params=order.agent.params,
            run_id=call.run_id,
            step=call.step,
            attempt=begun.attempt,
        )
        try:
            async with aclosing(provider.stream(request)) as deltas:
                async for delta in deltas:
                    writer.put(delta)
        except asyncio.CancelledError:
            if not cancelled_by_run():
                await writer.stop()
                raise
            writer.completed = writer.completed or Completed("cancelled", Usage())
        except BaseException:
            await writer.stop()
            raise
        reply, _ = await untorn.ended(self._keep(call, begun, writer, (order.agent.model, attempt.at)))
        return reply

    async def _keep(
        self, call: ModelCall, begun: BegunStep, writer: DeltaWriter, of: tuple[str, datetime]
    ) -> ModelReply:
        """Commit the message with its last deltas."""
        if writer.completed is None:
            raise ProviderFailure("invalid", "the provider's stream ended without an end")
        events = await writer.last()
        message = writer.message(of[0])
        reply = ModelReply(
            message=message,
            finish_reason=writer.completed.finish_reason,
            usage=writer.completed.usage,
            attempt=begun.attempt,
            begin=begun.begin,
            superseded=begun.superseded,
            attempt_at=of[1],
            marks=tuple(writer.marks),
            spans=(),
            completed_at=now(),
            plans=self._plans(message),
        )

        def seal(last: Span) -> ModelReply:
            return reply.model_copy(update={"spans": _joined([*writer.spans, last])})

        return await self._steps.complete(call, events, seal, reply)

    def _plans(self, message: Message) -> dict[str, ToolPlan]:
        found = {part.name: self._toolbox.find(part.name) for part in message.calls}
        return {
            name: ToolPlan(effect=tool.spec.effect, approval=tool.spec.approval, timeout=tool.spec.timeout)
            for name, tool in found.items()
            if tool is not None
        }


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Neighbouring spans made one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].last + 1 == span.first:
            joined[-1] = Span(first=joined[-1].first, last=span.last)
        else:
            joined.append(span)
    return tuple(joined)
