"""How long a group waits for more messages to share its transaction."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.reader import GROUP_WAIT_MOST_S, GROUP_WAIT_S, group_wait_s

took_s = st.floats(0, 100)


@given(took_s, took_s, took_s)
def test_longer_transactions_let_a_group_wait_longer_within_its_limits(a: float, b: float, c: float) -> None:
    assert GROUP_WAIT_S <= group_wait_s(a, b) <= GROUP_WAIT_MOST_S
    assert group_wait_s(a, min(b, c)) <= group_wait_s(a, max(b, c))


def test_a_group_waits_least_while_transactions_are_short_and_most_once_they_take_the_time() -> None:
    assert group_wait_s(0.004, 0.005) == GROUP_WAIT_S
    assert GROUP_WAIT_S < group_wait_s(0.03, 0.03) < GROUP_WAIT_MOST_S
    assert group_wait_s(0.1, 0.1) == GROUP_WAIT_MOST_S


def test_one_transaction_that_was_held_up_delays_nothing() -> None:
    assert group_wait_s(0.004, 5.0) == group_wait_s(5.0, 0.004) == GROUP_WAIT_S
