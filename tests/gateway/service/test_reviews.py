import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from typer.testing import CliRunner

from longrun.cli.main import app
from longrun.gateway.history.reader import HistoryReader
from longrun.gateway.service import reviews, workflows
from longrun.gateway.service.reviews import ReviewError, Reviews
from longrun.gateway.service.workflows import Workflows
from longrun.runtime.temporal import TemporalUnavailableError, temporal_connection
from longrun.workflows.contract.runs import Decision
from tests.harness import until
from tests.patience import PATIENCE
from tests.running import NO_TEMPORAL, Front, running, serving, working

WRITER = {"model": "scripted/writes", "tools": ["write_file"]}


def writes(*call_ids: str) -> str:
    calls = ", ".join(
        f"{{name: write_file, id: {call_id}, arguments: {{path: {call_id}.txt, content: one}}}}" for call_id in call_ids
    )
    return f"turns: [[{{tool_calls: [{calls}]}}], [{{text: Done.}}]]"


SCRIPTS = {"answer": "turns: [[{text: Hello.}]]", "fixed": writes("same"), "two": writes("first", "second")} | {
    "writes": "turns: [[{tool_calls: [{name: write_file, arguments: {path: a.txt, content: one}}]}], [{text: Done.}]]"
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Front]:
    async with running(temporal, tmp_path_factory.mktemp("review"), scripts=SCRIPTS) as front:
        # The worker of this process says on stdout that it is ready, which must not be taken for a command's output.
        await front.ended((await front.start({"model": "scripted/answer"}))["id"])
        yield front


