"""The store and the rules of the run tell one story: a log can be told again from the results alone, byte for byte."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longrun.workflows.contract.results import Finished, ModelReply, Paused, Recorded, ToolOutcome
from tests.build import Stores
from tests.store.story import History, Teller


def through_history(history: History) -> History:
    """The results as they come back from Temporal: as JSON."""
    return History(
        order=history.order.model_validate_json(history.order.model_dump_json()),
        replies={n: ModelReply.model_validate_json(r.model_dump_json()) for n, r in history.replies.items()},
        outcomes=[ToolOutcome.model_validate_json(o.model_dump_json()) for o in history.outcomes],
        pauses=[Paused.model_validate_json(p.model_dump_json()) for p in history.pauses],
        recorded=[Recorded.model_validate_json(r.model_dump_json()) for r in history.recorded],
        end=Finished.model_validate_json(history.end.model_dump_json()) if history.end else None,
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example has a run of its own
@given(st.data())
async def test_the_settled_log_is_what_the_results_tell(store: Stores, data: st.DataObject) -> None:
    order = await store.accept()
    history = await Teller(store, order, data).tell()
    settled = await store.lines(order.run_id, settled=True)
    assert history.retold() == settled
    assert through_history(history).retold() == settled
    events = [json.loads(line) for line in await store.lines(order.run_id)]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
