"""Whatever is killed under load, one after another and two at once: every answer that the equipment gave is stored
exactly once and in order, or lies inside a listed gap, and the count comes back by itself."""

import random
import time

import pytest

from tests.faults.answers import compare
from tests.faults.stack import Stack, drained, stack, wait_until

PARTS = ("gateway-demo-1", "ingest-1", "nats", "postgres")
DEVICES = 40
SLACK_US = 250_000
"""Between the equipment's log and the gateway's receive time of one answer lies the wire, and a busy machine."""


def rounds(count: int, seed: int) -> list[tuple[str, ...]]:
    """Return what to kill in each round: each part alone, then pairs, at random."""
    chance = random.Random(seed)
    chosen: list[tuple[str, ...]] = [(part,) for part in PARTS]
    while len(chosen) < count:
        chosen.append(tuple(chance.sample(PARTS, 2)))
    return chosen[:count]


def kill_and_recover(whole: Stack, victims: tuple[str, ...], pause_s: float) -> None:
    time.sleep(pause_s)
    for victim in victims:
        whole.kill(victim)
    wait_until(lambda: whole.connected() == DEVICES and drained(whole), f"recovery from {victims}", 120)


def account(whole: Stack) -> None:
    """Let the equipment rest, wait until everything is stored, and compare."""
    whole.retire_all()
    wait_until(lambda: settled(whole), "the end of polling", 120)
    last_us = max(answer.at_us for answer in whole.given())
    wait_until(lambda: whole.watched_until_us() > last_us + SLACK_US, "everything stored", 120)
    verdict = compare(whole.given(), whole.stored(), whole.gaps(), SLACK_US)
    assert not verdict.doubled, verdict.doubled[:5]
    assert not verdict.disordered, verdict.disordered[:5]
    assert not verdict.invented, verdict.invented[:5]
    assert not verdict.silent, (len(verdict.silent), verdict.silent[:5])
    assert verdict.stored > 0
    print(f"answered {verdict.answered}, stored {verdict.stored}, in listed gaps {verdict.listed}")


def settled(whole: Stack) -> bool:
    before = len(whole.given())
    time.sleep(1.0)
    return len(whole.given()) == before


@pytest.mark.timeout(400)
def test_every_answer_is_stored_or_listed_through_kills_of_each_part_and_of_two(free_port: int) -> None:
    chance = random.Random(7)
    with stack(DEVICES, free_port) as whole:
        for victims in rounds(5, seed=7):
            kill_and_recover(whole, victims, chance.uniform(0.5, 2.0))
        account(whole)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_answer_is_stored_or_listed_through_twenty_rounds(free_port: int) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    with stack(DEVICES, free_port) as whole:
        for victims in rounds(20, seed):
            kill_and_recover(whole, victims, chance.uniform(0.1, 4.0))
        account(whole)
