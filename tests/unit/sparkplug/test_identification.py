"""What a birth says of a device: each fact once, and never less pessimistic for how the book names it."""

from gateway.adapters.sparkplug.identification import facts_of, origin_of
from muster.sparkplug import DataType, Metric


def birth(**said: str | bool) -> dict[str, Metric]:
    names = {name.replace("__", "/"): value for name, value in said.items()}
    return {
        name: Metric(name, None, DataType.BOOLEAN if isinstance(value, bool) else DataType.STRING, value)
        for name, value in names.items()
    }


def test_what_the_book_names_is_not_listed_again_under_its_own_name() -> None:
    metrics = birth(Properties__Serial="SN-1", Properties__Vendor="Honest Works", Nameplate__Year="2024")
    named = {"serial_number": "Properties/Serial", "year": "Nameplate/Year"}
    assert facts_of(metrics, named) == {"serial_number": "SN-1", "year": "2024", "Vendor": "Honest Works"}


def test_no_name_in_the_book_and_no_number_of_facts_hides_that_equipment_is_simulated() -> None:
    many = {f"Properties__{number}": "x" for number in range(40)}
    metrics = birth(**many, Properties__Simulated=True)
    assert origin_of(facts_of(metrics, {})) == "simulated"
    assert origin_of(facts_of(metrics, {"harmless": "Properties/Simulated"})) == "simulated"
