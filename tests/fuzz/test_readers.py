"""Whatever a host sends, the answer is one that can be kept and sent back, or a failure of the provider."""

import os
from random import Random

import pytest

from tests.fuzz.mutations import Mutant, mutant
from tests.fuzz.reading import Reading
from tests.fuzz.streams import STREAMS, Wire

EXAMPLES = 100_000 if os.environ.get("LONGRUN_TEST_LONG") else 400
WIRES: tuple[Wire, ...] = ("openai-chat", "openai", "anthropic")


@pytest.mark.parametrize("wire", WIRES)
async def test_the_streams_to_begin_with_are_read(wire: Wire) -> None:
    reading = Reading(wire)
    answers = [await reading.read(Mutant(frames, "not at all", repeats=False)) for frames in STREAMS[wire]()]
    failed = [str(answer.failure) for answer in answers if answer.failure]
    await reading.aclose()
    assert len(failed) == (2 if wire == "openai" else 1), failed


@pytest.mark.timeout(0 if os.environ.get("LONGRUN_TEST_LONG") else 60)
@pytest.mark.parametrize("wire", WIRES)
async def test_a_mutated_stream_is_an_answer_or_a_failure_of_the_provider(wire: Wire) -> None:
    reading, streams = Reading(wire), STREAMS[wire]()
    outcomes = {"answers": 0, "failures": 0}
    for seed in range(EXAMPLES):
        random = Random(f"{wire} {seed}")  # noqa: S311 - the same examples each time
        made = mutant(random, random.choice(streams))
        try:
            answer = await reading.read(made)
        except Exception as error:
            error.add_note(f"seed {seed}, {made.how}: {made.body!r}")
            raise
        outcomes["answers" if answer.message else "failures"] += 1
    await reading.aclose()
    assert min(outcomes.values()) > EXAMPLES // 20, outcomes
