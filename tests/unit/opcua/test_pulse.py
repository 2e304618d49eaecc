"""A server that publishes is asked for its time seldom; one that is silent, or whose clock moved, at once."""

from gateway.adapters.opcua.pulse import Pulse


def test_a_server_that_publishes_is_asked_every_ninth_second() -> None:
    pulse, asked = Pulse(0.0), []
    for now in range(0, 31, 3):
        pulse.heard(now, 500)
        if pulse.must_ask(now):
            asked.append(now)
            pulse.measured(now)
    assert asked == [0, 9, 18, 27]


def test_a_silent_server_is_asked_each_time() -> None:
    pulse = Pulse(0.0)
    pulse.heard(0.0, 0)
    for now in (3.0, 6.0, 9.0):
        assert pulse.must_ask(now)
        pulse.measured(now)


def test_a_delayed_answer_is_no_clock_that_moved_but_all_delayed_ones_are_looked_at() -> None:
    pulse = Pulse(0.0)
    pulse.heard(0.0, -1000)
    assert pulse.must_ask(0.0)
    pulse.measured(0.0)
    for ahead in (-400_000, -1200, -300_000):
        pulse.heard(2.0, ahead)
    assert not pulse.must_ask(3.0)
    for ahead in (-400_000, -300_000):
        pulse.heard(5.0, ahead)
    assert pulse.must_ask(6.0)


def test_somebody_new_has_the_clock_measured() -> None:
    pulse = Pulse(0.0)
    pulse.heard(0.0, 0)
    pulse.must_ask(0.0)
    pulse.measured(0.0)
    pulse.ask_soon()
    pulse.heard(2.0, 0)
    assert pulse.must_ask(2.5)
