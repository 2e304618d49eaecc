"""The way into a session and out of it: protection, whom the gateway trusts, and who signs in."""

import asyncio
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto

from gateway.adapters.opcua.authorities import split
from gateway.adapters.opcua.config import Connection, check_password
from gateway.adapters.opcua.trust import Trust
from gateway.adapters.opcua.turns import TurnClient
from muster.errors import ConfigError

LOST = (ua.UaError, OSError, TimeoutError, EOFError)
_POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_LEAVE_S = 2.0
_MODES = {"sign": ua.MessageSecurityMode.Sign, "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt}


async def enter(client: TurnClient, settings: Connection, trust: Trust) -> bytes:
    """Open a session as the settings say: its protection first, then who signs in.

    Returns the certificates that the server showed, its own first; none without protection.

    Raises:
        Distrusted: the server's certificate is not trusted. ConfigError: a file of ours cannot be read, the server
            does not offer the policy, or it wants a password in clear. OSError, TimeoutError, ua.UaError: the vendor's.
    """
    client.name = client.description = "Muster gateway"
    client.application_uri = trust.uri
    security, chain = settings.security, b""
    if security.policy != "None":
        policy, mode = _POLICIES[security.policy], _MODES[security.mode]
        endpoints = await client.connect_and_get_server_endpoints()
        offered = [e for e in endpoints if e.SecurityMode == mode and e.SecurityPolicyUri == policy.URI]
        if not offered:
            raise ConfigError(
                f"connection.security: the server does not offer {security.policy}, {security.mode}"
            )
        chain = offered[0].ServerCertificate or b""
        check(chain, settings, trust)
        der = split(chain)[0]
        certificate, key = await asyncio.to_thread(trust.own)
        await client.set_security(
            policy, certificate, key, server_certificate=uacrypto.CertProperties(der, "der"), mode=mode
        )
    user = settings.user
    try:
        if user is not None and user.username is not None:
            client.set_user(user.username)
            client.set_password(_secret(user.password_file or ""))
            client.check_password = partial(check_password, user)
        elif user is not None:
            await client.load_client_certificate(user.certificate_file)
            await client.load_private_key(user.key_file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"connection.user: {error}") from error
    await client.connect()
    return chain


def check(chain: bytes, settings: Connection, trust: Trust) -> None:
    """Let what a server showed pass. Raises Distrusted, by name."""
    host = urlsplit(settings.server).hostname or ""
    trust.check(
        chain,
        host,
        settings.server,
        settings.server_certificate,
        overdue=settings.overdue_revocation_list,
    )


def _secret(path: str) -> str:
    return Path(path).read_text("utf-8").rstrip("\r\n")


async def leave(client: Client) -> None:
    """Close a session, or what there is of it.

    The library takes a cancellation that comes meanwhile for that of its own tasks, and says nothing: it is said again.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        async with asyncio.timeout(_LEAVE_S):
            await client.disconnect()
    except LOST:
        client.disconnect_socket()
    if task.cancelling() > before:
        raise asyncio.CancelledError
