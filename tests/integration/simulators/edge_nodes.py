"""What tests of simulated edge nodes share: who hears and commands them, and who is who."""

from paho.mqtt.client import Client, MQTTMessage

from muster.sparkplug import Metric, Payload, decode, encode
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station
from tests.integration.mqtt.brokers import until


class Listener:
    """Another client of the broker, and what it heard: topic, payload, whether it was retained."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[tuple[str, bytes, bool]] = []
        client.on_message = self._take
        client.subscribe("spBv1.0/#", qos=1)

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def raw(self, kind: str, ending: str) -> list[bytes]:
        return [raw for topic, raw, _ in self.heard if f"/{kind}/" in topic and topic.endswith(f"/{ending}")]

    def said(self, kind: str, ending: str) -> list[Payload]:
        return [decode(raw) for raw in self.raw(kind, ending)]


def speaking(fleet: Fleet) -> list[Station]:
    return [station for station in fleet.stations.values() if station.area.protocol == "sparkplug"]


def vehicle(fleet: Fleet) -> Station:
    return next(s for s in speaking(fleet) if s.kind.code == "sim-agv" and not s.idle)


def node_of(station: Station) -> str:
    return f"{station.enterprise.code}-{station.site}"


async def say(fleet: Fleet, listener: Listener, code: str) -> Payload:
    """Step once and return what one machine then says."""
    before = len(listener.raw("DDATA", code))
    fleet.step(1.0)
    await until(lambda: len(listener.raw("DDATA", code)) > before)
    return decode(listener.raw("DDATA", code)[-1])


def command(listener: Listener, topic: str, *metrics: Metric) -> None:
    listener.client.publish(f"spBv1.0/muster-sim/{topic}", encode(Payload(1, list(metrics))), 1)
