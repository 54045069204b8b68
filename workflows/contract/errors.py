"""The names that failures carry between processes."""

from typing import Literal

from longrun.workflows.contract.shape import Shape

ErrorType = Literal[
    "llm_api_error",
    "invalid_llm_response",
    "context_overflow",
    "store_unavailable",
    "store_refused",
    "no_such_tool",
    "workers_lost",
    "fenced",
    "messages_pending",
    "handed_over",
    "interrupted",
    "internal_error",
]
"""The ``type`` of an ApplicationError that an activity of ours raises.

``llm_api_error``: the provider refused or failed; ``invalid_llm_response``: a stream that is malformed or incomplete;
``context_overflow``: the conversation no longer fits; ``store_unavailable``: the database did not answer;
``store_refused``: it did not take what was to be written; ``no_such_tool``: no worker that was asked has the tool;
``workers_lost``: too many workers died over one step, which may be what kills them; ``fenced``: a later attempt took
over; ``messages_pending``: the run must receive what was said to it before it ends; ``handed_over``: the worker is shut
down; ``interrupted``: a tool call was started and not finished, and a person must decide; ``internal_error``: something
that must not happen.
"""


class ErrorInfo(Shape):
    """Why a run failed, for people and programs."""

    type: str
    message: str
