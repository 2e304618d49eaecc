"""Passwords of the database roles that the migrations create without any."""

from collections.abc import Mapping

from psycopg import sql

from muster.errors import ConfigError
from store.connection import connected

ROLES = frozenset({"muster_ingest", "muster_api", "muster_notary"})


async def set_passwords(owner_dsn: str, passwords: Mapping[str, str]) -> None:
    """Let each role of `passwords` log in with its password, all or none.

    The password reaches the server as a SCRAM verifier: it stands in no log and no statement.

    Raises:
        ConfigError: a role is not one of Muster's, a password is empty, or the owner may not change roles.
        Unavailable: the server cannot be reached now.
    """
    for role, password in passwords.items():
        if role not in ROLES:
            raise ConfigError(f"role {role}: not one of {', '.join(sorted(ROLES))}")
        if not password:
            raise ConfigError(f"role {role}: the password is empty")
    async with connected(owner_dsn, "roles") as connection, connection.transaction():
        for role, password in passwords.items():
            verifier = connection.pgconn.encrypt_password(
                password.encode(), role.encode(), b"scram-sha-256"
            ).decode()
            await connection.execute(
                sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(verifier))
            )
