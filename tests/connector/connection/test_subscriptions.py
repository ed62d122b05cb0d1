"""The state of each requested topic, with times as values."""

from __future__ import annotations

from crosstape_connector.connection.pending_request import PendingRequest
from crosstape_connector.connection.subscriptions import Subscriptions, TopicState
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from tests.connector.fake_venue import endpoint

A, B, C = (Topic("main", "trades", symbol) for symbol in ("AAAUSD", "BBBUSD", "CCCUSD"))
QUOTE = Topic("main", "quotes", "AAAUSD")


def table(*topics: Topic) -> Subscriptions:
    """The subscriptions of a connection that waits ten seconds for an acknowledgement."""
    return Subscriptions(endpoint(), topics, depth=10, ack_timeout_s=10.0)


def send(subscriptions: Subscriptions, at: float = 0.0) -> list[PendingRequest]:
    """Send all requests that are due."""
    asks = []
    while (ask := subscriptions.next_request()) is not None:
        subscriptions.mark_sent(ask, at, int(at * 1e9))
        asks.append(ask)
    return asks


def never(_topic: Topic, _since: int) -> bool:
    """Return that no data came."""
    return False


def test_an_acknowledged_id_confirms_all_topics_of_its_request() -> None:
    """Some venues send only the id."""
    subscriptions = table(A, B, QUOTE)
    first, _ = send(subscriptions)
    assert subscriptions.acknowledge(Ack(request_id=first.request.request_id)) == [A, B]
    assert subscriptions.states == {A: TopicState.CONFIRMED, B: TopicState.CONFIRMED, QUOTE: TopicState.PENDING}


def test_one_acknowledgement_per_symbol_confirms_that_symbol() -> None:
    """Some venues answer a request for several symbols with one message per symbol, all with its id."""
    subscriptions = table(A, B)
    (ask,) = send(subscriptions)
    assert subscriptions.acknowledge(Ack(ask.request.request_id, "trades", ("BBBUSD",))) == [B]
    assert subscriptions.acknowledge(Ack(ask.request.request_id, "trades", ("BBBUSD",))) == []
    assert not subscriptions.settled
    assert subscriptions.acknowledge(Ack(ask.request.request_id, "trades", ("AAAUSD",))) == [A]
    assert subscriptions.settled


def test_a_list_without_an_id_confirms_what_it_names() -> None:
    """Some venues list all current subscriptions, also those that are not ours."""
    subscriptions = table(A, B)
    send(subscriptions)
    assert subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD", "ZZZUSD"))) == [A]


def test_a_list_does_not_answer_what_was_not_asked_yet() -> None:
    """Two topics are subscribed again, one after the other: the answer to the first still names the second, which is not sent yet."""
    subscriptions = table(A, B)
    send(subscriptions)
    subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD", "BBBUSD")))
    for topic in (A, B):
        assert subscriptions.resubscribe(topic)
    for _ in range(2):  # A's unsubscribe and subscribe
        ask = subscriptions.next_request()
        assert ask is not None
        subscriptions.mark_sent(ask, 1.0, 10**9)

    assert subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD", "BBBUSD"))) == [A]

    leave, come = send(subscriptions, 2.0)
    assert (leave.unsubscribe, come.unsubscribe, [*come.topics]) == (True, False, [B])
    assert subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD", "BBBUSD"))) == [B]


def test_a_refusal_without_any_name_means_the_oldest_that_waits() -> None:
    """The oldest is the one that was sent first."""
    subscriptions = table(A, QUOTE)
    send(subscriptions)
    assert subscriptions.reject(Rejected("no")) == [A]
    assert subscriptions.reasons == {A: "no"}
    assert subscriptions.states[QUOTE] is TopicState.PENDING


def test_a_refused_request_for_several_topics_is_sent_again_in_halves() -> None:
    """Until the topic at fault is alone; only a topic that was requested alone is rejected."""
    subscriptions = table(A, B, C)
    (ask,) = send(subscriptions)
    assert subscriptions.reject(Rejected("no", ask.request.request_id)) == []
    assert [one.request.symbols for one in send(subscriptions)] == [("AAAUSD", "BBBUSD"), ("CCCUSD",)]


def test_a_refusal_with_an_unknown_id_is_ignored() -> None:
    """It must not reject the oldest request."""
    subscriptions = table(A)
    send(subscriptions)
    assert subscriptions.reject(Rejected("no", request_id=99)) == []
    assert subscriptions.states[A] is TopicState.PENDING


