"""Subscriptions with handles, of shared channels, and on connections that are full; with times as values."""

from __future__ import annotations

from typing import Any

import pytest

from crosstape_connector.connection.pending_request import PendingRequest
from crosstape_connector.connection.subscriptions import Subscriptions, TopicState
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from tests.connector.connection.test_subscriptions import never, send
from tests.connector.fake_venue import endpoint

A, B, C = (Topic("main", "trades", symbol) for symbol in ("AAAUSD", "BBBUSD", "CCCUSD"))
SHARED_A, SHARED_B, SHARED_C = (Topic("main", "quotes", symbol) for symbol in ("AAAUSD", "BBBUSD", "CCCUSD"))


def having(*topics: Topic, **options: Any) -> Subscriptions:
    """The subscriptions of a connection whose channel `quotes` is shared; one symbol a request."""
    defaults: dict[str, Any] = {"handles": True, "symbols_per_request": 1, "shared_channels": frozenset({"quotes"})}
    return Subscriptions(endpoint(**defaults | options), topics, depth=10, ack_timeout_s=10.0)


def named(*topics: Topic, handle: str, unsubscribed: bool = False) -> Ack:
    """An acknowledgement without the request's id."""
    return Ack(None, topics[0].channel, tuple(topic.symbol for topic in topics), unsubscribed, handle)


def sent(requests: list[PendingRequest]) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """Return what each request says."""
    return [("leave" if one.unsubscribe else "join", one.request.channel, one.request.symbols, one.request.handles) for one in requests]


def test_an_unsubscribe_names_the_handle_of_the_acknowledgement() -> None:
    """Whichever way that came: by id, by name, or both. The next subscription has a new one."""
    subscriptions = having(A, B, C)
    first, second, third = send(subscriptions)
    assert subscriptions.acknowledge(Ack(first.request.request_id, handle="1")) == [A]
    assert subscriptions.acknowledge(named(B, handle="2")) == [B]
    assert subscriptions.acknowledge(Ack(third.request.request_id, "trades", ("CCCUSD",), handle="3")) == [C]
    assert second.request.handles == ()

    subscriptions.unsubscribe([B])
    assert subscriptions.resubscribe(C)
    assert sent(send(subscriptions)) == [
        ("leave", "trades", ("BBBUSD",), ("2",)),
        ("leave", "trades", ("CCCUSD",), ("3",)),
        ("join", "trades", ("CCCUSD",), ()),
    ]
    subscriptions.acknowledge(Ack(unsubscribed=True, handle="2"))
    subscriptions.acknowledge(Ack(unsubscribed=True, handle="3"))
    assert subscriptions.states[C] is TopicState.PENDING
    assert subscriptions.acknowledge(named(C, handle="4")) == [C]
    subscriptions.unsubscribe([C])
    assert sent(send(subscriptions)) == [("leave", "trades", ("CCCUSD",), ("4",))]


def test_an_acknowledgement_may_have_the_handle_only() -> None:
    """It confirms what has this handle, and answers the unsubscribe that named it. An unknown handle is nothing."""
    subscriptions = having(A, B)
    send(subscriptions)
    assert subscriptions.acknowledge(Ack(handle="1")) == []
    subscriptions.acknowledge(named(A, handle="1"))
    assert subscriptions.acknowledge(Ack(handle="1")) == []
    subscriptions.unsubscribe([A])
    (leave,) = send(subscriptions)
    assert subscriptions.retry_overdue(5.0, never) == ([], [], [])
    subscriptions.acknowledge(Ack(unsubscribed=True, handle="99"))
    assert leave.handles == {"1"}
    subscriptions.acknowledge(Ack(unsubscribed=True, handle="1"))
    assert leave.handles == set()
    assert subscriptions.reject(Rejected("no", leave.request.request_id)) == []


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_topic_that_was_removed_before_its_acknowledgement_leaves_after_it(by: str) -> None:
    """Its handle was not known before. Nothing is confirmed."""
    subscriptions = having(A, B)
    first, _ = send(subscriptions)
    subscriptions.unsubscribe([A])
    assert send(subscriptions) == []
    ack = Ack(first.request.request_id, handle="1") if by == "id" else named(A, handle="1")
    assert subscriptions.acknowledge(ack) == []
    assert sent(send(subscriptions)) == [("leave", "trades", ("AAAUSD",), ("1",))]
    assert subscriptions.acknowledge(ack) == []
    assert send(subscriptions) == []


