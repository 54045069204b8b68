"""Which turn of a plan a conversation has reached, in the requests that our own adapters make."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.settings import ProviderSettings
from longrun.workflows.contract.messages import Message
from tests.activities.providers.asking import WEATHER, ask, request, result, results, user
from tests.chaos.generating.plan import Plan, answer, plan_text
from tests.chaos.providing import CountingProvider, providing

LOOK = {"name": "get_weather", "arguments": {"city": "Oslo"}}
EVERYTHING = {"reasoning": 3, "text": 5, "calls": [LOOK, {**LOOK, "id": "mine"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[CountingProvider]:
    async with providing() as running:
        yield running


@pytest_asyncio.fixture
async def catalog(provider: CountingProvider) -> AsyncIterator[ProviderCatalog]:
    made = ProviderCatalog(ProviderSettings(openai_api_key=SecretStr("sk-test"), openai_base_url=provider.url))
    yield made
    await made.aclose()


async def converse(catalog: ProviderCatalog, model: str, *given: Message, writer: str) -> list[Message]:
    """Ask and answer the calls until there are none."""
    messages = list(given)
    while True:
        reply = await ask(catalog, model, request(*messages, tools=[WEATHER]))
        messages.append(reply.message(writer))
        if not messages[-1].calls:
            return messages
        messages.append(results(*(result(call) for call in messages[-1].calls)))


@pytest.mark.parametrize("model", ["openai/gpt-5-test", "openai-chat/gpt-5-test"])
@pytest.mark.parametrize("writer", ["openai/gpt-5-test", "openai-chat/gpt-5-test"])
async def test_our_requests_lead_from_turn_to_turn(
    provider: CountingProvider, catalog: ProviderCatalog, model: str, writer: str
) -> None:
    label = f"{model} after {writer}"
    bare = {"calls": [{"name": "get_weather"}]}
    first = await converse(catalog, model, user(plan_text(label, EVERYTHING, bare, {"text": 2})), writer=writer)
    texts_said = [message.text for message in first if message.role == "assistant"]
    assert texts_said == ["t0w0 t0w1 t0w2 t0w3 t0w4 ", "", "t2w0 t2w1 "]
    again = [*first, user(plan_text(label, bare)), user("and be quick")]
    second = await converse(catalog, model, *again, writer=writer)
    assert [message.text for message in second[len(again) :] if message.role == "assistant"] == ["", "done"]
    calls = [call.call_id for message in second for call in message.calls]
    assert calls == ["call_0_0", "mine", "call_1_0", "call_0_0_2"]
    assert [entry["turn"] for entry in await provider.bill(label)] == [0, 1, 2, 0, 1]
    assert await provider.violations() == []


def test_the_same_conversation_has_the_same_answer() -> None:
    body = {"input": [{"role": "user", "content": plan_text("same", EVERYTHING)}], "instructions": "Be very brief."}
    assert answer("responses", body) == answer("responses", body)
    assert answer("responses", body).tokens_out == 3 + 5 + 2 * 2
    assert Plan(turns=()).rate == 50
