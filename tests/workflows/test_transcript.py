"""A conversation as every provider takes it."""

from hypothesis import given

from longrun.workflows.contract.messages import Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from longrun.workflows.transcript import NO_RESULT, paired
from tests.workflows.message_parts import conversations


def message(role: str, *parts: object, name: str = "m") -> Message:
    """A message."""
    return Message.model_validate({"id": name, "role": role, "parts": parts})


def answer(call_id: str, content: str = "saw") -> Message:
    """A result in a message of its own, as the store keeps it."""
    return message("tool", ToolResultPart(call_id=call_id, name="look", content=content), name=call_id)


@given(conversations())
def test_every_call_has_its_one_result_right_after_its_message(conversation: list[Message]) -> None:
    sent = paired(conversation)
    for before, after in zip(sent, [*sent[1:], None][: len(sent)], strict=True):
        answered = [part.call_id for part in after.parts if isinstance(part, ToolResultPart)] if after else []
        assert answered == [call.call_id for call in before.calls]
    assert all(part.parts for part in sent)
    assert paired(sent) == sent


@given(conversations())
def test_nothing_that_can_be_sent_is_lost(conversation: list[Message]) -> None:
    sent = paired(conversation)
    assert "".join(each.text for each in sent) == "".join(each.text for each in conversation)
    results = {part.call_id for each in conversation for part in each.parts if isinstance(part, ToolResultPart)}
    calls = [part for each in conversation for part in each.parts if isinstance(part, ToolCallPart)]
    assert [call.call_id for each in sent for call in each.calls] == [
        call.call_id for call in calls if not call.cut or call.call_id in results
    ]


def test_a_call_is_sent_as_it_was_run() -> None:
    calls = [ToolCallPart(call_id=call_id, name="look", arguments="{}") for call_id in ("a", "b")]
    results = (
        ToolResultPart(call_id="a", name="look", content="", arguments='{"by":"ann"}'),
        ToolResultPart(call_id="b", name="look", content=""),
    )
    sent = paired([message("assistant", *calls), message("tool", *results)])
    assert [call.arguments for call in sent[0].calls] == ['{"by":"ann"}', "{}"]


def test_results_follow_the_order_of_the_calls() -> None:
    calls = [ToolCallPart(call_id=call_id, name="look", arguments="{}") for call_id in ("a", "b")]
    sent = paired([message("assistant", *calls), answer("b"), message("user", TextPart(text="hm")), answer("a")])
    assert [each.role for each in sent] == ["assistant", "tool", "user"]
    assert [part.call_id for part in sent[1].parts if isinstance(part, ToolResultPart)] == ["a", "b"]


def test_the_first_result_counts_and_a_lost_one_is_said_to_be_lost() -> None:
    calls = [ToolCallPart(call_id=call_id, name="look", arguments="{}") for call_id in ("a", "b")]
    sent = paired([message("assistant", *calls), answer("a", "one"), answer("a", "two"), answer("z")])
    results = [(part.content, part.status) for part in sent[1].parts if isinstance(part, ToolResultPart)]
    assert results == [("one", "ok"), (NO_RESULT, "cancelled")]


def test_what_a_cancel_cut_is_not_sent_unless_it_is_text() -> None:
    parts = [
        ReasoningPart(text="hm", cut=True),
        TextPart(text="half a", cut=True),
        TextPart(text="", cut=True),
        ToolCallPart(call_id="a", name="look", arguments='{"wh', cut=True),
    ]
    sent = paired([message("assistant", *parts), message("assistant", parts[0], name="n")])
    assert [each.parts for each in sent] == [(parts[1],)]


def test_an_empty_text_with_a_signature_is_sent() -> None:
    signed = TextPart(text="", opaque={"signature": "x"})
    assert paired([message("assistant", signed)])[0].parts == (signed,)
