"""The bus on a real NATS server: stream and bucket, request and reply, and who may do what."""

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from bus import connection, subjects
from muster.errors import ConfigError, RequestError, Unavailable
from tests.conftest import Bus


async def test_the_stream_refuses_what_does_not_fit_and_forgets_nothing(bus: Client) -> None:
    jetstream = bus.jetstream()
    await connection.ensure_stream(jetstream, 20_000)
    subject = subjects.batch(0, 1)
    published = 0
    for _ in range(100):
        try:
            await jetstream.publish(subject, bytes(1000))
        except APIError:
            break
        published += 1
    assert 0 < published < 100
    state = (await jetstream.stream_info(subjects.STREAM)).state
    assert state.messages == published
    assert state.first_seq == 1


async def test_a_larger_limit_takes_effect_on_the_stream_that_is_there(bus: Client) -> None:
    jetstream = bus.jetstream()
    await connection.ensure_stream(jetstream, 20_000)
    await jetstream.publish(subjects.batch(0, 1), b"kept")
    await connection.ensure_stream(jetstream, 40_000)
    info = await jetstream.stream_info(subjects.STREAM)
    assert info.config.max_bytes == 40_000
    assert info.state.messages == 1


async def test_a_question_is_answered_refused_or_unanswered_in_its_own_way(bus: Client) -> None:
    async def respond(question: dict[str, object]) -> dict[str, object]:
        if question.get("device") == 1:
            return {"value": "点名"}
        raise RequestError("no such device", status=404, code="not-found")

    await connection.answer(bus, "gateway.1.request.read", respond)
    assert await connection.ask(bus, "gateway.1.request.read", {"device": 1}, 5) == {"value": "点名"}
    with pytest.raises(RequestError) as refused:
        await connection.ask(bus, "gateway.1.request.read", {"device": 2}, 5)
    assert (refused.value.status, refused.value.code) == (404, "not-found")
    with pytest.raises(Unavailable, match="nobody answers"):
        await connection.ask(bus, "gateway.2.request.read", {"device": 1}, 5)


async def test_a_gateway_publishes_under_its_own_number_only(nats: Bus, bus: Client) -> None:
    await connection.ensure_stream(bus.jetstream(), 2**20)
    gateway = await connection.connect(nats.settings("gateway-1"), "gateway-1")
    await gateway.jetstream().publish(subjects.batch(0, 1), b"mine")
    with pytest.raises(Exception, match=r"no response|timeout"):
        await gateway.jetstream().publish(subjects.batch(0, 2), b"another's", timeout=0.5)
    await gateway.close()
    assert (await bus.jetstream().stream_info(subjects.STREAM)).state.messages == 1


async def test_a_gateway_follows_its_documents_with_its_own_permissions(nats: Bus, bus: Client) -> None:
    bucket = await connection.ensure_bucket(bus.jetstream())
    await bucket.put(subjects.device_key(1, 7), b"{}")
    gateway = await connection.connect(nats.settings("gateway-1"), "gateway-1")
    watcher = await (await connection.ensure_bucket(gateway.jetstream())).watch(subjects.device_keys(1))
    entry = await watcher.updates(timeout=5)
    assert entry is not None
    assert entry.key == subjects.device_key(1, 7)
    await watcher.stop()
    await gateway.close()


async def test_refused_credentials_are_a_mistake_in_the_configuration(nats: Bus) -> None:
    wrong = nats.settings("api").model_copy(update={"user": "ingest"})
    with pytest.raises(ConfigError, match="refused"):
        await connection.connect(wrong, "wrong")


async def test_a_server_that_is_away_is_unavailable(nats: Bus, free_port: int) -> None:
    away = nats.settings().model_copy(update={"url": f"nats://127.0.0.1:{free_port}"})
    with pytest.raises(Unavailable):
        await connection.connect(away, "away")
