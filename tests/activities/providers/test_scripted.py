"""A model that plays a script says what is written there, and what is wrong with a script is said by its place."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.activities.failures import FailureKind, ProviderFailure
from longrun.activities.providers.catalog import SHIPPED, ProviderCatalog
from longrun.activities.providers.provider import ModelRequest, PartDelta
from longrun.activities.providers.script import read_script
from longrun.activities.providers.settings import ProviderSettings
from longrun.workflows.contract.messages import Message, ReasoningPart, TextPart, ToolCallPart, Usage
from tests.activities.providers.asking import Collected, ask, assistant, request, result, results, stream, user


@dataclass(frozen=True)
class Harness:
    """Scripts in a folder, and the models that play them."""

    folder: Path
    catalog: ProviderCatalog

    def write(self, script: str, name: str = "play") -> Path:
        """Write a script."""
        path = self.folder / f"{name}.yaml"
        path.write_text(script)
        return path

    async def play(self, script: str, *messages: Message, attempt: int = 1, step: int = 3) -> Collected:
        """The answer of a script to a conversation."""
        self.write(script)
        return await ask(self.catalog, "scripted/play", request_of(*messages, attempt=attempt, step=step))

    async def fails(self, script: str, attempt: int = 1) -> ProviderFailure:
        """How a script fails."""
        with pytest.raises(ProviderFailure) as failed:
            await self.play(script, attempt=attempt)
        return failed.value


def request_of(*messages: Message, attempt: int = 1, step: int = 3) -> ModelRequest:
    return replace(request(*messages, attempt=attempt), step=step)


@pytest_asyncio.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    catalog = ProviderCatalog(ProviderSettings(longrun_scripts=tmp_path))
    yield Harness(tmp_path, catalog)
    await catalog.aclose()


async def test_a_turn_says_its_items_in_their_order(harness: Harness) -> None:
    answer = await harness.play("""
turns:
  - - reasoning: Hm, well.
    - text: Here it comes.
    - tool_calls:
        - {name: look, id: "{run_id}-{step}", arguments: {where: ["{input}", 2], deep: true}}
        - {name: look, arguments: "{broken"}
""")
    first, second = answer.parts[2:]
    assert answer.parts[:2] == [ReasoningPart(text="Hm, well."), TextPart(text="Here it comes.")]
    assert isinstance(first, ToolCallPart)
    assert (first.name, first.arguments) == ("look", '{"where": ["Hi", 2], "deep": true}')
    assert first.call_id == "018f6b2e-0000-7000-8000-0123456789ab-3"
    assert isinstance(second, ToolCallPart)
    assert (second.call_id, second.arguments) == ("call_0123456789ab_3_2", "{broken")
    assert answer.finish_reason == "tool_calls"
    assert answer.texts[:4] == ["Hm,", " well.", "Here", " it"]


async def test_usage_counts_tokens_unless_the_script_says(harness: Harness) -> None:
    thread = (user("One two"), assistant("Three four five"), user("Six"))
    counted = await harness.play("turns: [{text: Seven}, {text: eight nine}]", *thread)
    assert counted.usage == Usage(input_tokens=8, output_tokens=1)
    given = await harness.play("turns: [{text: Good, usage: {input_tokens: 7}, finish_reason: length}]")
    assert (given.usage, given.finish_reason) == (Usage(input_tokens=7), "length")


async def test_what_comes_of_calls_counts_as_input_and_can_be_said_again(harness: Harness) -> None:
    call = ToolCallPart(call_id="c1", name="look", arguments="{}")
    called = Message(id="a", role="assistant", parts=(call,))
    answer = await harness.play(
        "turns: [{text: unused}, {text: 'It was: {last_result}'}]",
        user("Look"),
        called,
        results(result(call, "a red deployment")),
    )
    assert answer.parts == [TextPart(text="It was: a red deployment")]
    assert answer.usage == Usage(input_tokens=6, output_tokens=5)


@pytest.mark.parametrize(("answers", "expected"), [(0, "One."), (1, "Two."), (2, "Two."), (3, "Three."), (4, "Done.")])
async def test_turns_follow_each_other_since_the_users_last_message(
    harness: Harness, answers: int, expected: str
) -> None:
    before = (user("Go"), assistant("Old."), user("Go on"), *(assistant("New.") for _ in range(answers)))
    answer = await harness.play(
        "turns: [{text: One.}, {loop: {count: 2, turn: {text: Two.}}}, [{text: Three.}]]", *before
    )
    assert answer.parts == [TextPart(text=expected)]


async def test_the_last_turn_can_be_repeated_for_ever(harness: Harness) -> None:
    answer = await harness.play(
        "{repeat_last: true, turns: [{text: One.}]}", user("Go"), assistant("One."), assistant("One.")
    )
    assert answer.parts == [TextPart(text="One.")]


@pytest.mark.parametrize(("text", "answer"), [("refund me", "Sorry."), ("a REFUND", "Hello."), ("hi", "Hello.")])
async def test_a_conversation_is_chosen_by_what_the_user_says(harness: Harness, text: str, answer: str) -> None:
    script = "{turns: [{text: Hello.}], conversations: [{when: '^refund', turns: [{text: Sorry.}]}]}"
    assert (await harness.play(script, user(text))).parts == [TextPart(text=answer)]


async def test_a_conversation_without_a_user_says_nothing_of_one(harness: Harness) -> None:
    answer = await harness.play("turns: [{text: 'a'}, {text: '<{input}{last_result}>'}]", assistant("before"))
    assert answer.parts == [TextPart(text="<>")]


async def test_a_script_says_in_which_pieces_and_how_fast(harness: Harness) -> None:
    answer = await harness.play("""
