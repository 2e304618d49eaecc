"""What a connection may say, together."""

from typing import Any

import pytest

from gateway.adapters.opcua.config import connection_of
from muster.errors import ConfigError

CLEAR = {"policy": "None", "mode": "none"}
NAMED = {"username": "reader", "password_file": "/etc/muster/press.password"}


def connection(**more: Any) -> dict[str, Any]:
    return {"url": "opc.tcp://press:4840", **more}


def test_a_password_over_an_unencrypted_session_is_refused_with_its_field() -> None:
    with pytest.raises(ConfigError, match=r"^connection\.user\.password_in_clear: "):
        connection_of(connection(security=CLEAR, user=NAMED))
    connection_of(connection(security=CLEAR, user={**NAMED, "password_in_clear": True}))
    connection_of(connection(user=NAMED))
    connection_of(connection(security=CLEAR, user={"certificate_file": "a", "key_file": "b"}))