def test_a_topic_that_is_wanted_again_before_its_acknowledgement_stays() -> None:
    """It is requested again, as the first request may have failed."""
    subscriptions = having(A)
    send(subscriptions)
    subscriptions.unsubscribe([A])
    assert subscriptions.subscribe([A]) == []
    assert sent(send(subscriptions)) == [("join", "trades", ("AAAUSD",), ())]
    assert subscriptions.acknowledge(named(A, handle="1")) == [A]
    assert send(subscriptions) == []


def test_a_topic_that_only_data_have_confirmed_cannot_leave() -> None:
    """It has no handle; it is subscribed again all the same."""
    subscriptions = having(A)
    send(subscriptions)
    assert subscriptions.retry_overdue(10.1, lambda _topic, _since: True) == ([A], [], [])
    assert subscriptions.resubscribe(A)
    assert sent(send(subscriptions, 11.0)) == [("join", "trades", ("AAAUSD",), ())]


def test_a_shared_channel_is_requested_once() -> None:
    """With one of its symbols, beside the others. Its acknowledgement confirms all of them."""
    subscriptions = having(A, SHARED_A, B, SHARED_B)
    requests = send(subscriptions)
    assert sent(requests) == [
        ("join", "trades", ("AAAUSD",), ()),
        ("join", "trades", ("BBBUSD",), ()),
        ("join", "quotes", ("AAAUSD",), ()),
    ]
    assert subscriptions.acknowledge(Ack(requests[2].request.request_id, "quotes", handle="7")) == [SHARED_A, SHARED_B]
    assert subscriptions.acknowledge(Ack(None, "quotes", handle="7")) == []


def test_another_symbol_of_a_shared_channel_needs_no_request() -> None:
    """Before the acknowledgement it waits for the same; after it, it is confirmed. The last one to go unsubscribes."""
    subscriptions = having(SHARED_A)
    assert subscriptions.subscribe([SHARED_B]) == []
    (ask,) = send(subscriptions)
    assert subscriptions.acknowledge(Ack(ask.request.request_id, handle="7")) == [SHARED_A, SHARED_B]
    assert subscriptions.subscribe([SHARED_C, C]) == [SHARED_C]
    assert sent(send(subscriptions)) == [("join", "trades", ("CCCUSD",), ())]
    subscriptions.unsubscribe([SHARED_A, SHARED_B])
    assert send(subscriptions) == []
    subscriptions.unsubscribe([SHARED_C])
    assert sent(send(subscriptions)) == [("leave", "quotes", ("CCCUSD",), ("7",))]


def test_all_symbols_of_a_shared_channel_leave_with_one_request() -> None:
    """Also where an acknowledgement of it comes late."""
    subscriptions = having(SHARED_A, SHARED_B)
    (ask,) = send(subscriptions)
    subscriptions.unsubscribe([SHARED_A, SHARED_B])
    assert send(subscriptions) == []
    subscriptions.acknowledge(Ack(ask.request.request_id, "quotes", handle="7"))
    assert sent(send(subscriptions)) == [("leave", "quotes", ("AAAUSD",), ("7",))]


def test_a_shared_channel_is_subscribed_again_as_one() -> None:
    """Its symbols are pending until the venue confirms it."""
    subscriptions = having(SHARED_A, SHARED_B, handles=False)
    (ask,) = send(subscriptions)
    subscriptions.acknowledge(Ack(ask.request.request_id))
    assert subscriptions.resubscribe(SHARED_B)
    assert not subscriptions.resubscribe(SHARED_A)
    leave, join = send(subscriptions)
    assert sent([leave, join]) == [("leave", "quotes", ("AAAUSD",), ()), ("join", "quotes", ("AAAUSD",), ())]
    assert subscriptions.acknowledge(Ack(leave.request.request_id)) == []
    assert subscriptions.acknowledge(Ack(join.request.request_id)) == [SHARED_A, SHARED_B]


