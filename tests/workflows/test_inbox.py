"""What a run has received and not used yet."""

from longrun.workflows.contract.runs import Decision, Said
from longrun.workflows.inbox import MAX_BYTES, MOST_EARLY, MOST_IDS, MOST_MESSAGES, MOST_NOTES, Inbox


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
    for number in range(MOST_EARLY + 5):
        inbox.decide(decision(str(number)))
    assert len(inbox.decisions) == MOST_EARLY


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


def reasons(inbox: Inbox) -> list[tuple[str, str]]:
    """The signals that were ignored."""
    found = [(each.signal, each.reason) for each in inbox.ignored]
    inbox.note(len(found))
    return found


def test_an_inbox_takes_as_much_as_fits_into_a_payload_and_says_of_the_rest_that_it_does_not() -> None:
    inbox = empty()
    long = "漢" * (MAX_BYTES // 7)
    for number in range(4):
        inbox.say(Said(text=f"{number}{long}"))
    assert [message.text[0] for message in inbox.messages] == ["0", "1"]
    assert reasons(inbox) == [("say", "too many messages wait for the next step")] * 2
    inbox.take_messages()
    inbox.say(Said(text=long))
    assert [len(inbox.take_messages()) for _ in range(2)] == [1, 0]


def test_only_so_many_messages_wait() -> None:
    inbox = empty()
    for number in range(MOST_MESSAGES + 3):
        inbox.say(Said(text=str(number)))
    assert len(inbox.take_messages()) == MOST_MESSAGES
    assert len(reasons(inbox)) == 3


def test_a_decision_on_a_call_that_waits_finds_room_whatever_came_before() -> None:
    inbox = empty()
    for number in range(MOST_EARLY + 1):
        inbox.decide(decision(str(number)))
    inbox.ask(["c1"])
    inbox.decide(decision("c2"))
    inbox.decide(decision("c1"))
    assert [found.call_id for found in inbox.decided(["c1", "c2"])] == ["c1"]
    assert [signal for signal, _ in reasons(inbox)] == ["decide"] * 2


def test_a_decision_that_fits_into_no_payload_is_ignored_even_if_it_is_waited_for() -> None:
    inbox = empty()
    inbox.ask(["c1"])
    inbox.decide(Decision(call_id="c1", decision="edit", args={"text": "a" * MAX_BYTES}))
    assert not inbox.decided(["c1"])
    assert reasons(inbox) == [("decide", f"it is larger than {MAX_BYTES} bytes")]


def test_only_so_many_ignored_signals_are_noted_of_a_run() -> None:
    inbox = Inbox(noted=MOST_NOTES - 2)
    for _ in range(5):
        inbox.ignore("x" * 1000, "not understood")
    assert [len(signal) for signal, _ in reasons(inbox)] == [100, 100]


def test_ids_are_known_of_the_messages_received_last() -> None:
    inbox = empty()
    for number in range(MOST_IDS + 5):
        inbox.say(Said(text="", id=str(number)))
        inbox.take_messages()
    assert (len(inbox.message_ids), inbox.message_ids[0]) == (MOST_IDS, "5")
