"""A run's summary on a terminal."""

from io import StringIO
from typing import Any

from rich.console import Console

from longrun.terminal.status import summary
from longrun.workflows.contract.views import RunDetails

RUN: dict[str, Any] = {
    "id": "r-1",
    "thread_id": "t-1",
    "agent": {"name": "clerk", "model": "openai/small"},
    "status": "completed",
    "stop_reason": "end_turn",
    "created_at": "2026-01-01T00:00:00Z",
    "started_at": None,
    "ended_at": None,
    "step": 1,
    "turn": 1,
    "usage": {"input_tokens": 10, "output_tokens": 5},
    "limits": {},
    "metadata": {},
    "links": {"stream": "/api/runs/r-1/stream", "events": "/api/runs/r-1/events"},
    "output": "Done.",
    "error": None,
    "pending_approvals": [],
    "attempts": [],
    "tokens_billed": 0,
    "tokens_rebilled": 0,
}
ATTEMPT = {"step": 1, "attempt": 1, "worker": "17@host", "started_at": "2026-01-01T00:00:00Z"}


def printed(found: dict[str, Any], width: int = 120) -> list[str]:
    page = StringIO()
    Console(file=page, width=width, highlight=False).print(summary(RunDetails.model_validate(found)), soft_wrap=True)
    return [line.rstrip() for line in page.getvalue().splitlines()]


def test_a_run_without_attempts_has_no_table_and_no_bill() -> None:
    assert printed(RUN) == [
        "run r-1: completed (end_turn)",
        "agent clerk (openai/small) · thread t-1",
        "created 2026-01-01T00:00:00Z",
        "step 1, turn 1 · tokens: 10 in, 5 out",
        "Done.",
    ]


def test_each_attempt_is_a_line() -> None:
    attempts = [
        {**ATTEMPT, "ended_at": "2026-01-01T00:00:01.25Z", "outcome": "lost", "tokens_out": 3, "estimated": True},
        {
            **ATTEMPT,
            "attempt": 2,
            "provider": "openai/small",
            "ended_at": "2026-01-01T00:01:00Z",
            "outcome": "completed",
            "recovered": "reissued",
            "tokens_in": 1000,
            "tokens_out": 5,
        },
        {**ATTEMPT, "call_id": "call-1"},
    ]
    lines = printed({**RUN, "attempts": attempts, "tokens_billed": 1008, "tokens_rebilled": 3})
    assert lines[3] == "step 1, turn 1 · tokens: 10 in, 5 out · billed: 1,008, of these again: 3"
    assert lines[4].split() == ["step", "call", "attempt", "worker", "outcome", "recovered", "tokens", "seconds"]
    assert lines[5].split() == ["1", "model", "1", "17@host", "lost", "~?+3", "1.2"]
    assert lines[6].split() == ["1", "openai/small", "2", "17@host", "completed", "reissued", "1,000+5", "60.0"]
    assert lines[7].split() == ["1", "call-1", "1", "17@host", "under", "way"]
    assert lines[8] == "Done."


def test_what_a_run_waits_for_and_why_it_failed_are_said() -> None:
    call = {"call_id": "c-1", "step": 1, "name": "pay", "arguments": '{"amount": 1}', "reason": "always"}
    waits = printed({**RUN, "status": "waiting", "stop_reason": None, "pending_approvals": [call]})
    assert waits[0] == "run r-1: waiting"
    assert waits[-1] == "waits for pay(amount: 1) · call c-1"
    failed = {**RUN, "status": "failed", "output": "", "error": {"type": "error", "message": "no\x1b key"}}
    assert printed(failed)[-1] == "error: no\ufffd key"


def test_a_narrow_terminal_shows_all_of_it() -> None:
    worker = "1234567@a-machine-with-a-long-name.example"
    text = "".join(printed({**RUN, "attempts": [{**ATTEMPT, "worker": worker, "call_id": "c" * 60}]}, 60))
    assert text.count("c" * 3) >= 1
    assert "…" not in text
