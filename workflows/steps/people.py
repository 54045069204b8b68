"""Asking people: the run pauses until each call has a decision, or its time has run out."""

from datetime import timedelta

from temporalio import workflow

from longrun.workflows.contract.requests import Pause, Verdicts
from longrun.workflows.contract.runs import Decision, PendingApproval
from longrun.workflows.contract.steps import LifecycleSteps
from longrun.workflows.inbox import Inbox
from longrun.workflows.policy import continuation, limits
from longrun.workflows.run import Run
from longrun.workflows.steps.display import enter_waiting, show_status
from longrun.workflows.steps.history import is_long
from longrun.workflows.steps.ignored import note_ignored
from longrun.workflows.steps.write import write


async def ask_people(run: Run, calls: tuple[PendingApproval, ...]) -> dict[str, Decision | None]:
    """Pause until each of these calls has a decision; an expired one has ``None``."""
    run.pause = Pause(
        run_id=run.order.run_id,
        step=run.step,
        turn=run.turn,
        calls=calls,
        expires_at=workflow.now() + timedelta(seconds=run.order.limits.approval_timeout),
        usage=run.usage,
    )
    enter_waiting(run, calls)
    show_status("waiting")
    paused = await write(LifecycleSteps.pause_run, run.pause)
    run.pause = paused.pause  # a pause that was written before a worker died keeps its expiry
    run.inbox.ask(call.call_id for call in run.pause.calls)
    verdicts = await _decisions(run, run.pause)
    for call_id in verdicts:
        run.take_decision(call_id)
    run.inbox.ask(())
    run.pause = None
    run.turn += 1
    show_status("running")
    return verdicts


async def _decisions(run: Run, pause: Pause) -> dict[str, Decision | None]:
    """Record decisions one by one as they come in; when time runs out, all calls without one expire together."""
    inbox = run.inbox
    verdicts: dict[str, Decision | None] = {}
    while undecided := [call.call_id for call in pause.calls if call.call_id not in verdicts]:
        if decision := inbox.first_of(undecided):
            given = Verdicts.of(pause, decisions=[decision], resume=len(undecided) == 1)
        elif inbox.ignored:
            await note_ignored(run)
            continue
        elif is_long() and continuation.fits(continuation.carried(run, waiting=True)):
            raise continuation.Due
        elif not await _news_in_time(inbox, pause, undecided):
            given = Verdicts.of(pause, expired=undecided, resume=True)
        else:
            continue
        # The recorded verdicts count, not the given ones: they may have been recorded before a worker died.
        recorded = (await write(LifecycleSteps.record_verdicts, given)).verdicts
        verdicts |= {decision.call_id: decision for decision in recorded.decisions} | dict.fromkeys(recorded.expired)
    return verdicts


async def _news_in_time(inbox: Inbox, pause: Pause, call_ids: list[str]) -> bool:
    """Wait for a decision on one of the calls, or for what else is to be done; false if the time ran out."""
    seconds = limits.seconds_until(pause.expires_at, workflow.now())
    was_long = is_long()  # and must go on here, because what it has does not fit into another execution
    try:
        await workflow.wait_condition(
            lambda: bool(inbox.decided(call_ids) or inbox.ignored) or (is_long() and not was_long),
            timeout=seconds,
            timeout_summary="the approval's expiry",
        )
    except TimeoutError:
        return False
    return True
