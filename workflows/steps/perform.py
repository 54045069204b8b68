"""Having an activity performed, whatever somebody completes it with by hand."""

from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.workflow import ActivityConfig

from longrun.workflows.contract.shape import Shape

Result = TypeVar("Result", bound=Shape)


async def perform(name: str, given: Shape, kind: type[Result], options: ActivityConfig) -> Result:
    """The result of the activity of this name.

    A result that is none of its kind was not made by it: the activity is performed again, and gives back what it has
    written, or goes on.

    Raises:
        ActivityError: It failed.
    """
    while True:
        raw: RawValue = await workflow.execute_activity(name, given, result_type=RawValue, **options)
        try:
            return workflow.payload_converter().from_payload(raw.payload, kind)
        except ValueError:
            workflow.logger.warning("%s was completed by hand with what is not its result; it is performed again", name)
