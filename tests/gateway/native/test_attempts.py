"""A run shows who set about it, and what that has cost."""

from datetime import timedelta

from longrun.store.attempts import CallKey, Taker, begin_attempt, charge, end_attempt, recover
from longrun.store.db.database import Tx
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import ModelCall
from tests.build import START, Stores, finish, says
from tests.gateway.native.conftest import Stand


async def with_two_attempts(stores: Stores) -> str:
    """A completed run whose model call has two attempts: the worker of the first one died."""
    run_id = (await stores.accept()).run_id
    await stores.runs.dispatched(run_id)
    await stores.ask(ModelCall(run_id=run_id, step=1), says("Hello."))
    await stores.runs.finish(finish(run_id), START)

    def job(tx: Tx) -> None:
        tx.exec_driver_sql("DELETE FROM attempts WHERE run_id = ?", (run_id,))
        call = CallKey(run_id, 1)
        begin_attempt(tx, call, 1, Taker("one", START), provider="openai/small")
        charge(tx, call, 1, Usage(input_tokens=10, output_tokens=3), estimated=True)
        end_attempt(tx, call, 1, "lost", START + timedelta(seconds=1))
        begin_attempt(tx, call, 2, Taker("two", START + timedelta(seconds=2)), provider="openai/small")
        recover(tx, call, 2, "reissued")
        charge(tx, call, 2, Usage(input_tokens=10, output_tokens=5))
        end_attempt(tx, call, 2, "completed", START + timedelta(seconds=3))
        begin_attempt(tx, CallKey(run_id, 1, "call-1"), 1, Taker("two", START + timedelta(seconds=4)))

    await stores.database.write(job)
    return run_id


async def test_a_run_has_its_attempts_and_what_they_cost(stand: Stand) -> None:
    run = await stand.front.run(await with_two_attempts(stand.stores))
    assert (run["tokens_billed"], run["tokens_rebilled"]) == (28, 13)
    first, second, third = run["attempts"]
    assert (first["worker"], first["outcome"], first["estimated"], first["recovered"]) == ("one", "lost", True, "none")
    assert (second["outcome"], second["recovered"], second["tokens_out"]) == ("completed", "reissued", 5)
    assert (third["call_id"], third["outcome"], third["tokens_in"]) == ("call-1", None, None)


async def test_a_queued_run_has_cost_nothing(stand: Stand) -> None:
    run = await stand.front.start({"model": "scripted/hello"})
    assert (run["attempts"], run["tokens_billed"], run["tokens_rebilled"]) == ([], 0, 0)


async def test_the_list_of_runs_is_without_attempts(stand: Stand) -> None:
    run_id = await with_two_attempts(stand.stores)
    runs = (await stand.front.http.get("/api/runs?limit=200")).json()["runs"]
    (listed,) = (run for run in runs if run["id"] == run_id)
    more = {"attempts", "tokens_billed", "tokens_rebilled"}
    assert listed == {name: value for name, value in (await stand.front.run(run_id)).items() if name not in more}
