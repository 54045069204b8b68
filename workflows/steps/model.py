"""Asking the model."""

from longrun.workflows import activity_options
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.steps import ModelSteps
from longrun.workflows.run import Run
from longrun.workflows.steps.display import enter
from longrun.workflows.steps.perform import perform


async def ask_model(run: Run) -> ModelReply:
    """Begin the next step: ask for one message, with what users have said since the last one."""
    answered = run.enter_step()
    model = run.order.agent.model
    enter(run, "model", f"asking {model}")
    said = () if answered else run.inbox.take_messages()
    call = ModelCall(run_id=run.order.run_id, step=run.step, said=said, answered=answered)
    reply = await perform(ModelSteps.call_model.__name__, call, ModelReply, activity_options.model_call(model))
    run.usage += reply.usage
    run.acknowledged = run.step
    return reply
