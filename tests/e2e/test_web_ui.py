"""A reviewer who has nothing but Temporal's own Web UI decides, and the run goes on."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page

from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.contract.events import ApprovalDecided
from tests.dev_server import dev_server, take_port
from tests.e2e.browser import browser_page
from tests.gateway_process import worked
from tests.logcheck import check_log, parsed
from tests.provider_fake import Turn, call, turn
from tests.tools import TOOLS, noted

pytestmark = pytest.mark.server


def says(request: ModelRequest) -> Turn:
    """Wants to pay, once."""
    return turn(call("pay-1", "pay", {"amount": 5})) if request.step == 1 else turn("Done.")


async def send_signal(page: Page, name: str, data: object) -> None:
    """What a person does on a workflow's page to send it a signal."""
    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send a Signal").click()
    dialog = page.locator("dialog[open]")
    await dialog.get_by_test_id("signal-select-button").click()
    await dialog.get_by_role("option", name=name, exact=True).click()
    editor = dialog.locator(".cm-content")
    await editor.fill(json.dumps(data))
    await editor.blur()  # it lays the JSON out then, and moves the button from under the mouse
    await dialog.get_by_role("button", name="Submit").click()
    await dialog.wait_for(state="detached")


async def test_a_decision_in_temporals_web_ui_wakes_the_run(tmp_path: Path) -> None:
    ui_port = take_port()
    async with (
        dev_server(tmp_path, ui_port) as temporal,
        worked(temporal, tmp_path / "home", says, TOOLS) as (front, _),
        browser_page() as page,
    ):
        run_id = (await front.start({"model": "scripted/x", "tools": ["pay"]}))["id"]
        await front.waiting(run_id)
        await page.goto(f"http://127.0.0.1:{ui_port}/namespaces/default/workflows/{run_id}")
        await send_signal(page, "decide", {"call_id": "pay-1", "decision": "approve", "reason": "seen in the Web UI"})
        assert (await front.ended(run_id))["status"] == "completed"
        events = parsed(data for _, _, data in await front.frames(run_id))
        check_log(events)
        (decided,) = (event for event in events if isinstance(event, ApprovalDecided))
        assert (decided.decision, decided.reason) == ("approve", "seen in the Web UI")
        assert noted(front.settings.workspace_folder) == ["5"]
