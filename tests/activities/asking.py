"""The activity that asks a model, over a store of a test."""

from collections.abc import Sequence

from longrun.activities.in_flight import InFlight
from longrun.activities.model import Catalog, ModelActivities
from longrun.activities.toolbox.registry import Tool, Toolbox
from tests.build import Stores


def model_activities(catalog: Catalog, stores: Stores, tools: Sequence[Tool] = ()) -> ModelActivities:
    """What a worker named ``worker`` asks models with."""
    return ModelActivities(
        catalog,
        Toolbox(tools),
        stores.runs,
        stores.steps,
        stores.messages,
        blobs=stores.blobs,
        in_flight=InFlight("worker"),
    )
