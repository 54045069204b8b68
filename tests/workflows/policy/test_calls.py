"""What becomes of the calls of a message."""

import pytest

from longrun.workflows.contract.requests import ToolCall
from longrun.workflows.contract.runs import Decision, Outcome
from longrun.workflows.policy import calls, outcomes
from tests.build import order
from tests.workflows.policy.replies import call, plan, reply, spec


def test_a_call_that_cannot_be_run_is_answered_with_the_reason() -> None:
    given = reply(call(), plans={"c1": plan("pay always asks", "n is missing")})
    answers, approved = calls.resolve(order(spec=spec("pay")), 1, given, {})
    assert approved == []
    assert [(answer.status, answer.content) for answer in answers] == [("error", "n is missing")]


def test_a_call_that_the_limit_has_cut_is_answered_and_never_run() -> None:
    cut = call(arguments='{"a": 1}').model_copy(update={"cut": True})
    given = reply(cut, call(call_id="c2"), finish="length", plans={"c1": plan(), "c2": plan()})
    answers, approved = calls.resolve(order(spec=spec("pay")), 1, given, {})
    assert [(answer.call_id, answer.status, answer.content) for answer in answers] == [("c1", "error", calls.CUT)]
    assert [run.call_id for run in approved] == ["c2"]


def test_a_reviewer_may_mend_a_call_that_cannot_be_read() -> None:
    given = reply(call(arguments="{"), plans={"c1": plan(refusal="not JSON")})
    run = order(spec=spec("pay"))
    mended = Decision(call_id="c1", decision="edit", args={"a": 1})
    answers, approved = calls.resolve(run, 1, given, {"c1": mended})
    assert answers == []
    assert approved == [ToolCall(run_id=run.run_id, step=1, call_id="c1", name="pay", args={"a": 1})]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("verdict", "status", "content"),
    [
        ("approve", None, ""),
        ("edit", None, ""),
        ("answer", "ok", "42"),
        ("deny", "denied", calls.DENIED),
        ("expired", "denied", calls.EXPIRED),
        ("undecided", None, ""),
    ],
)
def test_each_call_is_either_answered_or_run(verdict: str, status: str | None, content: str, known: bool) -> None:
    decisions: dict[str, Decision | None] = {"c1": None} if verdict == "expired" else {}
    if verdict not in ("expired", "undecided"):
        decided = {"call_id": "c1", "decision": verdict, "args": {"a": 1}, "answer": "42"}
        decisions = {"c1": Decision.model_validate(decided)}
    given = reply(call(), plans={"c1": plan()} if known else {})
    answers, approved = calls.resolve(order(spec=spec("pay")), 1, given, decisions)
    if not known:
        status, content = "error", calls.UNKNOWN
    assert [(answer.status, answer.content) for answer in answers] == ([(status, content)] if status else [])
    args = {"a": 1} if verdict == "edit" else None
    assert [run.args for run in approved] == ([] if status else [args])


def test_the_model_is_told_why_its_call_was_denied() -> None:
    denied = Decision(call_id="c1", decision="deny", reason="too much")
    answers, _ = calls.resolve(order(spec=spec("pay")), 1, reply(call(), plans={"c1": plan()}), {"c1": denied})
    assert [answer.content for answer in answers] == [f"{calls.DENIED} Reason: too much"]


def test_a_tool_that_failed_for_good_answers_its_call() -> None:
    failing = ToolCall(run_id="r", step=1, call_id="c1", name="pay")
    assert calls.tool_failed(failing, outcomes.failed("internal_error", "disk full")).content == (
        "The tool failed: disk full"
    )
    bare = Outcome(status="failed", stop_reason="error")
    assert calls.tool_failed(failing, bare).content == "The tool failed: error"