def test_a_refusal_of_a_confirmed_topic_is_ignored() -> None:
    """For example `already subscribed`, after a request was sent twice."""
    subscriptions = table(A)
    send(subscriptions)
    subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD",)))
    assert subscriptions.reject(Rejected("already", channel="trades", symbols=("AAAUSD",))) == []
    assert subscriptions.states[A] is TopicState.CONFIRMED


def test_an_acknowledgement_after_a_refusal_counts() -> None:
    """A refusal without a name may have rejected the wrong topic."""
    subscriptions = table(A)
    send(subscriptions)
    subscriptions.reject(Rejected("no"))
    assert subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD",))) == [A]
    assert subscriptions.reasons == {}


def test_what_is_not_answered_is_asked_again_and_the_third_time_given_up() -> None:
    """Only topics without an answer are requested again; an id is never used twice."""
    subscriptions = table(A, B)
    (first,) = send(subscriptions)
    subscriptions.acknowledge(Ack(channel="trades", symbols=("BBBUSD",)))
    assert subscriptions.retry_overdue(10.0, never) == ([], [], [])
    assert subscriptions.retry_overdue(10.1, never) == ([], [A], [])
    (second,) = send(subscriptions, 11.0)
    assert second.request.symbols == ("AAAUSD",)
    assert second.request.request_id != first.request.request_id
    assert subscriptions.retry_overdue(21.5, never) == ([], [A], [])
    send(subscriptions, 22.0)
    assert subscriptions.retry_overdue(32.5, never) == ([], [], [A])


def test_data_since_the_request_are_an_acknowledgement() -> None:
    """Earlier data are not: they may come from the subscription before."""
    subscriptions = table(A, B)
    send(subscriptions, 5.0)
    spoke = {A: 6_000_000_000, B: 4_000_000_000}
    confirmed, again, _ = subscriptions.retry_overdue(15.1, lambda topic, since_ts: spoke[topic] > since_ts)
    assert (confirmed, again) == ([A], [B])


def test_resubscribing_unsubscribes_and_subscribes_one_topic() -> None:
    """Only a confirmed topic: others are pending already, or rejected."""
    subscriptions = table(A, B)
    assert not subscriptions.resubscribe(A)
    send(subscriptions)
    subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD", "BBBUSD")))
    assert subscriptions.resubscribe(A)
    assert not subscriptions.resubscribe(A)
    assert [(ask.unsubscribe, ask.request.symbols) for ask in send(subscriptions)] == [(True, ("AAAUSD",)), (False, ("AAAUSD",))]
    assert subscriptions.states == {A: TopicState.PENDING, B: TopicState.CONFIRMED}


def test_the_answer_to_an_unsubscribe_confirms_nothing() -> None:
    """It names the same symbol."""
    subscriptions = table(A)
    send(subscriptions)
    subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD",)))
    subscriptions.resubscribe(A)
    first, second = send(subscriptions)
    assert subscriptions.acknowledge(Ack(first.request.request_id)) == []
    assert subscriptions.acknowledge(Ack(channel="trades", symbols=("AAAUSD",), unsubscribed=True)) == []
    assert subscriptions.acknowledge(Ack(second.request.request_id)) == [A]


def test_topics_come_and_go() -> None:
    """New topics are subscribed. Removed topics are unsubscribed if the venue has them, and later answers about them are ignored."""
    subscriptions = table(A, B)
    (first,) = send(subscriptions)
    subscriptions.acknowledge(Ack(request_id=first.request.request_id, channel="trades", symbols=("AAAUSD",)))
    subscriptions.subscribe([A, C])
    subscriptions.unsubscribe([A, B, C, QUOTE])
    assert subscriptions.states == {}
    assert subscriptions.settled
    (leave,) = send(subscriptions)  # the third was never sent
    assert (leave.unsubscribe, leave.request.symbols) == (True, ("AAAUSD", "BBBUSD"))
    assert subscriptions.acknowledge(Ack(first.request.request_id, "trades", ("BBBUSD",))) == []
    assert subscriptions.reject(Rejected("unknown", leave.request.request_id)) == []
    subscriptions.subscribe([B])
    (again,) = send(subscriptions)
    assert subscriptions.acknowledge(Ack(request_id=again.request.request_id)) == [B]


def test_one_that_was_refused_is_not_unsubscribed() -> None:
    """The venue has not subscribed it."""
    subscriptions = table(A)
    (ask,) = send(subscriptions)
    subscriptions.reject(Rejected("no such symbol", ask.request.request_id))
    subscriptions.unsubscribe([A])
    assert send(subscriptions) == []
    assert subscriptions.reasons == {}
