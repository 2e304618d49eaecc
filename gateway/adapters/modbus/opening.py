"""Opening a link: the one place where sockets' and certificates' errors become reasons that people can read."""

import asyncio
import socket
import ssl

from gateway.adapters.modbus.config import LineSettings, Tls
from gateway.adapters.modbus.link import Link, Listener, MbapLink, RtuStreamLink
from gateway.adapters.modbus.pdu import Silence
from gateway.adapters.modbus.serial_link import open_serial
from muster.errors import ConfigError


async def open_link(settings: LineSettings, listener: Listener, timeout_s: float) -> Link:
    """Open a connection.

    Raises:
        Silence: it cannot be opened now; its reason says why.
        ConfigError: a certificate's file cannot be used.
    """
    if settings.serial is not None:
        return open_serial(settings.serial, listener)
    kind = RtuStreamLink if settings.transport == "rtu_over_tcp" else MbapLink
    context = _tls_context(settings.tls or Tls()) if settings.transport == "tls" else None
    name = (settings.tls.server_name if settings.tls else None) or settings.host
    try:
        async with asyncio.timeout(timeout_s):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: kind(listener),
                settings.host,
                settings.port,
                ssl=context,
                server_hostname=name if context is not None else None,
            )
    except TimeoutError as error:
        raise Silence("modbus.connect-timeout") from error
    except ssl.SSLCertVerificationError as error:
        raise Silence("modbus.certificate-refused", {"problem": error.verify_message}) from error
    except ssl.SSLError as error:
        raise Silence("modbus.tls-failed", {"problem": error.reason or str(error)}) from error
    except ConnectionRefusedError as error:
        raise Silence("modbus.connection-refused") from error
    except socket.gaierror as error:
        raise Silence("modbus.unknown-host", {"problem": error.strerror or str(error)}) from error
    except OSError as error:
        raise Silence("modbus.unreachable", {"problem": error.strerror or str(error)}) from error
    return link


def _tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and name, always."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"connection.tls: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
