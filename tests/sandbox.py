"""The sandbox of workflows, in which the tests run them.

A worker runs them without. What they would do unseen by most tests, the sandbox forbids: look at the clock, draw a
random number, do I/O.
"""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PASSED_THROUGH = ("longrun.workflows.contract",)
"""What is not loaded anew for each run: shapes, which the workflow and the converter of payloads must mean alike."""


def sandbox() -> SandboxedWorkflowRunner:
    """The sandbox, with nothing let through but the shapes."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