chunk: 4
tokens_per_second: 2000
turns:
  - - text: abcdefghij
    - pause: 0
    - chunk: 0
    - tokens_per_second: 5000
    - text: " k lm"
""")
    assert answer.texts == ["abcd", "efgh", "ij", " k", " lm"]
    assert answer.parts == [TextPart(text="abcdefghij k lm")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("{status: 429}", "transient"),
        ("{status: 400}", "fatal"),
        ("{code: context_length_exceeded}", "overflow"),
        ("{kind: invalid}", "invalid"),
        ("{}", "transient"),
    ],
)
async def test_a_failure_is_what_a_provider_with_that_answer_means(
    harness: Harness, failure: str, kind: FailureKind
) -> None:
    failed = await harness.fails(f"turns: [[{{text: Ha}}, {{fail: {failure}}}, {{text: llo}}]]")
    assert (failed.kind, str(failed)) == (kind, "scripted/play: The script says so.")


async def test_a_failure_happens_in_so_many_first_attempts(harness: Harness) -> None:
    script = "turns: [[{fail: {status: 503, message: Busy., retry_after: 1.5, times: 2}}, {text: Hello}]]"
    failed = await harness.fails(script, attempt=2)
    assert (str(failed), failed.retry_after) == ("scripted/play: Busy.", 1.5)
    assert (await harness.play(script, attempt=3)).parts == [TextPart(text="Hello")]


async def test_a_stream_can_end_without_its_end(harness: Harness) -> None:
    script = "turns: [[{text: Hel}, {end_early: 1}, {text: lo}]]"
    failed = await harness.fails(script)
    assert (failed.kind, str(failed)) == ("invalid", "scripted/play: the stream ended without its terminal event")
    assert (await harness.play(script, attempt=2)).parts == [TextPart(text="Hello")]


@pytest.mark.parametrize(("hang", "attempt"), [("true", 7), ("2", 2)])
async def test_a_stream_can_hang_until_it_is_closed(harness: Harness, hang: str, attempt: int) -> None:
    harness.write(f"turns: [[{{text: Hel}}, {{hang: {hang}}}, {{text: lo}}]]")
    deltas = stream(harness.catalog, "scripted/play", request_of(attempt=attempt))
    answer = [await anext(deltas), await anext(deltas)]
    assert [delta.text for delta in answer if isinstance(delta, PartDelta)] == ["Hel"]
    more = asyncio.ensure_future(anext(deltas))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not more.done()
    more.cancel()
    await asyncio.wait([more])
    await deltas.aclose()


async def test_a_script_that_was_changed_is_read_again(harness: Harness) -> None:
    assert (await harness.play("turns: [{text: Old.}]")).parts == [TextPart(text="Old.")]
    assert (await ask(harness.catalog, "scripted/play")).parts == [TextPart(text="Old.")]
    path = harness.write("turns: [{text: New.}]")
    os.utime(path, ns=(1, 1))
    assert (await ask(harness.catalog, "scripted/play")).parts == [TextPart(text="New.")]


async def test_ones_own_script_is_played_in_place_of_a_shipped_one(harness: Harness) -> None:
    assert (await ask(harness.catalog, "scripted/echo", request_of(user("Ahoy")))).parts == [TextPart(text="Ahoy")]
    harness.write("turns: [{text: Mine.}]", "echo")
    assert (await ask(harness.catalog, "scripted/echo")).parts == [TextPart(text="Mine.")]


@pytest.mark.parametrize("name", ["nothing", "../secret", ".hidden", "a b"])
async def test_a_script_that_is_not_there_is_named_with_its_folders(harness: Harness, name: str) -> None:
    (harness.folder / ".hidden.yaml").write_text("turns: []")
    with pytest.raises(ProviderFailure, match=f"there is no {name}.yaml in {harness.folder}, {SHIPPED}") as failed:
        await ask(harness.catalog, f"scripted/{name}")
    assert failed.value.kind == "fatal"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("turns: [{text: 1}]", r"turns\.0\.items\.0\.text: Input should be a valid string"),
        ("turns: [{txet: Hi}]", r"turns\.0\.items\.0\.txet: Extra inputs are not permitted"),
        ("turns: [Hi]", r"turns\.0\.items: "),
        ("turns: [[Hi]]", r"turns\.0\.items\.0: "),
        ("turns: [{loop: {count: 0, turn: {text: Hi}}}]", r"turns\.0\.count: "),
        ("turns: [{loop: {count: 1, trun: {text: Hi}}}]", r"turns\.0\.(items|trun): "),
        ("turns: [{loop: 3}]", r"turns\.0\.items: "),
        ("conversations: [{when: '(', turns: []}]", r"conversations\.0\.when: .*is no regular expression"),
        ("[1, 2]", "script: "),
        ("turns: [", "while parsing"),
        ("\ud800", "'utf-8' codec can't decode"),
    ],
)
async def test_a_script_that_is_none_is_refused_with_file_and_field(
    harness: Harness, script: str, message: str
) -> None:
    path = harness.folder / "play.yaml"
    path.write_bytes(script.encode("utf-8", "surrogatepass"))
    with pytest.raises(ProviderFailure, match=f"{path}: {message}") as failed:
        await ask(harness.catalog, "scripted/play")
    assert failed.value.kind == "fatal"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_scripts_can_be_played(path: Path) -> None:
    assert read_script(path).turns
