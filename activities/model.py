"""Asking a model: its deltas go to the log while they come, its message comes back whole."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from longrun.activities.answering import Answering, Question
from longrun.activities.failures import ProviderFailure, bounded, handed_over, store_failures, unforeseen
from longrun.activities.fitting import fit
from longrun.activities.identity import origin_of
from longrun.activities.in_flight import InFlight, Pulse
from longrun.activities.plans import plans
from longrun.activities.providers.provider import ModelRequest, Provider
from longrun.activities.toolbox.registry import Toolbox
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.store.blobs import Blobs
from longrun.store.db.database import StoreUnavailableError
from longrun.store.log import FencedError
from longrun.store.messages import Messages
from longrun.store.runs import Runs
from longrun.store.step_attempts import StepAttempt
from longrun.store.steps import LostWorkersError, Steps
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import RunOrder
from longrun.workflows.contract.steps import ModelSteps
from longrun.workflows.transcript import paired

_MARGIN = 30.0
"""Seconds that an attempt ends before Temporal would give it up."""


class Catalog(Protocol):
    """The models that there are."""

    async def load(self, model: str) -> tuple[Provider, str]:
        """The provider of ``provider/name``, and the name; its SDK may take seconds to load."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""


class ModelActivities(ModelSteps):
    """Implements the port with real providers and the store.

    Args:
        catalog: The models.
        toolbox: The tools.
        runs: The runs.
        steps: Their steps.
        messages: Their messages.
        blobs: What is kept whole.
        in_flight: The calls of this worker.
        may_loosen: Whether the operator lets an agent run a tool with less approval than the tool asks for.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing that an answer needs
        self,
        catalog: Catalog,
        toolbox: Toolbox,
        runs: Runs,
        steps: Steps,
        messages: Messages,
        *,
        blobs: Blobs,
        in_flight: InFlight,
        may_loosen: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._catalog = catalog
        self._toolbox = toolbox
        self._runs = runs
        self._steps = steps
        self._messages = messages
        self._blobs = blobs
        self._in_flight = in_flight
        self._may_loosen = may_loosen
        self._answering = Answering(steps)

    @override
    @activity.defn
    async def call_model(self, call: ModelCall) -> ModelReply:
        reached("call received")
        with self._in_flight.received(), bounded(), store_failures():
            order = await self._runs.order(call.run_id)
            if order is None:
                raise StoreUnavailableError(f"the store has no run {call.run_id}")
            try:
                origin = origin_of(call.run_id, call.step if call.answered else call.step - 1)
                attempt = await self._steps.begin(call, order.agent.model, self._in_flight.taker(), origin)
            except FencedError as error:  # the run has ended, or was reset: trying again cannot help
                raise ApplicationError(str(error), type="fenced", non_retryable=True) from error
            except LostWorkersError as error:
                raise ApplicationError(str(error), type="workers_lost", non_retryable=True) from error
            return await fit(attempt.reply or await self._attempt(call, order, attempt), self._blobs)

    async def _attempt(self, call: ModelCall, order: RunOrder, attempt: StepAttempt) -> ModelReply:
        try:
            async with self._in_flight.heartbeats(call.run_id, attempt.seen) as pulse:
                reply = await self._answer(call, order, attempt, pulse)
        except ProviderFailure as failure:
            raise await self._failed(attempt, failure.to_application_error(attempt.failures + 1)) from None
        except FencedError as error:
            raise ApplicationError(str(error), type="fenced") from error
        except asyncio.CancelledError:
            if not activity.is_worker_shutdown():
                raise
            await self._steps.handed_over(attempt, now())
            raise handed_over() from None
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it counts, so that the step has an end
            raise await self._failed(attempt, unforeseen(error, attempt.failures + 1)) from None
        reached("message written")
        return reply

    async def _answer(self, call: ModelCall, order: RunOrder, attempt: StepAttempt, pulse: Pulse) -> ModelReply:
        """The reply, before Temporal would give the attempt up without a word of it in the log."""
        limit = activity.info().start_to_close_timeout
        seconds = max(limit.total_seconds() - _MARGIN, 0.9 * limit.total_seconds()) if limit else None
        try:
            async with asyncio.timeout(seconds):
                return await self._answering.answer(await self._question(call, order, attempt, pulse), attempt)
        except TimeoutError:
            raise ProviderFailure("transient", f"{order.agent.model}: no end of the answer after {limit}") from None

    async def _failed(self, attempt: StepAttempt, error: ApplicationError) -> ApplicationError:
        """Write a failed attempt down; its error."""
        cause = ErrorInfo(type=error.type or "error", message=error.message)
        wait = None if error.non_retryable else error.next_retry_delay
        try:
            await self._steps.failed(attempt, cause, now(), wait)
        except FencedError as fenced:
            return ApplicationError(str(fenced), type="fenced")
        return error

    async def _question(self, call: ModelCall, order: RunOrder, attempt: StepAttempt, pulse: Pulse) -> Question:
        provider, name = await self._catalog.load(order.agent.model)
        request = ModelRequest(
            model=name,
            system=order.agent.system,
            messages=paired(await self._messages.conversation(call.run_id, call.step)),
            tools=tuple(spec for spec in self._toolbox.specs() if any(t.name == spec.name for t in order.agent.tools)),
            params=order.agent.params,
            run_id=call.run_id,
            step=call.step,
            attempt=attempt.number,
        )
        made = partial(plans, self._toolbox, order.agent, may_loosen=self._may_loosen)
        return Question(provider, request, order.agent.model, made, pulse)
