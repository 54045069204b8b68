"""Reads a run's history from Temporal, link by link, and keeps what its activities returned."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.converter import WorkflowSerializationContext
from temporalio.service import RPCError, RPCStatusCode

from gateway.away import RPC_TIMEOUT, answered
from gateway.history.decoder import LinkDecoder
from gateway.history.results import Results

WORKFLOW_TYPE = "AgentRun"


@dataclass(frozen=True)
class Tip:
    """The newest link of a run's chain. ``length`` is the number of its events, ``first`` the chain's first link."""

    link: str
    length: int
    first: str
    status: WorkflowExecutionStatus | None
    successor: str | None

    @property
    def over(self) -> bool:
        """Whether the workflow has ended, and was not reset to go on elsewhere."""
        return self.status is not WorkflowExecutionStatus.RUNNING and not self.successor


class HistoryReader:
    """Reads histories of runs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tip(self, run_id: str, link: str | None = None) -> Tip | None:
        """The newest link of a run's chain, or a given one; ``None`` if Temporal knows no such run.

        Raises:
            TemporalAwayError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(run_id, run_id=link)
        try:
            with answered():
                found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            raise
        return _tip(found) if found.workflow_type == WORKFLOW_TYPE else None

    async def results(self, run_id: str, tip: Tip) -> Results:
        """What all links of the chain kept, oldest first.

        Raises:
            TemporalAwayError: Temporal did not answer.
        """
        context = WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=run_id)
        results = Results(run_id)
        converter = self._client.data_converter.with_context(context)
        link: str | None = tip.first
        read: set[str] = set()
        while link and link not in read:
            read.add(link)
            decoder = LinkDecoder(converter, results)
            async with aclosing(self._events(run_id, link)) as events:
                async for event in events:
                    await decoder.take(event)
            link = decoder.continued_as or await self._reset_to(run_id, link, tip)
        return results

    async def _reset_to(self, run_id: str, link: str, tip: Tip) -> str | None:
        """The link that goes on in place of one that was reset."""
        if link == tip.link:
            return tip.successor
        found = await self.tip(run_id, link)
        return found.successor if found else None

    async def _events(self, run_id: str, link: str) -> AsyncGenerator[HistoryEvent]:
        """The events of one link; none if it is no longer kept."""
        pages = self._client.get_workflow_handle(run_id, run_id=link).fetch_history_events(rpc_timeout=RPC_TIMEOUT)
        while True:
            try:
                with answered():
                    await pages.fetch_next_page()
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return
                raise
            for event in pages.current_page or ():
                yield event
            if pages.next_page_token is None:
                return


def _tip(found: WorkflowExecutionDescription) -> Tip:
    info = found.raw_description.workflow_execution_info
    return Tip(
        link=found.run_id,
        length=found.history_length,
        first=info.first_run_id or found.run_id,
        status=found.status,
        successor=found.raw_description.workflow_extended_info.reset_run_id or None,
    )
