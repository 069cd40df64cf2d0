"""Input that is meant to do harm gets an error, writes nothing, and the server lives."""

import json
import socket

import grpc
import pytest

import wire
from grpc_client import CallError, key, name_of, new_user, refused, register

MAX_COMMAND_BYTES = 1 << 20


DEEP = 100_000
HOSTILE_JSON = {
    "deep arrays": '{"name":' + "[" * DEEP + "]" * DEEP + "}",
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep and never closed": "[" * MAX_COMMAND_BYTES,
    "a repeated name": '{"name":"A","name":"B","email":"a@b"}',
    "a repeated name, escaped": '{"name":"A","n\\u0061me":"B","email":"a@b"}',
    "a number beyond 2^53": '{"name":9007199254740993,"email":"a@b"}',
    "a number beyond 2^64": '{"name":18446744073709551616,"email":"a@b"}',
    "a number beyond doubles": '{"name":1e999,"email":"a@b"}',
    "a NUL": '{"name":"A\0B","email":"a@b"}',
    "a NUL behind": '{"name":"A","email":"a@b"}\0',
    "a lone high surrogate": '{"name":"\\ud800","email":"a@b"}',
    "a lone low surrogate": '{"name":"\\udc00","email":"a@b"}',
    "surrogates the wrong way round": '{"name":"\\udc00\\ud800","email":"a@b"}',
    "a control character": '{"name":"\x01","email":"a@b"}',
    "an array": "[]",
    "a string": '"a"',
    "null": "null",
    "nothing": "",
    "white space": "  ",
    "two documents": '{"name":"A","email":"a@b"}{}',
    "the way out of the envelope": '{"name":"A","email":"a@b"},"type":"ChangeUserNameCommand","x":{}',
    "two envelopes": '{}},"command":{"name":"A","email":"a@b"',
    "a byte order mark": '\ufeff{"name":"A","email":"a@b"}',
    "not closed": '{"name":"A","email":"a@b"',
    "NaN": '{"name":NaN,"email":"a@b"}',
    "a comment": '{"name":"A",/**/"email":"a@b"}',
}


@pytest.mark.parametrize("case", HOSTILE_JSON)
def test_hostile_json_is_refused_and_the_server_lives(client, nothing_written, case):
    command = {**register(new_user()), "payload": {"json": HOSTILE_JSON[case]}}
    refused("INVALID_ARGUMENT", "MALFORMED_JSON", lambda: client.SubmitCommand(**command))


def test_text_that_is_odd_but_legal_comes_back_as_it_went_in(client):
    for name in ("a\0b", "\U0001f99c", "\u202e", "\ufffe", '"\\/', "\x7f", "\u2028"):
        email = new_user()
        client.SubmitCommand(**register(email, name))
        assert name_of(client, email) == name
        events = client.ListEvents(**key(email)).events
        assert json.loads(events[0].payload.json)["name"] == name


HOSTILE_PROTOBUF = {
    "invalid UTF-8": wire.write_bytes(1, b"\xff\xfe") + wire.write_bytes(2, b"a@b"),
    "a surrogate": wire.write_bytes(1, b"\xed\xa0\x80") + wire.write_bytes(2, b"a@b"),
    "an overlong NUL": wire.write_bytes(1, b"\xc0\x80") + wire.write_bytes(2, b"a@b"),
    "a cut off field": b"\x0a\x05ab",
    "a length of 2^63": b"\x0a" + b"\xff" * 9 + b"\x01",
    "field number 0": b"\x02\x00",
    "another wire type": b"\x08\x01",
    "nested groups": b"\x1b" * 1000,
    "an unknown field": wire.write_bytes(15, b"?") + wire.write_bytes(2, b"a@b"),
}


@pytest.mark.parametrize("case", HOSTILE_PROTOBUF)
def test_hostile_protobuf_is_refused_and_the_server_lives(client, nothing_written, case):
    command = {**register(new_user()), "payload": {"protobuf": HOSTILE_PROTOBUF[case]}}
    refused("INVALID_ARGUMENT", "MALFORMED_PROTOBUF", lambda: client.SubmitCommand(**command))


def send_bytes(client, method, body, headers=()):
    """The code that the server answers to these bytes as a request."""
    try:
        client.channel.unary_unary(client.schema.methods[method].path)(body, timeout=20, metadata=headers)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 1000,
        b"\x0a\xff\xff\xff\xff\x0f",
        wire.write_bytes(1, b"\xff\xfe"),
        wire.write_bytes(1, "security") + wire.write_bytes(2, b"\xc3\x28"),
        wire.write_bytes(1, "security")
        + wire.write_bytes(3, "RegisterUserCommand")
        + wire.write_bytes(4, wire.write_bytes(1, b'{"name":"\xff","email":"a@b"}')),
        wire.write_bytes(1, "security")
        + wire.write_bytes(3, "RegisterUserCommand")
        + wire.write_bytes(4, wire.write_bytes(1, b'{"name":"\xed\xa0\x80","email":"a@b"}')),
        wire.write_bytes(4, b"x" * (8 << 20)),
    ],
    ids=["noise", "a length of 4 GiB", "domain", "key", "invalid UTF-8", "a surrogate", "8 MiB"],
)
def test_requests_that_are_no_messages_are_refused_and_the_server_lives(client, nothing_written, body):
    codes = [send_bytes(client, method, body) for method in ("SubmitCommand", "GetSnapshot", "ListEvents")]
    # gRPC's C++ library calls a request that can't be parsed unimplemented.
    assert set(codes) <= {"INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"}


def test_a_batch_that_is_larger_than_any_message_may_be_is_refused(client, nothing_written):
    """A thousand commands of 1 MiB each are legal one by one."""
    batch = [register(new_user(), "x" * (MAX_COMMAND_BYTES - 200)) for _ in range(200)]
    with pytest.raises(CallError) as raised:
        client.BatchSubmitCommands(commands=batch)
    assert raised.value.code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT")


def test_metadata_without_bound_is_refused(client, connect):
    """gRPC's C++ library refuses the call, and at times it also closes the connection, before or after the answer.

    So the connection is one of its own; that of `client` and whoever uses it must not notice.
    """
    headers = [(f"x-{number}", "y" * 4000) for number in range(50)]
    body = client.schema.methods["GetSnapshot"].request(**key("a@b")).SerializeToString()
    for _ in range(5):
        intruder = connect(client.address).wait_serving()
        assert send_bytes(intruder, "GetSnapshot", body, headers) in ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
        assert client.health() == "SERVING"


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096],
)
def test_a_connection_that_speaks_another_protocol_does_no_harm(client, noise):
    host, port = client.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(noise)
        try:
            while connection.recv(65536):  # until the server has had enough
                pass
        except ConnectionResetError:
            pass
