"""What simulated equipment says it is."""

from simulators.fleet.plan import WINDOW_LENGTH
from simulators.machines.kinds import KINDS
from simulators.modbus.identity import BLOCK_LENGTH, BLOCK_REGISTER, Identity

PUMP = Identity("simulated", "sim-pump", "Circulating pump", "P-SIM", "SIM1-P-001")


def test_a_machine_names_itself_a_simulator_with_its_serial_number() -> None:
    objects = PUMP.objects()
    assert objects[0] == b"Muster Simulator"
    assert objects[1] == b"sim-pump"
    assert objects[6] == b"SIM1-P-001"
    assert objects[0x80] == b"simulated"


def test_a_replay_never_calls_itself_anything_else() -> None:
    objects = Identity("replayed", "replay", "replay of a recording", "valve", "REPLAY-valve").objects()
    assert objects[0] == b"Muster Replay"
    assert objects[0x80] == b"replayed"
    assert not any(b"imulat" in text for text in objects.values())


def test_the_block_has_the_layout_of_sunspecs_common_model() -> None:
    raw = PUMP.block().astype(">u2").tobytes()
    assert len(raw) == 2 * BLOCK_LENGTH
    assert raw[:8] == b"SunS\x00\x01\x00\x42"
    assert raw[8:40].rstrip(b"\0") == b"Muster Simulator"
    assert raw[40:72].rstrip(b"\0") == b"sim-pump"
    assert raw[72:88].rstrip(b"\0") == b"simulated"
    assert raw[104:136].rstrip(b"\0") == b"SIM1-P-001"


def test_the_block_lies_inside_a_window_and_behind_every_tag() -> None:
    assert BLOCK_REGISTER + BLOCK_LENGTH <= WINDOW_LENGTH
    for kind in KINDS.values():
        assert all(point.register + point.width <= BLOCK_REGISTER for point in kind.points)
