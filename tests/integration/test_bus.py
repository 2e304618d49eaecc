"""The bus on a real NATS server: stream and bucket, request and reply, and who may do what."""

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError

from bus import connection, subjects
from gateway.documents import Copy
from gateway.follower import Follower
from gateway.outbox.folder import Folder
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


async def test_a_gateway_follows_its_documents_with_its_own_permissions(
    nats: Bus, bus: Client, tmp_path: Path
) -> None:
    bucket = await connection.ensure_bucket(bus.jetstream())
    await bucket.put(subjects.device_key(1, 7), b"{}")
    applied: list[dict[int, bytes]] = []

    async def apply(documents: dict[int, bytes]) -> None:
        applied.append(documents)

    gateway = await connection.connect(nats.settings("gateway-1"), "gateway-1")
    follower = Follower(1, Copy(Folder(tmp_path), 1), apply)
    following = asyncio.create_task(follower.run(gateway))
    try:
        async with asyncio.timeout(10):
            while applied[-1:] != [{7: b"{}"}]:
                await asyncio.sleep(0.02)
            await bucket.put(subjects.device_key(1, 9), b"{}")
            while applied[-1:] != [{7: b"{}", 9: b"{}"}]:
                await asyncio.sleep(0.02)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await gateway.close()


async def test_a_gateway_reads_no_documents_but_its_own(nats: Bus, bus: Client) -> None:
    """Every way into the bucket that JetStream has, asked raw, with a filter for another's or for all documents."""
    bucket = await connection.ensure_bucket(bus.jetstream())
    await bucket.put(subjects.device_key(1, 7), b"mine")
    await bucket.put(subjects.device_key(2, 8), b"another's")
    gateway = await connection.connect(nats.settings("gateway-1"), "gateway-1")
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    inbox = gateway.new_inbox()
    await gateway.subscribe(inbox, cb=hear)
    stream, api, own = "KV_config", "$JS.API", f"$KV.config.{subjects.device_keys(1)}"
    for wanted in (f"$KV.config.{subjects.device_keys(2)}", "$KV.config.>", ""):
        config = {"name": "n", "deliver_subject": inbox, "ack_policy": "none", "deliver_policy": "all"}
        one = json.dumps({"stream_name": stream, "config": {**config, "filter_subject": wanted}}).encode()
        many = {**config, "filter_subjects": [own, wanted] if wanted else []}
        asked = {
            f"{api}.CONSUMER.CREATE.{stream}": one,
            f"{api}.CONSUMER.CREATE.{stream}.n": json.dumps({"stream_name": stream, "config": many}).encode(),
            f"{api}.CONSUMER.CREATE.{stream}.n.{wanted or '>'}": one,
            f"{api}.CONSUMER.CREATE.{stream}.n.{own}": one,
            f"{api}.CONSUMER.DURABLE.CREATE.{stream}.n": one,
            f"{api}.DIRECT.GET.{stream}.$KV.config.{subjects.device_key(2, 8)}": b"",
            f"{api}.DIRECT.GET.{stream}": b'{"seq": 2}',
            f"{api}.STREAM.MSG.GET.{stream}": b'{"seq": 2}',
            f"{api}.CONSUMER.NAMES.{stream}": b"",
        }
        answers = await asyncio.gather(
            *(gateway.request(subject, body, timeout=0.5) for subject, body in asked.items()),
            return_exceptions=True,
        )
        for subject, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, NatsTimeoutError):  # permitted as a subject, refused for what it holds
                assert isinstance(answer, Msg), (subject, answer)
                assert "error" in json.loads(answer.data), (subject, answer.data)
                assert subject.endswith(own), subject
    await gateway.flush()
    assert heard == []
    await gateway.close()


async def test_refused_credentials_are_a_mistake_in_the_configuration(nats: Bus) -> None:
    wrong = nats.settings("api").model_copy(update={"user": "ingest"})
    with pytest.raises(ConfigError, match="refused"):
        await connection.connect(wrong, "wrong")


async def test_a_server_that_is_away_is_unavailable(nats: Bus, free_port: int) -> None:
    away = nats.settings().model_copy(update={"url": f"nats://127.0.0.1:{free_port}"})
    with pytest.raises(Unavailable):
        await connection.connect(away, "away")
