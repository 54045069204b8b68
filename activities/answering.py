"""The one answer of a step: the partial answer of an earlier attempt resumed, or a new request."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from longrun.activities.delta_writer import DeltaWriter
from longrun.activities.ends import cancelled_by_run, cancelled_on_shutdown
from longrun.activities.failures import ProviderFailure
from longrun.activities.in_flight import Pulse
from longrun.activities.providers.provider import (
    Completed,
    Delta,
    LostAnswerError,
    ModelRequest,
    PartialAnswer,
    Provider,
    RefusedResumeError,
    Resumable,
    UnfitAnswerError,
)
from longrun.runtime.clock import now
from longrun.runtime.ids import new_id
from longrun.store.step_attempts import StepAttempt, StoredAnswer
from longrun.store.steps import Steps
from longrun.workflows import shielded
from longrun.workflows.contract.attempts import Recovery, ResumePoint
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.messages import Message, Usage
from longrun.workflows.contract.requests import CallPlan
from longrun.workflows.contract.results import ModelReply, Span
from longrun.workflows.deltas import Attempt, PartEvent

logger = logging.getLogger(__name__)

_FROM_THE_BEGINNING = -1


@dataclass(frozen=True)
class Question:
    """What a step asks, and whom.

    ``model`` is the provider with its model, ``plans`` what becomes of the calls; ``pulse`` is told what is written.
    """

    provider: Provider
    request: ModelRequest
    model: str
    plans: Callable[[Message], dict[str, CallPlan]]
    pulse: Pulse


class Answering:
    """Gets answers into the log.

    Args:
        steps: The store's steps.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def answer(self, question: Question, attempt: StepAttempt) -> ModelReply:
        """The answer to a step's question, as it is kept.

        Raises:
            ProviderFailure: There is none.
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The store failed.
            asyncio.CancelledError: The worker is to leave it to another one, or has lost it.
        """
        if attempt.partial is not None:
            found = await self._resume(question, attempt, attempt.partial)
            if isinstance(found, ModelReply):
                return found
            attempt = await self._steps.restart(found, now(), reissued=True)
        return await self._read(question, attempt, question.provider.stream(question.request))

    async def _resume(
        self, question: Question, attempt: StepAttempt, partial: StoredAnswer
    ) -> ModelReply | StepAttempt:
        """Resume a partial answer: its stream, else the whole.

        Returns:
            The reply; or, if the answer is lost, the attempt that must send the request again.
        """
        provider = question.provider
        if not isinstance(provider, Resumable):
            return attempt
        ways: list[Recovery] = ["reattached", "retrieved", "retrieved"]
        for how in ways:
            await self._steps.recovered(attempt, how)
            resume = provider.reattach if how == "reattached" else provider.retrieve
            try:
                deltas = resume(question.request, PartialAnswer(partial.resume_point, _texts(partial.deltas)))
                return await self._read(question, attempt, deltas)
            except RefusedResumeError as refusal:
                logger.info("%s; waiting for the whole answer", refusal)
            except UnfitAnswerError as error:
                logger.warning("%s; reading it from its beginning", error)
                attempt = await self._steps.restart(attempt, now(), reissued=False)
                partial = StoredAnswer(
                    ResumePoint(response_id=partial.resume_point.response_id, cursor=_FROM_THE_BEGINNING, state="")
                )
            except LostAnswerError as error:
                logger.warning("%s; asking again", error)
                break
        return attempt

    async def _read(self, question: Question, attempt: StepAttempt, deltas: AsyncGenerator[Delta, None]) -> ModelReply:
        writer = self._writer(question, attempt)
        try:
            async with cancelled_on_shutdown(writer.resumable), aclosing(deltas):
                async for delta in deltas:
                    writer.put(delta)
        except asyncio.CancelledError:
            if not cancelled_by_run():
                await writer.stop()
                raise
            usage = Usage()
            if writer.resume_point:
                usage = await cancel_answer(question.provider, writer.resume_point.response_id)
            writer.completed = writer.completed or Completed("cancelled", usage)
        except BaseException:
            await writer.stop()
            raise
        reply, _ = await shielded.ended(self._keep(question, attempt, writer))
        return reply

    def _writer(self, question: Question, attempt: StepAttempt) -> DeltaWriter:
        async def append(batch: int, events: Sequence[Event], resume_point: ResumePoint | None) -> Span:
            span = await self._steps.append(attempt, batch, events, resume_point)
            question.pulse.wrote(span.last)
            return span

        taken = frozenset(part.call_id for message in question.request.messages for part in message.calls)
        return DeltaWriter(_named(attempt), append, taken | attempt.taken, attempt.partial)

    async def _keep(self, question: Question, attempt: StepAttempt, writer: DeltaWriter) -> ModelReply:
        """Commit the message with its last deltas."""
        if writer.completed is None:
            raise ProviderFailure("invalid", "the provider's stream ended without an end")
        events = await writer.last()
        message = writer.message(question.model)
        reply = ModelReply(
            message=message,
            finish_reason=writer.completed.finish_reason,
            usage=writer.completed.usage,
            attempt=attempt.author,
            step=attempt.step,
            opened=attempt.opened,
            notices=attempt.notices,
            attempt_at=writer.attempt.at,
            marks=tuple(writer.marks),
            spans=(),
            completed_at=now(),
            plans=question.plans(message),
        )

        def seal(last: Span) -> ModelReply:
            return reply.model_copy(update={"spans": _joined([*writer.spans, last])})

        return await self._steps.complete(attempt, events, seal, reply)


async def cancel_answer(provider: Provider, response_id: str) -> Usage:
    """Cancel an answer at the provider, where it can be cancelled, so that it is not paid for; what it has cost."""
    if not isinstance(provider, Resumable):
        return Usage()
    try:
        return await provider.cancel(response_id)
    except ProviderFailure as failure:
        logger.warning("%s could not be cancelled: %s", response_id, failure)
        return Usage()


def _named(attempt: StepAttempt) -> Attempt:
    """The name under which an attempt writes: its own, or that of the one whose answer it goes on with."""
    first = attempt.partial.deltas[0] if attempt.partial and attempt.partial.deltas else None
    if isinstance(first, PartEvent):
        return Attempt(attempt.run_id, attempt.step, attempt.author, first.at, first.message_id)
    return Attempt(attempt.run_id, attempt.step, attempt.author, now(), new_id())


def _texts(events: Sequence[Event]) -> dict[int, str]:
    """What has come of each part, by its number."""
    texts: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, PartEvent):
            texts.setdefault(event.part, []).append(getattr(event, "delta", ""))
    return {part: "".join(pieces) for part, pieces in texts.items()}


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Neighbouring spans made one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].last + 1 == span.first:
            joined[-1] = Span(first=joined[-1].first, last=span.last)
        else:
            joined.append(span)
    return tuple(joined)
