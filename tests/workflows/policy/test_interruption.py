"""What becomes of interrupted calls."""

import pytest

from longrun.workflows.contract.messages import Message, ToolCallPart
from longrun.workflows.contract.requests import Answer, ToolCall
from longrun.workflows.contract.runs import Decision, PendingApproval, Verdict
from longrun.workflows.policy.interruption import CHOICES, NOT_AGAIN, NOT_DECIDED, Interrupted, questions, resolve

CALL = ToolCall(run_id="r", step=3, call_id="c1", name="pay")
EDITED = CALL.model_copy(update={"args": {"amount": 1}})


def interrupted(call: ToolCall = CALL) -> Interrupted:
    """A call whose first attempt was interrupted."""
    return Interrupted(call, 2, "its worker died")


def decided(decision: Verdict, **more: object) -> dict[str, Decision | None]:
    """A decision on it."""
    return {"c1~2": Decision.model_validate({"call_id": "c1~2", "decision": decision, **more})}


@pytest.mark.parametrize(("call", "arguments"), [(CALL, '{"amount": 5}'), (EDITED, '{"amount":1}')])
def test_a_person_is_asked_under_an_id_of_the_attempts_own(call: ToolCall, arguments: str) -> None:
    part = ToolCallPart(call_id="c1", name="pay", arguments='{"amount": 5}')
    pending = questions([interrupted(call)], Message(id="m", role="assistant", parts=(part,)))
    reason = f"its worker died. {CHOICES}"
    assert pending == (
        PendingApproval(call_id="c1~2", name="pay", arguments=arguments, step=3, reason=reason, interrupted="c1"),
    )


@pytest.mark.parametrize(
    ("call", "verdict", "args"),
    [
        (CALL, decided("approve"), None),
        (CALL, decided("approve", args={"amount": 9}), None),
        (EDITED, decided("approve"), {"amount": 1}),
        (EDITED, decided("edit", args={"amount": 2}), {"amount": 2}),
    ],
)
def test_a_call_that_is_approved_or_edited_runs_again(
    call: ToolCall, verdict: dict[str, Decision | None], args: dict[str, int] | None
) -> None:
    answers, again = resolve([interrupted(call)], verdict)
    assert answers == []
    assert again == [CALL.model_copy(update={"again": 2, "args": args})]


@pytest.mark.parametrize(
    ("verdict", "status", "content"),
    [
        (decided("deny"), "error", NOT_AGAIN),
        (decided("deny", reason="it was paid"), "error", f"{NOT_AGAIN} Reason: it was paid"),
        (decided("answer", answer="paid 5"), "ok", "paid 5"),
        ({"c1~2": None}, "error", NOT_DECIDED),
        ({}, "error", NOT_DECIDED),
        ({"c1": Decision(call_id="c1", decision="approve")}, "error", NOT_DECIDED),
    ],
)
def test_a_call_that_is_not_run_again_is_answered(
    verdict: dict[str, Decision | None], status: str, content: str
) -> None:
    answers, again = resolve([interrupted()], verdict)
    assert again == []
    assert answers == [Answer.model_validate({"call_id": "c1", "name": "pay", "status": status, "content": content})]
