"""The comparison that the kill tests rely on catches what it is there to catch."""

from tests.faults.answers import Answer, Gap, compare

GIVEN = [Answer(1, count, count * 10) for count in range(1, 6)]


def test_everything_stored_once_and_in_order_is_sound() -> None:
    assert compare(GIVEN, GIVEN, []).sound


def test_a_missing_answer_is_silent_unless_a_gap_of_its_device_holds_its_instant() -> None:
    stored = [answer for answer in GIVEN if answer.count != 3]
    assert compare(GIVEN, stored, []).silent == [GIVEN[2]]
    assert compare(GIVEN, stored, [Gap(2, 25, 35)]).silent == [GIVEN[2]]
    assert compare(GIVEN, stored, [Gap(1, 35, 45)]).silent == [GIVEN[2]]
    assert compare(GIVEN, stored, [Gap(1, 25, 35)]).listed == 1
    assert compare(GIVEN, stored, [Gap(None, 25, 35)]).sound


def test_doubled_invented_and_disordered_answers_are_named() -> None:
    assert compare(GIVEN, [*GIVEN, GIVEN[0]], []).doubled == [GIVEN[0]]
    assert compare(GIVEN, [*GIVEN, Answer(1, 9, 90)], []).invented == [Answer(1, 9, 90)]
    swapped = [GIVEN[1], GIVEN[0], *GIVEN[2:]]
    assert compare(GIVEN, swapped, []).disordered == [GIVEN[0]]
