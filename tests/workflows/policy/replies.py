"""Messages of a model, as the rules of a run look at them."""

from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.messages import FinishReason, Message, Part, ToolCallPart, Usage
from longrun.workflows.contract.requests import CallPlan
from longrun.workflows.contract.results import ModelReply, Stamp, StepOpened
from tests.build import START


def call(name: str = "pay", arguments: str = "{}", call_id: str = "c1") -> ToolCallPart:
    """A call."""
    return ToolCallPart(call_id=call_id, name=name, arguments=arguments)


def reply(*parts: Part, finish: FinishReason = "stop", plans: dict[str, CallPlan] | None = None) -> ModelReply:
    """A message with what the run must know of it."""
    return ModelReply(
        step=1,
        message=Message(id="m", role="assistant", parts=parts),
        finish_reason=finish,
        usage=Usage(),
        attempt=1,
        opened=StepOpened(step=1, stamp=Stamp(first=2, at=START), model="scripted/x"),
        attempt_at=START,
        marks=(),
        spans=(),
        completed_at=START,
        plans=plans or {},
    )


def plan(ask: str | None = None, refusal: str | None = None) -> CallPlan:
    """A call's plan."""
    return CallPlan(timeout=1, ask=ask, refusal=refusal)


def spec(*tools: object) -> AgentSpec:
    """An agent with these tools."""
    return AgentSpec.model_validate({"name": "a", "model": "scripted/x", "tools": tools})
