"""Reaching the service: encrypted beyond this machine unless told otherwise."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice import AsyncCloneClient, CloneClient, Tls
from cloneservice._channel import Connection, Deadlines, is_loopback, service_config

SOURCE = Path(__file__).parents[2] / "protos" / "service_config.json"


@pytest.mark.parametrize(
    "target",
    [
        "localhost:50051",
        "127.0.0.1:50051",
        "127.8.9.1:1",
        "[::1]:50051",
        "::1",
        "dns:///localhost:50051",
        "dns:localhost:50051",
        "ipv4:127.0.0.1:50051",
        "ipv6:[::1]:50051",
        "unix:/run/cloneservice.sock",
        "unix:///run/cloneservice.sock",
        "unix-abstract:cloneservice",
    ],
)
def test_this_machine_is_reached_in_plain_text(target: Any) -> None:
    assert is_loopback(target)
    assert Connection(target=target).channel_credentials() is None


@pytest.mark.parametrize(
    "target",
    [
        "cloneservice.internal:443",
        "10.0.0.7:50051",
        "localhost.example.com:443",
        "127.0.0.1.example.com:443",
        "dns:///cloneservice:50051",
        "dns://127.0.0.1/cloneservice:50051",
        "ipv4:10.0.0.1:50051,127.0.0.1:50051",
        "[2001:db8::1]:443",
        "xds:///localhost",
        "",
    ],
)
def test_any_other_machine_is_reached_by_tls_unless_insecure_is_said(target: Any) -> None:
    assert not is_loopback(target)
    assert Connection(target=target).channel_credentials() is not None
    assert Connection(target=target, insecure=True).channel_credentials() is None


def test_tls_can_be_asked_for_on_this_machine_too() -> None:
    assert Connection(tls=True).channel_credentials() is not None
    assert Connection(tls=Tls()).channel_credentials() is not None
    credentials = grpc.ssl_channel_credentials()
    assert Connection(credentials=credentials).channel_credentials() is credentials


@pytest.mark.parametrize("client", [CloneClient, AsyncCloneClient])
@pytest.mark.parametrize("other", [{"tls": True}, {"credentials": grpc.ssl_channel_credentials()}])
def test_insecure_and_tls_together_are_refused(client: Any, other: Any) -> None:
    with pytest.raises(ValueError, match="insecure excludes"):
        client("localhost:1", insecure=True, **other)


def test_tokens_and_keys_are_kept_out_of_repr() -> None:
    connection = Connection(token="sesame", tls=Tls(private_key=b"sesame"))

    assert "sesame" not in repr(connection)
    with CloneClient("localhost:1", token="sesame") as client:
        assert repr(client) == "CloneClient('localhost:1')"


def test_the_shipped_service_config_is_the_contracts() -> None:
    assert service_config() == SOURCE.read_text()


def test_the_channel_retries_by_the_service_config_bounds_messages_and_watches_the_connection() -> None:
    options = dict(Connection().channel_options())

    assert json.loads(options["grpc.service_config"]) == json.loads(SOURCE.read_text())
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 4 * 1024 * 1024
    assert options["grpc.keepalive_time_ms"] == 30_000


def test_the_callers_channel_options_win() -> None:
    options = dict(
        Connection(options=[("grpc.keepalive_time_ms", 1), ("grpc.primary_user_agent", "shop")]).channel_options()
    )

    assert (options["grpc.keepalive_time_ms"], options["grpc.primary_user_agent"]) == (1, "shop")


def test_every_method_has_a_default_deadline_from_the_service_config() -> None:
    by_method = Deadlines().by_method

    assert (by_method[""], by_method["CloneAndCharge"], by_method["HandleStripeEvent"]) == (30, 60, 30)
