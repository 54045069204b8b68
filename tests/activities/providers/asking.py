"""Asking a provider as the model activity does, and checking what every answer must obey."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, PartCompleted, PartDelta, PartStarted
from longrun.activities.providers.settings import ProviderSettings
from longrun.workflows.contract.agents import ModelParams, ToolSpec
from longrun.workflows.contract.messages import (
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from tests.wire import Wire
from tests.wire_answers import Answer, Event, responses_stream

RUN = "018f6b2e-0000-7000-8000-0123456789ab"
WEATHER = ToolSpec(
    name="get_weather",
    description="The weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)


def catalog_for(server: Wire, *, read_timeout: float = 5.0, background: bool = False) -> ProviderCatalog:
    """A catalog whose three SDKs reach this server."""
    return ProviderCatalog(
        ProviderSettings(
            openai_api_key=SecretStr("sk-test"),
            openai_base_url=server.openai_url,
            anthropic_api_key=SecretStr("sk-ant-test"),
            anthropic_base_url=server.base_url,
            longrun_model_read_timeout=read_timeout,
            longrun_openai_background=background,
        )
    )


def user(text: str) -> Message:
    return Message(id="u", role="user", parts=(TextPart(text=text),))


def results(*parts: ToolResultPart) -> Message:
    return Message(id="t", role="tool", parts=parts)


def result(call: ToolCallPart, content: str = "fine") -> ToolResultPart:
    return ToolResultPart(call_id=call.call_id, name=call.name, content=content)


def request(
    *messages: Message,
    system: str = "Be brief.",
    tools: Iterable[ToolSpec] = (),
    params: ModelParams | None = None,
    attempt: int = 1,
) -> ModelRequest:
    """A request whose model's name is set when it is asked."""
    return ModelRequest(
        model="",
        system=system,
        messages=messages or (user("Hi"),),
        tools=tuple(tools),
        params=params or ModelParams(),
        run_id=RUN,
        step=3,
        attempt=attempt,
    )


@dataclass
class Collected:
    """An answer as it came. A part that was started and never completed is not among ``parts``."""

    deltas: list[Delta] = field(default_factory=list[Delta])
    parts: list[Part] = field(default_factory=list[Part])
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    open: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    @property
    def texts(self) -> list[str]:
        """The deltas' texts."""
        return [delta.text for delta in self.deltas if isinstance(delta, PartDelta)]

    def message(self, model: str) -> Message:
        """The message that the activity would keep."""
        return Message(id="a", role="assistant", parts=tuple(self.parts), provider=model)


async def ask(catalog: ProviderCatalog, model: str, given: ModelRequest | None = None) -> Collected:
    """Ask, and check the port's promises on the way."""
    collected = Collected()
    numbers = 0
    async with aclosing(stream(catalog, model, given or request())) as deltas:
        async for delta in deltas:
            assert not collected.finish_reason, "something follows the end"
            collected.deltas.append(delta)
            if isinstance(delta, PartStarted):
                assert delta.part == numbers, "parts are numbered in the order in which they begin"
                numbers += 1
                collected.open[delta.part] = []
            elif isinstance(delta, PartDelta):
                collected.open[delta.part].append(delta.text)
            elif isinstance(delta, PartCompleted):
                numbers += _complete(collected, delta, numbers)
            elif isinstance(delta, Completed):
                _end(collected, delta)
    assert collected.finish_reason, "the stream has no end"
    return collected


def stream(catalog: ProviderCatalog, model: str, given: ModelRequest) -> AsyncGenerator[Delta, None]:
    """The raw deltas."""
    provider, name = catalog.resolve(model)
    return provider.stream(replace(given, model=name))


def _complete(collected: Collected, delta: PartCompleted, numbers: int) -> int:
    collected.parts.append(delta.value)
    if isinstance(delta.value, OpaquePart):
        assert delta.part == numbers
        return 1
    text = delta.value.arguments if isinstance(delta.value, ToolCallPart) else delta.value.text
    assert "".join(collected.open.pop(delta.part)) == text, "deltas joined are the part"
    return 0


def _end(collected: Collected, end: Completed) -> None:
    collected.finish_reason, collected.usage = end.finish_reason, end.usage


def assistant(text: str, model: str | None = None) -> Message:
    """An assistant's message of one text."""
    return Message(id="a", role="assistant", parts=(TextPart(text=text),), provider=model)


def thought(text: str, model: str, **opaque: str) -> Message:
    """An assistant's message of reasoning alone."""
    return Message(id="a", role="assistant", parts=(ReasoningPart(text=text, opaque={**opaque}),), provider=model)


def play_responses(server: Wire, *items: Event, end: Event | None = None) -> None:
    """Let the server give one answer of the Responses API; ``end`` replaces its terminal event."""
    server.play(Answer(responses_stream(*items, end=end)))