@pytest.fixture
def address(temporal: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Temporal, for the commands; no gateway."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    monkeypatch.setenv("LONGRUN_URL", "http://127.0.0.1:9")
    return temporal


async def longrun_review(*arguments: str) -> tuple[int, str]:
    """Run a command in a thread of its own; its status and what it printed."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["review", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


async def waiting_call(front: Front, model: str = "scripted/writes") -> tuple[str, str]:
    """A run that waits, and the call that it waits for."""
    run_id = (await front.start({**WRITER, "model": model}))["id"]
    run = await front.waiting(run_id)
    return run_id, run["pending_approvals"][0]["call_id"]


async def listed(call_id: str) -> str:
    """The list of what waits, once visibility knows the call."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status, output = await longrun_review()
            assert status == 0
            if call_id in output:
                return output
            await asyncio.sleep(0.1)


async def decided(front: Front, run_id: str) -> list[tuple[str, str]]:
    """The decisions that the run followed to its end, with who made them."""
    await front.ended(run_id)
    events = [json.loads(data) for _, _, data in await front.frames(run_id)]
    return [(each["decision"], each["by"]) for each in events if each["type"] == "approval.decided"]


@pytest.mark.server
async def test_what_waits_is_listed_and_approved_by_its_call(front: Front, address: str) -> None:
    run_id, call_id = await waiting_call(front)
    output = await listed(call_id)
    assert f"run {run_id} · inline · until 2" in output
    assert '  write_file(path: "a.txt", content: "one")\n' in output
    assert f"    call {call_id} · write_file always asks\n" in output
    _, printed = await longrun_review("--json")
    found = next(each for each in json.loads(printed) if each["call_id"] == call_id)
    assert (found["run_id"], found["name"]) == (run_id, "write_file")
    done = (0, f"done: run {run_id} follows this decision\n")
    assert await longrun_review("approve", call_id, "--by", "ann") == done
    assert await decided(front, run_id) == [("approve", "ann")]
    assert (front.settings.workspace_folder / "a.txt").read_text() == "one"


@pytest.mark.server
async def test_an_edit_that_the_tool_does_not_take_is_refused_and_another_one_counts(
    front: Front, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGRUN_HOME", str(front.settings.home))
    run_id, call_id = await waiting_call(front)
    with pytest.raises(ReviewError, match=r"^args.path: write_file does not take this: 5 is not of type 'string'$"):
        await longrun_review("edit", call_id, "--run", run_id, "--args", '{"path": 5, "content": "two"}')
    args = '{"path": "edited.txt", "content": "two"}'
    assert (await longrun_review("edit", call_id, "--run", run_id, "--args", args, "--by", "ann"))[0] == 0
    assert await decided(front, run_id) == [("edit", "ann")]


@pytest.mark.server
async def test_show_has_all_arguments_and_says_what_is_decided_already(front: Front, address: str) -> None:
    run_id, _ = await waiting_call(front, "scripted/two")
    assert (await longrun_review("deny", "second", "--run", run_id, "--by", "bob"))[0] == 0
    status, output = await longrun_review("show", run_id)
    assert status == 0
    assert "call first · waits · write_file always asks" in output
    assert '  "content": "one"\n' in output
    assert "call second · deny by bob" in output
    assert "second" not in (await listed("call first")).split(run_id)[1].split("\nrun ")[0]
    late = (1, "too late: another decision came first: deny by bob\n")
    assert await longrun_review("approve", "second", "--run", run_id) == late
    await longrun_review("answer", "first", "--text", "it is there", "--run", run_id, "--by", "ann")
    assert await decided(front, run_id) == [("deny", "bob"), ("answer", "ann")]
    assert (await longrun_review("show", run_id))[1].endswith("it waits for nobody\n")


@pytest.mark.server
async def test_the_second_of_two_decisions_is_told_the_first_even_when_the_run_is_over(
    front: Front, address: str
) -> None:
    run_id, call_id = await waiting_call(front)
    assert (await longrun_review("deny", call_id, "--reason", "no\x1b", "--run", run_id, "--by", "bob"))[0] == 0
    await front.ended(run_id)
    status, output = await longrun_review("approve", call_id, "--run", run_id)
    assert (status, output) == (1, "too late: another decision came first: deny by bob (no\ufffd)\n")


@pytest.mark.server
async def test_the_second_is_told_the_first_without_naming_the_run(
    front: Front, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, call_id = await waiting_call(front)
    assert (await longrun_review("deny", call_id, "--run", run_id, "--by", "bob"))[0] == 0
    await front.ended(run_id)
    monkeypatch.setenv("LONGRUN_URL", front.base_url)

    async def unlisted() -> bool:
        return call_id not in (await longrun_review())[1]

    await until(unlisted, "the end of the wait in Temporal's list")
    late = (1, "too late: another decision came first: deny by bob\n")
    assert await longrun_review("approve", call_id, "--by", "ann") == late


@pytest.mark.server
async def test_a_call_that_the_list_of_waiting_runs_does_not_have_yet_is_decided_by_the_gateway(
    front: Front, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, call_id = await waiting_call(front)
    monkeypatch.setenv("LONGRUN_URL", front.base_url)
    done = (0, f"done: run {run_id} follows this decision\n")
    assert await longrun_review("approve", call_id, "--by", "ann") == done
    assert await decided(front, run_id) == [("approve", "ann")]


@pytest.mark.server
async def test_of_decisions_at_once_one_counts_and_all_agree_on_it(front: Front, address: str) -> None:
    run_id, call_id = await waiting_call(front)
    client = await Client.connect(**temporal_connection())
    reviews = Reviews(Workflows(client), HistoryReader(client))
    people = [Decision(call_id=call_id, decision="approve", by=f"person {n}", id=f"id-{n}") for n in range(5)]
    rulings = await asyncio.gather(*(reviews.decide(run_id, person) for person in people))
    assert sorted(ruling.kind for ruling in rulings) == ["counts", "late", "late", "late", "late"]
    assert len({ruling.first.by for ruling in rulings if ruling.first}) == 1
    await front.ended(run_id)


@pytest.mark.server
async def test_edited_arguments_are_the_ones_that_are_used(front: Front, address: str) -> None:
    run_id, call_id = await waiting_call(front)
    args = json.dumps({"path": "edited.txt", "content": "two"})
    assert (await longrun_review("edit", call_id, "--args", args, "--run", run_id))[0] == 0
    await front.ended(run_id)
    assert (front.settings.workspace_folder / "edited.txt").read_text() == "two"


@pytest.mark.server
async def test_a_call_of_two_runs_needs_the_runs_name(front: Front, address: str) -> None:
    one, call_id = await waiting_call(front, "scripted/fixed")
    other, _ = await waiting_call(front, "scripted/fixed")
    async with asyncio.timeout(PATIENCE):
        while True:
            output = await listed(call_id)
            if one in output and other in output:
                break
            await asyncio.sleep(0.1)
    with pytest.raises(ReviewError, match="waits in several runs; name one by --run: ") as raised:
        await longrun_review("approve", call_id)
    assert one in str(raised.value)
    assert other in str(raised.value)
    for run_id in (one, other):
        assert (await longrun_review("deny", call_id, "--run", run_id))[0] == 0
        await front.ended(run_id)


@pytest.mark.server
async def test_a_call_that_nobody_knows_points_to_the_run(front: Front, address: str) -> None:
    with pytest.raises(ReviewError, match=r"no waiting run asks for the call nothing.*; .* may lag .* --run RUN"):
        await longrun_review("approve", "nothing")


@pytest.mark.server
async def test_a_decision_before_its_call_is_kept_and_counts(front: Front, address: str) -> None:
    run_id, _ = await waiting_call(front, "scripted/fixed")
    status, output = await longrun_review("approve", "later", "--run", run_id)
    assert (status, output) == (
        0,
        f"run {run_id} has not asked for this call yet; the decision is kept until it does\n",
    )
    await longrun_review("deny", "same", "--run", run_id)
    await front.ended(run_id)
    with pytest.raises(ReviewError, match=f"run {run_id} has ended"):
        await longrun_review("approve", "later", "--run", run_id)


@pytest.mark.server
async def test_a_call_whose_time_ran_out_cannot_be_decided(front: Front, address: str) -> None:
    run_id = (await front.start(WRITER, limits={"approval_timeout": 0.2}))["id"]
    await front.ended(run_id)
    events = [json.loads(data) for _, _, data in await front.frames(run_id)]
    call_id = next(each["call_id"] for each in events if each["type"] == "approval.expired")
    status, output = await longrun_review("approve", call_id, "--run", run_id)
    assert (status, output) == (1, "too late: the time for a decision has run out\n")


@pytest.mark.server
async def test_an_unknown_run_is_named(address: str) -> None:
    for arguments in (("show", "nobody"), ("approve", "call", "--run", "nobody")):
        with pytest.raises(ReviewError, match="Temporal knows no run nobody"):
            await longrun_review(*arguments)


@asynccontextmanager
async def without_worker(temporal: str, folder: Path) -> AsyncGenerator[tuple[str, str]]:
    """A waiting run whose worker has ended, and its call."""
    async with running(temporal, folder, scripts=SCRIPTS) as ended:
        run_id, call_id = await waiting_call(ended, "scripted/fixed")
    yield run_id, call_id
    async with serving(ended.settings, temporal) as front, working(ended.settings, temporal):
        await front.ended(run_id)


@pytest.mark.server
async def test_without_a_worker_a_decision_is_delivered_and_not_confirmed(
    temporal: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "CONFIRMED_WITHIN", 0.2)
    monkeypatch.setattr(workflows, "QUERY_TIMEOUT", workflows.QUERY_TIMEOUT / 50)
    async with without_worker(temporal, tmp_path) as (run_id, call_id):
        assert f"run {run_id} · inline: no worker answers for it" in await listed(run_id)
        assert run_id not in (await longrun_review("--json"))[1]
        with pytest.raises(ReviewError, match=r"no worker answers for \d+ waiting runs"):
            await longrun_review("approve", call_id)
        with pytest.raises(ReviewError, match=f"no worker answers for run {run_id}"):
            await longrun_review("show", run_id)
        status, output = await longrun_review("deny", call_id, "--run", run_id)
        assert status == 0
        assert "no worker says yet whether it is the first" in output


async def test_without_temporal_nothing_can_be_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", NO_TEMPORAL)
    with pytest.raises(TemporalUnavailableError):
        await longrun_review()


@pytest.mark.parametrize("args", ["{", "[1]"])
def test_arguments_that_are_no_object_are_refused(args: str) -> None:
    result = CliRunner().invoke(app, ["review", "edit", "c", "--args", args])
    assert result.exit_code == 2
    assert "--args" in result.stderr
