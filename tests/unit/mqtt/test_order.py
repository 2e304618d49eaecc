"""New, replayed or repeated: what a device's own timestamps say; and topics that match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mqtt.order import Order
from gateway.adapters.mqtt.topics import Directory, check_filter, matches
from muster.clock import SECOND_US
from muster.errors import ConfigError

S = SECOND_US


def test_what_is_not_newer_than_the_newest_of_its_topic_is_replayed() -> None:
    order = Order(1.0)
    assert [order.replayed("a", time) for time in (5, 6, 6, 3, 7)] == [False, False, True, True, False]
    assert not order.replayed("b", 3)


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_was_set_is_measured_after_three_messages_in_step(jump_s: int) -> None:
    order = Order(1.0)
    for second in range(5):
        assert not order.measured(second * S, second * S)
        order.replayed("a", second * S)
    told = [order.measured((second + jump_s) * S, second * S) for second in range(5, 9)]
    assert told == [False, False, True, False]
    assert order.offset_us == jump_s * S
    assert not order.replayed("a", (9 + jump_s) * S)


def test_a_buffer_that_is_emptied_faster_than_time_is_no_clock() -> None:
    order = Order(1.0)
    assert not any(order.measured(second * S, 5000 * S + second * 1000) for second in range(100))


@pytest.mark.parametrize(("pause_us", "known"), [(5_000, 700), (S, 64)])
def test_a_message_sent_again_is_known_among_those_of_two_minutes(pause_us: int, known: int) -> None:
    order = Order(1.0)
    for number in range(2000):
        assert not order.repeated("a", b"%d" % number, number * pause_us)
    now = 2000 * pause_us
    assert all(order.repeated("a", b"%d" % number, now) for number in range(2000 - known, 2000))
    assert not order.repeated("a", b"0", now)
    assert not order.repeated("b", b"1999", now)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 3]), st.integers(-2, 2)), max_size=60))
def test_the_last_three_messages_measure_a_clock_when_they_are_in_step(steps: list[tuple[int, int]]) -> None:
    """Steps: seconds since the message before (half an interval is a step), and the clock's jump in 0.6 s."""
    order = Order(2.0)
    run: list[int] = []
    offset = distance = received = 0
    for pause_s, jump in steps:
        received += pause_s * S
        distance += jump * S * 6 // 10
        if run and (pause_s < 1 or abs(distance - run[-1]) > S):
            run = []
        run.append(distance)
        expected = len(run) >= 3 and abs(distance - offset) > S
        assert order.measured(received + distance, received) is expected
        if expected:
            offset = sorted(run[-3:])[1]
            spread = max(run[-3:]) - min(run[-3:])
            assert (order.offset_us, order.accuracy_us) == (offset, max(spread, 1000))
            run = []


@pytest.mark.parametrize(
    ("name", "topic", "match"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("$SYS/brokers/+/clients/p-1/+", "$SYS/brokers/emqx@1/clients/p-1/connected", True),
        ("a/+", "a/", True),
        ("车间 1/+", "车间 1/压力机", True),
    ],
)
def test_a_filter_matches_as_the_standard_says(name: str, topic: str, match: bool) -> None:
    assert matches(name, topic) is match


@pytest.mark.parametrize("name", ["", "a/#/b", "a/b#", "a+/b", "a\0b", "x" * 70_000])
def test_what_is_no_filter_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^topic: "):
        check_filter(name, "topic")


def test_a_directory_finds_who_asked_and_forgets_who_left() -> None:
    directory: Directory[str] = Directory()
    directory.add("a/b", "exact")
    directory.add("a/+", "wild")
    assert sorted(directory.find("a/b")) == ["exact", "wild"]
    directory.remove(lambda one: one == "wild")
    assert list(directory.find("a/b")) == ["exact"]
    assert list(directory.find("a/c")) == []
