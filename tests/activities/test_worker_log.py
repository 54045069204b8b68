"""What a worker says of a failed activity, through the logger that Temporal's SDK uses."""

import logging
from collections.abc import Generator

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from longrun.activities.failures import ProviderFailure
from longrun.activities.worker_log import NamedFailuresAreOneLine


@pytest.fixture(autouse=True)
def _filtered() -> Generator[None]:
    logger, chosen = logging.getLogger("temporalio.activity"), NamedFailuresAreOneLine()
    logger.addFilter(chosen)
    yield
    logger.removeFilter(chosen)


def logged(error: Exception, caplog: pytest.LogCaptureFixture) -> str:
    """What is written when an activity has raised an error."""

    def failing() -> None:
        activity.logger.warning("Completing activity as failed", exc_info=error)  # as the SDK does

    ActivityEnvironment().run(failing)
    return logging.Formatter("%(message)s").format(caplog.records[-1])


def test_a_failure_with_a_name_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    refused = ProviderFailure("fatal", "openai/gpt-5: no such key, 100% sure (HTTP 401)").to_application_error()
    line = "unknown of run test failed in attempt 1 (llm_api_error, not retried): openai/gpt-5: no such key, 100% sure"
    assert logged(refused, caplog) == f"{line} (HTTP 401)"
    assert "(handed_over): the worker" in logged(ApplicationError("the worker", type="handed_over"), caplog)


def test_what_nobody_has_foreseen_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert "\nZeroDivisionError: x" in logged(ZeroDivisionError("x"), caplog)
