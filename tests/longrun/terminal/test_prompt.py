import asyncio
import getpass
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console

from longrun.client import AsyncClient
from longrun.terminal.prompt import Approver, os_user
from longrun.terminal.view import View
from longrun.workflows.contract.events import ApprovalDecided, RunWaiting
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import PendingApproval
from tests.build import START
from tests.gateway.answering import DELIVERED, QUICK, RUN, Played, plain, playing, problem
from tests.longrun.pseudo_terminal import CLEAR, LEFT, Terminal, own_terminal, terminal
from tests.patience import PATIENCE

WAITS = RunWaiting(run_id="r", at=START, usage=Usage())
TAKEN = plain("202 Accepted", DELIVERED)
QUESTION = "[s]kip?"


def run_that_waits(*call_ids: str) -> bytes:
    calls = [PendingApproval(call_id=each, name="write", arguments='{"a": 1}', step=1) for each in call_ids]
    return plain("200 OK", {**RUN, "pending_approvals": [call.model_dump(mode="json") for call in calls]})


def decided(call_id: str) -> ApprovalDecided:
    return ApprovalDecided(run_id="r", step=1, at=START, call_id=call_id, decision="approve", by="bob")


@dataclass
class Sitting:
    """A person at a terminal, asked about a run's calls."""

    screen: Terminal
    approver: Approver
    view: View
    played: Played

    async def answers(self, text: str, times: int = 1) -> None:
        """Wait for the question, and type."""
        await self.screen.shows(QUESTION, times)
        self.screen.types(text)

    async def sent(self, count: int = 1) -> list[Any]:
        """Wait for so many decisions at the server."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if len(self.played.bodies) > count:
                    return [
                        {name: given for name, given in body.items() if name != "id"} for body in self.played.bodies[1:]
                    ]
                await asyncio.sleep(0.01)


@asynccontextmanager
async def sitting(answers: Sequence[bytes]) -> AsyncGenerator[Sitting]:
    with own_terminal() as screen:
        async with (
            playing(*answers) as played,
            AsyncClient(played.url, retry=QUICK, on_interruption=pytest.fail) as client,
        ):
            approver = Approver(client, view := View(Console(width=100, color_system=None)), "ann")
            try:
                yield Sitting(screen, approver, view, played)
            finally:
                await approver.aclose()


async def test_approving_takes_a_word() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("\n")
        await person.answers("perhaps\n", 2)
        await person.answers("a\n", 3)
        assert await person.sent() == [{"decision": "approve", "call_id": "c1", "by": "ann", "run_id": "r"}]
        assert '"a": 1' in person.screen.seen
        assert person.played.requests == ["GET /api/runs/r", "POST /api/approvals"]


async def test_denying_asks_for_the_reason_that_the_model_is_told() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("deny\n")
        await person.screen.shows("(may be empty):")
        person.screen.types("not today\n")
        assert await person.sent() == [
            {"decision": "deny", "reason": "not today", "call_id": "c1", "by": "ann", "run_id": "r"}
        ]


async def test_what_happens_while_a_person_types_is_shown_above_the_line() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("deny\n")
        await person.screen.shows("(may be empty):")
        person.screen.types("not to")
        await person.screen.shows("not to")
        person.view.say("meanwhile")
        await person.screen.shows("meanwhile\r\nthe reason that the model is told (may be empty): not to")
        person.screen.types("day\n")
        assert (await person.sent())[0]["reason"] == "not today"


async def test_an_interrupted_call_is_asked_about_with_the_reason_and_may_be_given_its_result() -> None:
    reason = "Its worker died."
    call = PendingApproval(call_id="c1~2", name="pay", arguments="{}", step=1, reason=reason, interrupted="c1")
    waits = plain("200 OK", {**RUN, "pending_approvals": [call.model_dump(mode="json")]})
    async with sitting([waits, TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("g\n")
        assert reason in person.screen.seen
        await person.screen.shows("the model gets:")
        person.screen.types("paid 5\n")
        assert await person.sent() == [
            {"decision": "answer", "answer": "paid 5", "call_id": "c1~2", "by": "ann", "run_id": "r"}
        ]
        assert person.played.requests[1:] == ["POST /api/approvals"]


async def test_arguments_may_be_typed_anew_and_must_be_an_object() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("edit\n")
        await person.screen.shows("(empty: back):")
        person.screen.types(f"{CLEAR}[1]\n")
        await person.screen.shows("not a JSON object")
        person.screen.types(f"{CLEAR}{{broken\n")
        await person.screen.shows("{broken")
        person.screen.types(f"{CLEAR}\n")
        await person.answers("e\n", 2)
        await person.screen.shows('(empty: back): {"a": 1}', 2)
        person.screen.types(f'{CLEAR}{{"a":\n2}}\n')
        assert await person.sent() == [
            {"decision": "edit", "args": {"a": 2}, "call_id": "c1", "by": "ann", "run_id": "r"}
        ]


async def test_arguments_are_edited_as_the_model_wrote_them() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("edit\n")
        await person.screen.shows('(empty: back): {"a": 1}')
        person.screen.types(f"{LEFT}0\n")
        assert (await person.sent())[0]["args"] == {"a": 10}


async def test_a_skipped_call_stays_open_and_the_next_one_is_asked_about() -> None:
    async with sitting([run_that_waits("c1", "c2"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("s\n")
        await person.screen.shows("skipped")
        await person.answers("y\n", 2)
        assert (await person.sent())[0]["call_id"] == "c2"


async def test_ctrl_d_skips() -> None:
    async with sitting([run_that_waits("c1")]) as person:
        person.approver.see(WAITS)
        await person.answers("\x04")
        await person.screen.shows("skipped")


async def test_ctrl_d_at_the_reason_takes_the_denial_as_it_is() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.approver.see(WAITS)
        await person.answers("d\n")
        await person.screen.shows("(may be empty):")
        person.screen.types("\x04")
        assert await person.sent() == [{"decision": "deny", "call_id": "c1", "by": "ann", "run_id": "r"}]


async def test_a_question_that_somebody_else_answers_is_taken_back() -> None:
    async with sitting([run_that_waits("c1", "c2", "c3"), TAKEN]) as person:
        person.approver.see(decided("c2"))
        person.approver.see(WAITS)
        await person.screen.shows(QUESTION)
        person.approver.see(decided("c1"))
        await person.answers("a\n", 2)
        assert (await person.sent())[0]["call_id"] == "c3"


async def test_keys_that_were_pressed_before_the_question_decide_nothing() -> None:
    async with sitting([run_that_waits("c1"), TAKEN]) as person:
        person.screen.types("a\n")
        await person.screen.shows("a")
        person.approver.see(WAITS)
        await person.answers("d\n")
        await person.screen.shows("(may be empty):")
        person.screen.types("\n")
        assert (await person.sent())[0]["decision"] == "deny"


async def test_whoever_is_second_is_told_who_was_first() -> None:
    first = problem("409 Conflict", "decided", decision={"decision": "deny", "by": "bob"})
    unknown = problem("409 Conflict", "decided")
    async with sitting([run_that_waits("c1", "c2"), first, unknown]) as person:
        person.approver.see(WAITS)
        await person.answers("a\n")
        await person.screen.shows("another decision came first: deny by bob")
        await person.answers("a\n", 2)
        await person.screen.shows("another decision came first", 2)


async def test_a_gateway_that_is_gone_is_told() -> None:
    missing = problem("404 Not Found", "there is no run r")
    async with sitting([missing, run_that_waits("c1"), problem("400 Bad Request", "wrong")]) as person:
        person.approver.see(WAITS)
        await person.screen.shows("could not ask for decisions: there is no run r")
        person.approver.see(WAITS)
        await person.answers("a\n")
        await person.screen.shows("could not ask for decisions: wrong")


async def test_a_question_ends_with_the_watching() -> None:
    async with sitting([run_that_waits("c1")]) as person:
        person.approver.see(WAITS)
        await person.screen.shows(QUESTION)
    assert len(person.played.requests) == 1


async def test_a_terminal_that_hangs_up_has_no_more_lines() -> None:
    code = "import asyncio, sys; from longrun.terminal.prompt import ask; sys.exit(str(asyncio.run(ask('Well? '))))"
    with terminal() as screen:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code), stdin=screen.inside, stdout=screen.inside, stderr=asyncio.subprocess.PIPE
        )
        await screen.shows("Well?")
        screen.hangs_up()
        _, error = await process.communicate()
    assert error.startswith(b"None\n")


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os_user() == getpass.getuser()

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert os_user() == f"uid {os.getuid()}"
