"""Which calls wait for a person."""

from longrun.workflows.policy import approvals
from tests.workflows.policy.replies import call, plan, reply


def test_the_calls_wait_that_a_person_must_agree_to_and_that_could_run() -> None:
    calls = [call("pay", call_id=call_id) for call_id in ("a", "b", "c")]
    plans = {"a": plan("pay always asks"), "b": plan()}
    waiting = approvals.pending(reply(*calls, plans=plans), 3)
    assert [(pending.call_id, pending.step, pending.reason) for pending in waiting] == [("a", 3, "pay always asks")]
