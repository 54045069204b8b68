"""What an agent is made of: a model, its instructions and the tools it may use."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from longrun.workflows.contract import expressions
from longrun.workflows.contract.shape import Shape

Operator = Literal["equals", "not_equals", "matches", "contains", "greater", "less"]
Effect = Literal["read", "write"]
OnInterrupt = Literal["retry", "ask", "fail"]

_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]*/.+", re.DOTALL)


class ArgumentRule(Shape):
    """A condition on one argument of a call, as the tool will get it: validated, with defaults.

    ``matches`` is a regular expression in the syntax of RE2, searched in the argument's text.
    """

    argument: str
    operator: Operator = "matches"
    value: JsonValue = None

    @model_validator(mode="after")
    def _is_an_expression(self) -> "ArgumentRule":
        if self.operator == "matches":
            if not isinstance(self.value, str):
                raise ValueError("value is not a regular expression: it is not a text")
            try:
                expressions.check(self.value)
            except ValueError as error:
                raise ValueError(f"value is not a regular expression of RE2: {error}") from error
        return self


class Approval(Shape):
    """Whether a person must agree before a tool runs: never, always, or when one of the rules holds."""

    mode: Literal["never", "always", "when"]
    rules: tuple[ArgumentRule, ...] = ()


class ApprovalWhen(Shape):
    """The short form of an approval that is needed when one of the rules holds."""

    when: tuple[ArgumentRule, ...]


def _approval(given: object) -> object:
    """Take the short forms: ``"always"`` and ``{"when": [rule, …]}``."""
    if isinstance(given, str):
        return {"mode": given}
    if isinstance(given, dict) and "when" in given:
        return {"mode": "when", "rules": given["when"]}  # pyright: ignore[reportUnknownVariableType] # unchecked input
    return given  # pyright: ignore[reportUnknownVariableType] # pydantic checks it next


_GivenApproval = Literal["never", "always"] | ApprovalWhen | Approval
ApprovalRule = Annotated[Approval, BeforeValidator(_approval, json_schema_input_type=_GivenApproval)]


ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class ToolUse(Shape):
    """A tool that an agent may use; ``approval`` adds to when the tool asks."""

    name: ToolName
    approval: ApprovalRule | None = None


def _tool_use(given: object) -> object:
    """Take the short form: the tool's name."""
    return {"name": given} if isinstance(given, str) else given


GivenTool = Annotated[ToolUse, BeforeValidator(_tool_use, json_schema_input_type=ToolName | ToolUse)]


class ModelParams(Shape):
    """Settings that are passed on to a provider that has them; ``None`` leaves the provider's default."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    parallel_tool_calls: bool = True


class AgentSpec(Shape):
    """An agent as a run uses it: a snapshot of when the run was accepted.

    ``model`` is ``provider/name``: ``openai/…`` (Responses), ``openai-chat/…``, ``anthropic/…``, ``scripted/…``, or the
    name of a host in the server's settings file. Which providers there are, a contract cannot know.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    model: str
    system: str = Field(default="", max_length=200_000)
    tools: tuple[GivenTool, ...] = Field(default=(), max_length=128)
    params: ModelParams = ModelParams()

    @field_validator("model")
    @classmethod
    def _of_a_provider(cls, model: str) -> str:
        if not _MODEL.fullmatch(model):
            raise ValueError("is not of the form provider/name")
        return model

    @field_validator("tools")
    @classmethod
    def _each_tool_once(cls, tools: tuple[ToolUse, ...]) -> tuple[ToolUse, ...]:
        names = [tool.name for tool in tools]
        if len(set(names)) != len(names):
            raise ValueError("names a tool twice")
        return tools


class ToolSpec(Shape):
    """A tool as a worker offers it.

    ``parameters`` is the JSON schema of its arguments, ``timeout`` seconds, ``return_char_limit`` characters.
    ``loosenable`` says whether an agent may have it ask a person less often than ``approval`` says.
    ``on_interrupted`` says what happens to a started, unfinished call of a ``write`` tool; ``read`` tools run again.
    """

    name: str
    description: str
    parameters: dict[str, JsonValue]
    effect: Effect = "read"
    approval: Approval = Approval(mode="never")
    loosenable: bool = False
    timeout: float = 60.0
    return_char_limit: int = 50_000
    on_interrupted: OnInterrupt = "ask"
