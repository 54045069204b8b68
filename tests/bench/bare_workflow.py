"""What longrun is measured against: the least that a Temporal workflow needs for the same work.

Nothing but the standard library and Temporal is imported here: what the sandbox loads anew for each run counts.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow

HEARTBEAT = timedelta(seconds=5)
LONGEST = timedelta(hours=1)


@dataclass
class Call:
    """A tool call of a model."""

    id: str
    name: str
    arguments: str


@dataclass
class Said:
    """A model's answer."""

    text: str
    calls: list[Call]


@dataclass
class Question:
    """A conversation so far: the prompt, and the first answer with its calls' results."""

    model: str
    prompt: str
    said: Said | None
    results: list[str]


@workflow.defn(name="BareRun")
class BareRun:
    """A model, a tool, a model."""

    @workflow.run
    async def run(self, model: str) -> str:
        """Run, and return the last text."""
        first: Said = await workflow.execute_activity(
            "bare_model",
            Question(model, "hello", None, []),
            result_type=Said,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=HEARTBEAT,
        )
        results: list[str] = [
            await workflow.execute_activity(
                "bare_tool", call, result_type=str, start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT
            )
            for call in first.calls
        ]
        last: Said = await workflow.execute_activity(
            "bare_model",
            Question(model, "hello", first, results),
            result_type=Said,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=HEARTBEAT,
        )
        return last.text