def test_a_shared_channel_is_refused_as_one() -> None:
    """It is not requested in halves. A symbol that comes later is tried again, and brings the others back."""
    subscriptions = having(SHARED_A, SHARED_B)
    (ask,) = send(subscriptions)
    assert subscriptions.reject(Rejected("no", ask.request.request_id)) == [SHARED_A, SHARED_B]
    assert subscriptions.subscribe([SHARED_C]) == []
    (ask,) = send(subscriptions)
    assert subscriptions.acknowledge(Ack(ask.request.request_id, handle="7")) == [SHARED_A, SHARED_B, SHARED_C]
    assert subscriptions.reasons == {}


def test_data_of_one_symbol_confirm_a_shared_channel() -> None:
    """All symbols have the same subscription."""
    subscriptions = having(SHARED_A, SHARED_B)
    send(subscriptions)
    confirmed, again, lost = subscriptions.retry_overdue(10.1, lambda topic, _since: topic is SHARED_B)
    assert (confirmed, again, lost) == ([SHARED_A, SHARED_B], [], [])


def full(pending: PendingRequest) -> Rejected:
    """A refusal of this request for want of room."""
    return Rejected("subscribe: limit", pending.request.request_id, full=True)


def test_what_a_connection_has_no_room_for_is_forgotten_there() -> None:
    """The room is what is confirmed, and what was asked for before and may still be."""
    subscriptions = having(A, B, C, SHARED_A, SHARED_B)
    first, second, third, fourth = send(subscriptions)
    subscriptions.acknowledge(Ack(first.request.request_id, handle="1"))
    assert subscriptions.make_room(full(fourth)) == ([SHARED_A, SHARED_B], 3)
    assert subscriptions.make_room(full(third)) == ([C], 2)
    assert list(subscriptions.states) == [A, B]
    assert subscriptions.make_room(full(third)) == ([], 2)
    assert subscriptions.acknowledge(Ack(second.request.request_id, handle="2")) == [B]
    assert subscriptions.settled
    assert send(subscriptions) == []


def test_a_connection_without_any_room_has_another_reason() -> None:
    """The venue refuses the first subscription: the topic is rejected, with its reason."""
    subscriptions = having(A)
    (ask,) = send(subscriptions)
    assert subscriptions.make_room(full(ask)) == ([A], 0)
    assert subscriptions.states == {A: TopicState.REJECTED}
    assert subscriptions.reasons == {A: "subscribe: limit"}


def test_a_request_for_several_topics_that_has_no_room_is_sent_in_halves() -> None:
    """Part of it may still fit."""
    subscriptions = having(A, B, C, handles=False, symbols_per_request=100)
    (ask,) = send(subscriptions)
    assert subscriptions.make_room(full(ask))[0] == []
    first, second = send(subscriptions)
    subscriptions.acknowledge(Ack(first.request.request_id))
    assert subscriptions.make_room(full(second)) == ([C], 2)


def test_a_topic_is_subscribed_again_after_the_answer_to_its_unsubscribe() -> None:
    """Where the venue takes an earlier request for one that changes nothing. Others do not wait, and it does not wait for ever."""
    subscriptions = having(A, B, handles=False, awaits_unsubscribe=True)
    for one in send(subscriptions):
        subscriptions.acknowledge(Ack(one.request.request_id))
    subscriptions.resubscribe(A)
    (leave,) = send(subscriptions)
    assert sent([leave]) == [("leave", "trades", ("AAAUSD",), ())]
    subscriptions.acknowledge(Ack(leave.request.request_id))
    assert sent(send(subscriptions)) == [("join", "trades", ("AAAUSD",), ())]

    subscriptions.resubscribe(B)
    assert len(send(subscriptions)) == 1
    subscriptions.retry_overdue(100.0, never)
    assert sent(send(subscriptions))[0] == ("join", "trades", ("BBBUSD",), ())
