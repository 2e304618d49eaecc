"""Every poll that brought nothing lies in a listed gap, and every gap has its reason."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.gaps import LONGEST_PIECE_US, Gaps

S = 1_000_000


class Listed:
    def __init__(self) -> None:
        self.pieces: list[tuple[int, int, str, int]] = []
        self.gaps = Gaps(
            lambda since, until, reason, polls: self.pieces.append((since, until, reason, polls))
        )


def test_the_first_miss_is_listed_at_once_and_the_answer_closes_the_gap() -> None:
    seen = Listed()
    seen.gaps.miss(10 * S, 11 * S, "timeout")
    assert seen.pieces == [(10 * S, 11 * S, "timeout", 1)]
    seen.gaps.end(12 * S)
    assert seen.pieces[1:] == [(11 * S, 12 * S, "timeout", 0)]
    seen.gaps.end(13 * S)
    assert len(seen.pieces) == 2


def test_a_lasting_gap_is_listed_in_pieces_that_join() -> None:
    seen = Listed()
    for second in range(100):
        seen.gaps.miss(second * S, second * S, "refused")
    seen.gaps.end(100 * S)
    assert sum(polls for *_, polls in seen.pieces) == 100
    assert seen.pieces[0][0] == 0
    assert seen.pieces[-1][1] == 100 * S
    for (_, until, _, _), (since, _, _, _) in zip(seen.pieces, seen.pieces[1:], strict=False):
        assert since == until
    assert len(seen.pieces) < 20


def test_another_reason_begins_another_piece() -> None:
    seen = Listed()
    seen.gaps.miss(0, 1 * S, "timeout")
    seen.gaps.miss(2 * S, 2 * S, "refused")
    seen.gaps.end(3 * S)
    assert [(reason, polls) for _, _, reason, polls in seen.pieces] == [
        ("timeout", 1),
        ("timeout", 0),
        ("refused", 1),
    ]


def test_polls_held_back_by_a_slow_answer_are_its_gap() -> None:
    seen = Listed()
    seen.gaps.hold(1 * S, "slow")
    seen.gaps.hold(2 * S, "slow")
    assert seen.pieces == []
    seen.gaps.end(2 * S + 1)
    assert seen.pieces[0] == (1 * S, 2 * S + 1, "slow", 2)


def test_polls_held_back_by_one_that_fails_share_its_reason() -> None:
    seen = Listed()
    seen.gaps.hold(1 * S, "slow")
    seen.gaps.miss(0, 2 * S, "timeout")
    assert seen.pieces == [(0, 2 * S, "timeout", 2)]


def test_a_retry_that_fails_is_no_missed_poll() -> None:
    seen = Listed()
    seen.gaps.miss(0, 1 * S, "timeout")
    seen.gaps.miss(5 * S, 6 * S, "timeout", polls=0)
    seen.gaps.end(10 * S)
    assert sum(polls for *_, polls in seen.pieces) == 1
    assert seen.pieces[-1][1] == 10 * S


steps = st.lists(
    st.tuples(st.sampled_from(["miss", "hold", "end"]), st.integers(0, 3 * S), st.sampled_from(["a", "b"])),
    max_size=60,
)


@given(steps)
def test_no_poll_is_lost_or_counted_twice_and_pieces_never_overlap(
    happened: list[tuple[str, int, str]],
) -> None:
    seen = Listed()
    now = missed = 0
    outages: list[int] = []
    for what, passed, reason in happened:
        now += passed
        if what == "miss":
            seen.gaps.miss(now, now, reason)
        elif what == "hold":
            seen.gaps.hold(now, reason)
        else:
            seen.gaps.end(now)
            continue
        missed += 1
        outages.append(now)
    seen.gaps.end(now)
    assert sum(polls for *_, polls in seen.pieces) == missed
    for at in outages:
        assert any(since <= at <= until for since, until, _, _ in seen.pieces)
    for (_, until, _, _), (since, end, _, _) in zip(seen.pieces, seen.pieces[1:], strict=False):
        assert until <= since <= end


@given(st.integers(1, 500))
def test_at_most_one_piece_is_unlisted_at_any_instant(polls: int) -> None:
    seen = Listed()
    for second in range(polls):
        seen.gaps.miss(second * S, second * S, "timeout")
        assert second * S - seen.pieces[-1][1] <= LONGEST_PIECE_US
