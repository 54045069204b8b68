"""Calling tools: each call of a message gets its one result."""

import asyncio
from collections.abc import Mapping, Sequence

from temporalio.exceptions import ActivityError

from longrun.workflows import activity_options
from longrun.workflows.contract.requests import Answer, Answers, CallPlan, ToolCall
from longrun.workflows.contract.results import ModelReply, ToolOutcome
from longrun.workflows.contract.runs import Decision
from longrun.workflows.contract.steps import LifecycleSteps, ToolSteps
from longrun.workflows.policy import calls, interruption
from longrun.workflows.policy.interruption import Interrupted
from longrun.workflows.run import Run
from longrun.workflows.steps.display import enter
from longrun.workflows.steps.failures import failed, interrupted
from longrun.workflows.steps.people import ask_people
from longrun.workflows.steps.perform import perform
from longrun.workflows.steps.stop import stopped
from longrun.workflows.steps.write import write

ANSWERED_AT_ONCE = 100
"""Answers that go into one payload together."""


async def call_tools(run: Run, reply: ModelReply, verdicts: Mapping[str, Decision | None]) -> bool:
    """Run or answer every call of a message. False if a decision did not come in time."""
    early = {call.call_id: run.take_decision(call.call_id) for call in reply.message.calls}
    decisions = {call_id: decision for call_id, decision in early.items() if decision} | dict(verdicts)
    answers, approved = calls.resolve(run.order, run.step, reply, decisions)
    in_time = None not in verdicts.values()
    while unfinished := await _run_batch(run, answers, approved, reply.plans):
        verdicts = await ask_people(run, interruption.questions(unfinished, reply.message)) if in_time else {}
        in_time = in_time and None not in verdicts.values()
        answers, approved = interruption.resolve(unfinished, verdicts)
    return in_time


async def _run_batch(
    run: Run, answers: Sequence[Answer], approved: Sequence[ToolCall], plans: Mapping[str, CallPlan]
) -> list[Interrupted]:
    """Give these answers and run these calls, all at once; the calls that were interrupted have no result yet."""
    enter(run, "tools", f"running {', '.join(call.name for call in approved) or 'no tool'}")
    await _answer(run, answers)
    ends = await asyncio.gather(*(_run_tool(run, call, plans[call.call_id]) for call in approved))
    await _answer(run, [end for end in ends if isinstance(end, Answer)])
    return [end for end in ends if isinstance(end, Interrupted)]


async def _run_tool(run: Run, call: ToolCall, plan: CallPlan) -> Answer | Interrupted | None:
    """Run one call; the answer to give it if its activity failed and is not retried."""
    options = activity_options.tool_call(call.name, plan.timeout)
    try:
        await perform(ToolSteps.run_tool.__name__, call, ToolOutcome, options)
    except ActivityError as error:
        if stopped(run):
            raise
        return interrupted(call, error) or calls.tool_failed(call, failed(error))
    return None


async def _answer(run: Run, answers: Sequence[Answer]) -> None:
    for first in range(0, len(answers), ANSWERED_AT_ONCE):
        batch = tuple(answers[first : first + ANSWERED_AT_ONCE])
        given = Answers(run_id=run.order.run_id, step=run.step, answers=batch)
        await write(LifecycleSteps.answer_calls, given)
