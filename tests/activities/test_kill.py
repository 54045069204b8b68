"""Workers that are killed or freeze, in the middle of whatever a worker does: the run goes on, and its log is one."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import TypeAdapter

from longrun.activities.tools import INTERRUPTED
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import ApprovalRequested, ToolStarted
from longrun.workflows.policy.interruption import NOT_AGAIN
from tests.activities.deployment import Deployment, Ended, deployment
from tests.activities.waiting_tools import release
from tests.harness import until
from tests.logcheck import check_log, check_settled, of_type, settled_text
from tests.patience import PATIENCE
from tests.tools import noted
from tests.wire import Wire
from tests.wire_answers import Answer, Stall, chat_stream

pytestmark = pytest.mark.server

STORY = "One went out. Two came back. Three stayed."
STRUCK: Mapping[str, Any] = {
    "struck": {"decision": "approve"},
    "struck and left": {"decision": "deny", "reason": "it struck"},
    "struck and told": {"decision": "answer", "answer": "it struck"},
}
"""What is said of calls with an effect that are interrupted."""
LATE_TEXT = r"step:1:(1:\w+|reply) of run \S+ was overtaken"
LATE_RESULT = r"call:\S+:outcome of run \S+ was overtaken"


def _held_story() -> tuple[Answer, Stall]:
    """The story over Chat Completions, held up in its middle."""
    pieces = chat_stream(
        *({"content": f"{token} "} for token in STORY.split()[:-1]), {"content": STORY.rsplit(maxsplit=1)[-1]}
    )
    stall = Stall()
    return Answer([*pieces[:6], stall, *pieces[6:]]), stall


async def kill(deployment: Deployment) -> dict[str, Ended]:
    """Kill a worker with many runs in its hands; of two, it has kept the last step, but told nobody."""
    (lost, _), (kept, kept_stall), (again, again_stall) = _held_story(), _held_story(), _held_story()
    again_stall.go_on.set()
    deployment.wire.play(lost, kept, again)
    async with deployment.worker(deployment.relay.address) as first:
        await deployment.start("told by script", "scripted/story")
        await deployment.start("told by wire", "openai-chat/gpt-test")
        await deployment.logged("told by wire", "came")
        await deployment.start("told to the end", "openai-chat/gpt-test")
        await deployment.start("watched", "scripted/watching", tools=["watch"])
        await _strike(deployment)
        await deployment.start("struck to the end", "scripted/striking", tools=["strike"])
        await deployment.start("asked", "scripted/striking", tools=[{"name": "strike", "approval": "always"}])
        await deployment.logged("told to the end", "came")
        await deployment.logged("told by script", "came")
        await deployment.logged("asked", "run.waiting")
        for name in ("watched", "struck to the end"):
            await deployment.noted(f"{name} 1")
        deployment.relay.hold()
        kept_stall.go_on.set()
        release(deployment.workspace, "struck to the end", 1)
        await deployment.logged("told to the end", "message.completed")
        await deployment.logged("struck to the end", "tool.completed")
        first.signal(signal.SIGKILL)
        await first.ended()
        deployment.relay.cut()
    for name in ("watched", "struck", "struck again"):
        release(deployment.workspace, name, 2)
    release(deployment.workspace, "asked", 1)
    await deployment.decide("asked", "asked")
    async with deployment.worker(deployment.relay.target):
        await _decide_on_strokes(deployment)
        return await deployment.ended()


async def _strike(deployment: Deployment) -> None:
    """Set calls with an effect going that are to be interrupted."""
    for name in STRUCK:
        await deployment.start(name, "scripted/striking", tools=["strike"])
    for how in ("again", "once"):
        await deployment.start(f"struck {how}", f"scripted/striking_{how}", tools=[f"strike_{how}"])
    for name in (*STRUCK, "struck again", "struck once"):
        await deployment.noted(f"{name} 1")


async def _decide_on_strokes(deployment: Deployment) -> None:
    """Say what becomes of them, once somebody is asked."""
    for name, decision in STRUCK.items():
        await deployment.logged(name, "run.waiting")
        assert f"{name} 2" not in noted(deployment.workspace)
        await deployment.decide(name, f"{name}~2", **decision)


async def freeze(deployment: Deployment) -> tuple[dict[str, Ended], str]:
    """Freeze a worker until another one has its work, and let it go on then; also what it had to say about that."""
    (started, started_stall), (again, again_stall) = _held_story(), _held_story()
    deployment.wire.play(started, again)
    async with deployment.worker(deployment.relay.address) as frozen:
        await deployment.start("told by wire", "openai-chat/gpt-test")
        await deployment.start("watched", "scripted/watching", tools=["watch"])
        await deployment.logged("told by wire", "came")
        await deployment.noted("watched 1")
        frozen.signal(signal.SIGSTOP)
        deployment.relay.cut()
        async with deployment.worker(deployment.relay.target):
            await deployment.noted("watched 2")
            async with asyncio.timeout(PATIENCE):
                await again_stall.reached.wait()
            started_stall.go_on.set()
            release(deployment.workspace, "watched", 1)
            frozen.signal(signal.SIGCONT)

            async def refused() -> bool:
                return all(re.search(refusal, frozen.said()) for refusal in (LATE_TEXT, LATE_RESULT))

            await until(refused, "two refusals")
            deployment.relay.mend()
            again_stall.go_on.set()
            release(deployment.workspace, "watched", 2)
            ended = await deployment.ended()
        frozen.signal(signal.SIGTERM)
        assert await frozen.ended() == 0
        return ended, frozen.said()


@dataclass(frozen=True)
class Rounds:
    """What became of the runs, when it is known."""

    killed: "asyncio.Task[dict[str, Ended]]"
    frozen: "asyncio.Task[tuple[dict[str, Ended], str]]"
    wires: Mapping[str, Wire]
    workspaces: Mapping[str, Path]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rounds(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rounds]:
    """Both rounds at once: most of their time is waiting for the heartbeats that do not come."""
    async with (
        deployment(temporal, tmp_path_factory.mktemp("killed")) as one,
        deployment(temporal, tmp_path_factory.mktemp("frozen")) as two,
    ):
        rounds = Rounds(
            asyncio.create_task(kill(one)),
            asyncio.create_task(freeze(two)),
            {"killed": one.wire, "frozen": two.wire},
            {"killed": one.workspace, "frozen": two.workspace},
        )
        try:
            yield rounds
        finally:
            tasks: list[asyncio.Task[Any]] = [
                rounds.killed,
                rounds.frozen,
                *one.readers.values(),
                *two.readers.values(),
            ]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def check(ended: Ended) -> None:
    """Check what must hold of every run, whatever was killed under it."""
    assert (ended.run["status"], ended.run["stop_reason"]) == ("completed", "end_turn")
    check_log(ended.raw)
    check_settled(ended.settled)
    assert ended.live == ended.raw
    assert ended.rebuilt == ended.settled


@pytest.mark.parametrize("way", ["told by script", "told by wire"])
async def test_a_model_call_whose_worker_is_killed_tells_each_sentence_once(rounds: Rounds, way: str) -> None:
    ended = (await rounds.killed)[way]
    check(ended)
    assert settled_text(ended.settled) == STORY
    assert ended.run["output"] == STORY
    (notice,) = ended.superseded
    assert notice.attempt == 1
    assert [event.attempt for event in of_type(ended.raw, "message.completed")] == [2]


async def test_a_reader_of_what_stands_sees_nothing_of_the_lost_attempt_but_the_notice(rounds: Rounds) -> None:
    ended = (await rounds.killed)["told by wire"]
    (notice,) = ended.superseded
    seqs = {event.seq for event in ended.settled}
    assert notice.seq in seqs
    assert not seqs & set(range(notice.first, notice.last + 1))
    assert [event for event in ended.raw if event.seq in seqs] == ended.settled


async def test_a_tool_that_only_reads_is_run_again_and_has_one_result(rounds: Rounds) -> None:
    ended = (await rounds.killed)["watched"]
    check(ended)
    assert (ended.result.status, ended.result.attempt) == ("ok", 2)
    assert ended.run["output"] == "watched came at attempt 2"
    assert len([event for event in ended.raw if isinstance(event, ToolStarted)]) == 1
    assert [line for line in noted(rounds.workspaces["killed"]) if "watched" in line] == ["watched 1", "watched 2"]


STRUCK_ENDS = {
    "struck": ("ok", "struck came at attempt 2", ["struck 1", "struck 2"]),
    "struck and left": ("error", f"{NOT_AGAIN} Reason: it struck", ["struck and left 1"]),
    "struck and told": ("ok", "it struck", ["struck and told 1"]),
    "struck again": ("ok", "struck again came at attempt 2", ["struck again 1", "struck again 2"]),
    "struck once": ("error", INTERRUPTED, ["struck once 1"]),
}


@pytest.mark.parametrize("name", STRUCK_ENDS)
async def test_a_tool_with_an_effect_is_run_again_only_if_it_or_a_person_says_so(rounds: Rounds, name: str) -> None:
    ended = (await rounds.killed)[name]
    status, content, effects = STRUCK_ENDS[name]
    check(ended)
    assert (ended.result.status, ended.result.content) == (status, content)
    assert ended.run["output"] == content
    strokes = [f"{name} {attempt}" for attempt in (1, 2, 3)]
    assert [line for line in noted(rounds.workspaces["killed"]) if line in strokes] == effects
    questions = [
        call.interrupted for event in ended.raw if isinstance(event, ApprovalRequested) for call in event.calls
    ]
    assert questions == ([name] if name in STRUCK else [])


async def test_the_attempts_of_an_interrupted_call_are_told(rounds: Rounds) -> None:
    ended = (await rounds.killed)["struck"]
    attempts = TypeAdapter(list[AttemptEntry]).validate_python(ended.run["attempts"])
    entries = [(each.attempt, each.outcome, each.recovered) for each in attempts if each.call_id == "struck"]
    assert entries == [(1, "lost", "none"), (2, "completed", "reissued")]


async def test_a_message_that_was_kept_before_the_kill_is_not_asked_for_again(rounds: Rounds) -> None:
    ended = await rounds.killed
    check(ended["told to the end"])
    assert settled_text(ended["told to the end"].raw) == STORY
    assert ended["told to the end"].superseded == []
    assert [event.attempt for event in of_type(ended["told to the end"].raw, "message.completed")] == [1]
    one, other = (ended[name].run["usage"] for name in ("told to the end", "told by wire"))
    assert one == other
    prompts = [request.body["messages"][-1]["content"] for request in rounds.wires["killed"].requests]
    assert prompts == ["told by wire", "told to the end", "told by wire"]


async def test_a_result_that_was_kept_before_the_kill_stands(rounds: Rounds) -> None:
    ended = (await rounds.killed)["struck to the end"]
    check(ended)
    assert (ended.result.status, ended.result.attempt) == ("ok", 1)
    assert ended.run["output"] == "struck to the end came at attempt 1"
    assert noted(rounds.workspaces["killed"]).count("struck to the end 1") == 1
    assert "struck to the end 2" not in noted(rounds.workspaces["killed"])


async def test_a_decision_that_comes_while_no_worker_is_there_is_followed_by_the_next(rounds: Rounds) -> None:
    ended = (await rounds.killed)["asked"]
    check(ended)
    assert (ended.result.status, ended.result.attempt) == ("ok", 1)
    assert noted(rounds.workspaces["killed"]).count("asked 1") == 1


async def test_a_worker_that_was_taken_for_dead_can_add_nothing_to_a_message(rounds: Rounds) -> None:
    ended, said = await rounds.frozen
    check(ended["told by wire"])
    assert re.search(LATE_TEXT, said)
    assert settled_text(ended["told by wire"].settled) == STORY
    (notice,) = ended["told by wire"].superseded
    late = [event for event in ended["told by wire"].raw if event.seq > notice.seq and event.attempt == 1]
    assert late == []
    assert len(rounds.wires["frozen"].requests) == 2


async def test_a_worker_that_was_taken_for_dead_can_give_no_result(rounds: Rounds) -> None:
    ended, said = await rounds.frozen
    check(ended["watched"])
    assert re.search(LATE_RESULT, said)
    assert (ended["watched"].result.attempt, ended["watched"].run["output"]) == (2, "watched came at attempt 2")
    assert noted(rounds.workspaces["frozen"]) == ["watched 1", "watched 2"]
