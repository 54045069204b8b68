"""Asking the model."""

from temporalio import workflow

from longrun.workflows import activity_options
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.steps import ModelSteps
from longrun.workflows.run import Run
from longrun.workflows.steps.display import enter


async def ask_model(run: Run) -> ModelReply:
    """Begin the next step: ask for one message, with what users have said since the last one."""
    run.step += 1
    model = run.order.agent.model
    enter(run, "model", f"asking {model}")
    call = ModelCall(run_id=run.order.run_id, step=run.step, said=run.inbox.take_messages())
    reply = await workflow.execute_activity_method(ModelSteps.call_model, call, **activity_options.model_call(model))
    run.usage += reply.usage
    run.acknowledged = run.step
    return reply
