"""Recordings: what is read of them, and what stands in the registers."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from muster.errors import ConfigError
from simulators.modbus.protocol import answer
from simulators.replays.modbus import IDENTITY_REGISTER, FloatType, ModbusPlayer
from simulators.replays.player import book
from simulators.replays.recording import Recording, load


def write(folder: Path, text: str) -> Path:
    path = folder / "pump.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    lines = ["time;current;state;flow", "2020-03-09 10:14:33;1.5;on;2", "2020-03-09 10:14:35;-0.25;off;1e3"]
    found = load(write(tmp_path, "\n".join(lines).replace(";", delimiter)))
    assert found.columns == ["current", "flow"]
    assert found.rows.tolist() == [[1.5, 2.0], [-0.25, 1000.0]]
    assert found.lengths_s.tolist() == [2.0, 1.0]


def test_rows_without_instants_last_a_second_each(tmp_path: Path) -> None:
    assert load(write(tmp_path, "a,b\n1,2\n3,4\n")).lengths_s.tolist() == [1.0, 1.0]


def test_instants_of_several_time_zones_or_none_do_not_stop_a_replay(tmp_path: Path) -> None:
    text = "at,a\n2020-03-09T10:00:00+08:00,1\n2020-03-09T10:00:01,2\n"
    assert load(write(tmp_path, text)).lengths_s.tolist() == [1.0, 1.0]


def test_a_cell_without_a_number_is_none(tmp_path: Path) -> None:
    found = load(write(tmp_path, "a;b\n;1\n2; \n"))
    assert found.columns == ["a", "b"]
    np.testing.assert_array_equal(found.rows, [[np.nan, 1.0], [2.0, np.nan]])


def test_columns_get_names_that_the_device_book_takes(tmp_path: Path) -> None:
    found = load(write(tmp_path, f" Flow  RMS ,,Flow RMS,row,{'x' * 80}\n1,2,3,4,5\n"))
    assert found.columns == ["Flow RMS", "column 2", "Flow RMS (2)", "row (2)", "x" * 48]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a;b\n", "0 numeric columns"),
        ("a;b\nx;y\n", "0 numeric columns"),
        ("a;b\n1;2\n\n3\n", "line 4 has 1 cells, the header 2"),
        ("a;b\n1;2\n3;high\n", "line 3: could not convert"),
        (",".join("a" * 300) + "\n" + ",".join("1" * 300) + "\n", "300 numeric columns"),
    ],
)
def test_what_is_wrong_with_a_recording_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(write(tmp_path, text))


def test_a_recording_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.csv")
    (tmp_path / "bytes.csv").write_bytes(b"a;b\n\xff\xfe;1\n")
    with pytest.raises(ConfigError, match="utf-8"):
        load(tmp_path / "bytes.csv")


def registers(player: ModbusPlayer, start: int, count: int) -> bytes:
    unit = player.endpoint.unit(1)
    assert unit is not None
    return answer(unit, bytes((3,)) + start.to_bytes(2, "big") + count.to_bytes(2, "big"))[2:]


@pytest.mark.parametrize(("float_type", "dtype"), [("float64", ">f8"), ("float32", ">f4")])
async def test_values_stand_in_the_registers_bit_for_bit(float_type: FloatType, dtype: str) -> None:
    values = [[0.0265878, -0.0, float("nan")], [1e-300, 1.7e308, 0.1]]
    recording = Recording("pump", ["a", "b", "c"], np.array(values), np.ones(2))
    player = ModbusPlayer(recording, "127.0.0.1", 1502, float_type)
    width = np.dtype(dtype).itemsize // 2
    for row, wanted in enumerate(values):
        await player.show(row)
        found = registers(player, 0, 2 + 3 * width)
        with np.errstate(over="ignore"):
            assert found == (row + 1).to_bytes(4, "big") + np.array(wanted).astype(dtype).tobytes()


def test_a_replay_says_so_in_its_identification_and_its_registers_and_its_book() -> None:
    recording = Recording("泵", ["a"], np.ones((1, 1)), np.ones(1))
    player = ModbusPlayer(recording, "127.0.0.1", 1502)
    assert b"Muster Replay" in registers(player, IDENTITY_REGISTER, 70)
    unit = player.endpoint.unit(1)
    assert unit is not None
    assert unit.identity[0x80] == b"replayed"
    (device,) = book(player, "demo-1", 1.0)["devices"]
    assert device["origin"] == "replayed"


def test_every_recording_of_a_real_testbed_can_be_read() -> None:
    folder = Path(__file__).parents[4] / "shared" / "data" / "skab"
    if not folder.is_dir():
        pytest.skip("the recordings of ../shared/data/skab are not here")
    for path in sorted(folder.rglob("*.csv")):
        found = load(path)
        assert "Volume Flow RateRMS" in found.columns
        assert len(found.rows) > 500
        first = path.read_text("utf-8").splitlines()[1].split(";")
        assert datetime.fromisoformat(first[0]).year == 2020
        assert found.rows[0].tolist() == [float(cell) for cell in first[1:]]
