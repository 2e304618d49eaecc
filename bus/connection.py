"""Connections to NATS, the stream of batches, the configuration bucket, and request/reply.

A connection made here reconnects for ever; while it is away, publishing and requests fail with `Unavailable`
instead of filling a buffer. Errors of the client library are translated here and nowhere else.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, KeyValueConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from bus import subjects
from bus.settings import BusSettings
from muster.errors import ConfigError, MusterError, RequestError, Unavailable

_log = structlog.get_logger()
DEDUPLICATION_S = 120
_CONNECT_S = 4
_REMEMBERED = 8


def inbox_of(user: str) -> str:
    """Return the prefix of a user's reply subjects: nobody else may listen there."""
    return f"_INBOX.{user}"


async def connect(settings: BusSettings, name: str) -> Client:
    """Return a connection that reconnects for ever, once the server has answered.

    Raises:
        ConfigError: a secret's file cannot be read, or the server refuses these credentials.
        Unavailable: the server does not answer now.
    """
    options: dict[str, Any] = {}
    try:
        if settings.password_file is not None:
            options["user"] = settings.user
            options["inbox_prefix"] = inbox_of(settings.user or name)
            options["password"] = settings.password_file.read_text("utf-8").strip()
        if settings.ca_file is not None:
            options["tls"] = ssl.create_default_context(cafile=str(settings.ca_file))
    except OSError as error:
        raise ConfigError(f"bus: {error}") from error
    client = Client()
    refusals: list[Exception] = []

    async def hear(error: Exception) -> None:
        if len(refusals) < _REMEMBERED:
            refusals.append(error)
        await _say(error)

    try:
        async with asyncio.timeout(_CONNECT_S):
            await client.connect(
                settings.url,
                name=name,
                connect_timeout=_CONNECT_S - 1,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=0,
                error_cb=hear,
                **options,
            )
    except (NatsError, OSError, TimeoutError) as error:
        await client.close()
        if any("authorization" in str(refusal).lower() for refusal in [*refusals, error]):
            raise ConfigError(f"bus {settings.url}: the credentials are refused") from error
        cause = refusals[-1] if refusals else error
        raise Unavailable(f"bus {settings.url}: {str(cause) or 'no answer'}") from error
    return client


async def connect_patiently(settings: BusSettings, name: str, stop: asyncio.Event) -> Client | None:
    """Connect, trying again each second while the server is away; None when `stop` is set first."""
    while not stop.is_set():
        try:
            return await connect(settings, name)
        except Unavailable as error:
            _log.warning("bus-away", error=str(error))
            try:
                await asyncio.wait_for(stop.wait(), 1.0)
            except TimeoutError:
                continue
    return None


async def _say(error: Exception) -> None:
    if not isinstance(error, ConnectionRefusedError | NatsError | OSError | TimeoutError):
        _log.error("bus-error", error=repr(error))
    else:
        _log.warning("bus-error", error=str(error) or type(error).__name__)


async def ensure_stream(jetstream: JetStreamContext, limit_bytes: int, replicas: int = 1) -> None:
    """Make the stream of batches, or bring its size limit up to date.

    Kept by limits without an age, and refusing new messages when full: nothing that waits to be stored is
    dropped; the gateways' outboxes hold what does not fit.

    Raises:
        Unavailable: the server does not answer.
    """
    wanted = StreamConfig(
        name=subjects.STREAM,
        subjects=[subjects.STREAM_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=limit_bytes,
        num_replicas=replicas,
        duplicate_window=DEDUPLICATION_S,
        allow_direct=True,
    )
    try:
        try:
            info = await jetstream.stream_info(subjects.STREAM)
        except NotFoundError:
            await jetstream.add_stream(wanted)
            return
        if info.config.max_bytes != limit_bytes or info.config.num_replicas != replicas:
            await jetstream.update_stream(info.config.evolve(max_bytes=limit_bytes, num_replicas=replicas))
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"stream {subjects.STREAM}: {error}") from error


async def ensure_bucket(
    jetstream: JetStreamContext, replicas: int = 1, *, bucket: str = subjects.CONFIG_BUCKET
) -> KeyValue:
    """Return the bucket of device documents, or another, made when it is not there.

    Raises:
        Unavailable: the server does not answer.
    """
    try:
        try:
            return await jetstream.key_value(bucket)
        except NotFoundError:
            return await jetstream.create_key_value(
                KeyValueConfig(bucket=bucket, history=1, replicas=replicas)
            )
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"bucket {bucket}: {error}") from error


async def ask(client: Client, subject: str, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Ask and return the answer; both are JSON objects.

    Raises:
        Unavailable: nobody answers on this subject, or not within `timeout_s`.
        RequestError: the answering side refused, with its code and words.
    """
    try:
        reply = await client.request(subject, msgspec.json.encode(question), timeout=timeout_s)
    except NoRespondersError as error:
        raise Unavailable(f"{subject}: nobody answers") from error
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"{subject}: no answer within {timeout_s:g} s") from error
    answer: dict[str, Any] = msgspec.json.decode(reply.data)
    if "error" in answer:
        error_of = answer["error"]
        raise RequestError(error_of["message"], status=error_of.get("status", 400), code=error_of["code"])
    return answer


async def answer(
    client: Client, subject: str, respond: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> None:
    """Answer requests on `subject` for as long as the connection lives, each in a task of its own.

    Errors that `respond` raises on purpose go back to the asker; so does a malformed question.
    """
    running: set[asyncio.Task[None]] = set()

    async def one(message: Msg) -> None:
        try:
            question = msgspec.json.decode(message.data)
            if not isinstance(question, dict):
                raise RequestError("the question is not an object")
            result = await respond(question)
        except RequestError as error:
            result = {"error": {"code": error.code, "status": error.status, "message": str(error)}}
        except msgspec.MsgspecError as error:
            result = {"error": {"code": "bad-request", "status": 400, "message": str(error)}}
        except MusterError as error:
            result = {"error": {"code": "unavailable", "status": 503, "message": str(error)}}
        try:
            await message.respond(msgspec.json.encode(result))
        except NatsError as error:
            _log.warning("answer-lost", subject=message.subject, error=str(error))

    async def receive(message: Msg) -> None:
        task = asyncio.create_task(one(message), name=f"answer {message.subject}")
        running.add(task)
        task.add_done_callback(running.discard)

    await client.subscribe(subject, cb=receive)
