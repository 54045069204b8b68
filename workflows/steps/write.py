"""The writes of a run about itself."""

from typing import TypeVar

from temporalio import workflow
from temporalio.types import MethodAsyncSingleParam

from longrun.workflows import activity_options, shielded
from longrun.workflows.contract.steps import LifecycleSteps

Given = TypeVar("Given")
Written = TypeVar("Written")


async def write(activity: MethodAsyncSingleParam[LifecycleSteps, Given, Written], given: Given) -> Written:
    """Write to the store in a local activity, shielded from cancellation; what was written."""
    return await shielded.completed(workflow.execute_local_activity_method(activity, given, **activity_options.WRITE))
