"""What a run has received and not used yet."""

from longrun.workflows.contract.runs import Decision, Said
from longrun.workflows.inbox import MAX_BYTES, MAX_DECISIONS, Inbox


def decision(call_id: str, by: str = "ann") -> Decision:
    """An approval."""
    return Decision(call_id=call_id, decision="approve", by=by)


def empty() -> Inbox:
    """An inbox of a run that has just started."""
    return Inbox((), (), ())


def test_the_first_decision_for_a_call_is_kept_until_it_is_taken() -> None:
    inbox = empty()
    inbox.decide(decision("c1", "ann"))
    inbox.decide(decision("c1", "bob"))
    taken = inbox.take_decision("c1")
    assert taken is not None
    assert taken.by == "ann"
    assert inbox.take_decision("c1") is None


def test_decisions_are_found_in_the_order_asked_for_and_first_of_in_the_order_they_came() -> None:
    inbox = empty()
    for call_id in ("c2", "other", "c1"):
        inbox.decide(decision(call_id))
    assert [found.call_id for found in inbox.decided(["c1", "c2", "c3"])] == ["c1", "c2"]
    first = inbox.first_of(["c1", "c2"])
    assert first is not None
    assert first.call_id == "c2"
    assert inbox.first_of(["c3"]) is None


def test_only_so_many_decisions_are_kept_for_calls_that_nobody_made() -> None:
    inbox = empty()
    for number in range(MAX_DECISIONS + 5):
        inbox.decide(decision(str(number)))
    assert len(inbox.decisions) == MAX_DECISIONS


def test_a_message_with_an_id_is_kept_once_even_after_it_was_taken() -> None:
    inbox = empty()
    inbox.say(Said(text="a", id="1"))
    assert [message.text for message in inbox.take_messages()] == ["a"]
    inbox.say(Said(text="a", id="1"))
    inbox.say(Said(text="b"))
    inbox.say(Said(text="b"))
    assert [message.text for message in inbox.messages] == ["b", "b"]
    assert inbox.message_ids == ("1",)


def test_an_inbox_goes_on_where_another_ended() -> None:
    inbox = empty()
    inbox.decide(decision("c1"))
    inbox.say(Said(text="a", id="1"))
    following = Inbox(inbox.decisions, inbox.messages, inbox.message_ids)
    following.say(Said(text="a", id="1"))
    assert (following.decisions, following.messages) == (inbox.decisions, inbox.messages)


def test_more_messages_than_fit_into_a_payload_are_taken_some_at_a_time_and_in_order() -> None:
    inbox = empty()
    long = "a" * (MAX_BYTES // 2)
    for number in range(3):
        inbox.say(Said(text=f"{number}{long}"))
    assert not inbox.fits
    assert [[message.text[0] for message in inbox.take_messages()] for _ in range(4)] == [["0"], ["1"], ["2"], []]
    assert inbox.fits


def test_what_fits_is_counted_in_bytes() -> None:
    inbox = empty()
    inbox.say(Said(text="漢" * (MAX_BYTES // 2)))
    assert not inbox.fits


def test_short_messages_are_taken_together() -> None:
    inbox = empty()
    for number in range(3):
        inbox.say(Said(text=str(number)))
    assert len(inbox.take_messages()) == 3
