"""The names that failures carry between processes."""

from typing import Literal

from longrun.workflows.contract.shape import Shape

ErrorType = Literal[
    "llm_api_error",
    "invalid_llm_response",
    "context_overflow",
    "tool_error",
    "store_unavailable",
    "fenced",
    "handed_over",
    "interrupted",
    "unknown_model",
    "internal_error",
]
"""The ``type`` of an ApplicationError that an activity of ours raises.

``llm_api_error``: the provider refused or failed; ``invalid_llm_response``: a stream that broke its own rules or ended
without its end; ``context_overflow``: the conversation no longer fits; ``tool_error``: the tool's own process failed;
``store_unavailable``: the database did not answer; ``fenced``: a later attempt took over; ``handed_over``: the worker
is shut down; ``interrupted``: a call was started and not finished, and a person must decide; ``unknown_model``: no
such provider.
"""


class ErrorInfo(Shape):
    """Why a run failed, for people and programs."""

    type: str
    message: str
