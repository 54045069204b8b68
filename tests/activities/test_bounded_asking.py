"""Whatever a provider does wrong, a step asks it a bounded number of times, with growing waits, and says the reason."""

from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError

from longrun.activities.failures import MOST_FAILURES
from longrun.activities.model import Catalog
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.workflows.contract.requests import ModelCall
from tests.activities.asking import model_activities
from tests.activities.environment import activity_environment
from tests.activities.providers.asking import catalog_for
from tests.build import Stores, agent, order
from tests.provider_fake import FakeCatalog, FakeProvider, requested, text, turn
from tests.wire import Wire
from tests.wire_answers import Answer, Cut, Stall, message_item, responses_stream

GOOD = responses_stream(message_item("One went out. Two came back."))
ERROR = {"type": "server_error", "message": "broken inside"}
TIMES = range(MOST_FAILURES)


@pytest_asyncio.fixture
async def catalog(server: Wire) -> AsyncIterator[ProviderCatalog]:
    made = catalog_for(server, read_timeout=0.2)
    yield made
    await made.aclose()


async def failures_of(stores: Stores, catalog: Catalog, model: str) -> list[ApplicationError]:
    """The failures of a step until it is not to be tried again, as Temporal sees them."""
    spec = agent().model_copy(update={"model": model})
    run_id = (await stores.accept(order(spec=spec))).run_id
    activities = model_activities(catalog, stores)
    failures: list[ApplicationError] = []
    while not failures or not failures[-1].non_retryable:
        assert len(failures) <= MOST_FAILURES, "it is tried for ever"
        with pytest.raises(ApplicationError) as failed:
            await activity_environment().run(activities.call_model, ModelCall(run_id=run_id, step=1))
        failures.append(failed.value)
    return failures


def waits(failures: list[ApplicationError]) -> list[float]:
    """The seconds before each attempt but the first."""
    return [each.next_retry_delay.total_seconds() for each in failures[:-1] if each.next_retry_delay]


CASES: dict[str, tuple[Callable[[], Answer], int, str]] = {
    "refused": (lambda: Answer.error(400, {"type": "invalid_request_error", "message": "no such field"}), 1, "field"),
    "limited": (lambda: Answer.error(429, {"type": "rate_limit_error", "message": "slow down"}), MOST_FAILURES, "slow"),
    "broken": (lambda: Answer.error(500, ERROR), MOST_FAILURES, "broken inside"),
    "cut": (lambda: Answer([*GOOD[:4], Cut()]), MOST_FAILURES, "incomplete"),
    "without an end": (lambda: Answer(GOOD[:4]), MOST_FAILURES, "without its terminal event"),
    "garbled": (lambda: Answer([*GOOD[:4], b"data: {\n\n"]), MOST_FAILURES, "is not JSON"),
    "no stream": (lambda: Answer([b"<html>"]), MOST_FAILURES, "no stream"),
    "silent": (lambda: Answer([*GOOD[:4], Stall()]), MOST_FAILURES, "ReadTimeout"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_step_asks_so_often_and_then_fails_with_the_reason(
    stores: Stores, server: Wire, catalog: ProviderCatalog, case: str
) -> None:
    answer, times, reason = CASES[case]
    server.play(*(answer() for _ in range(times + 2)))
    failures = await failures_of(stores, catalog, "openai/gpt-test")
    assert len(server.requests) == len(failures) == times
    assert reason in failures[-1].message
    delays = waits(failures)
    assert len(delays) == times - 1
    assert all(before < after or after == 60.0 for before, after in pairwise(delays)), delays


async def test_what_nobody_has_foreseen_is_asked_as_often(stores: Stores) -> None:
    provider = FakeProvider(lambda _: turn(text("Ha", RuntimeError("odd"))))
    failures = await failures_of(stores, FakeCatalog(provider), "scripted/odd")
    assert len(requested(provider)) == len(failures) == MOST_FAILURES
    assert failures[-1].message == "RuntimeError: odd"
    assert waits(failures) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


async def test_a_host_that_names_a_wait_is_asked_after_it(
    stores: Stores, server: Wire, catalog: ProviderCatalog
) -> None:
    error = {"type": "rate_limit_error", "message": "slow down"}
    server.play(*(Answer.error(429, error, {"retry-after": "7"}) for _ in TIMES))
    failures = await failures_of(stores, catalog, "openai/gpt-test")
    assert len(server.requests) == MOST_FAILURES
    assert waits(failures) == [7.0] * (MOST_FAILURES - 1)
