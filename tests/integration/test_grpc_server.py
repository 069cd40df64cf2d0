"""What the gRPC server offers around commands and queries; and grpcurl as its client."""

import json
import socket
import subprocess

import grpc
import pytest

from engine_process import ROOT
from grpc_client import SERVICES, TRACEPARENT, key, new_user, refused, register, rename, result_of
from waiting import wait_until

GRPCURL = ROOT / "build/tools/grpcurl"


@pytest.fixture
def domain(shared_domain):
    """One for all tests here, each of which brings its own users."""
    return shared_domain


# --- AdminService


def test_an_instance_knows_itself(client, domain):
    # It learns of its own claims from the topic, as the others do.
    wait_until(lambda: client.ListInstances().instances[0].partition_count == 4, 10, "four claims")
    (instance,) = client.ListInstances().instances
    assert instance.self
    assert instance.instance_id
    assert instance.address == domain.engines[0].grpc


def test_partitions_say_who_owns_them_and_how_far_they_are(client, domain, crowd):
    (instance,) = client.ListInstances().instances
    client.SubmitCommand(**register(new_user()))
    for fields in ({}, {"domain": "security"}):
        partitions = client.ListPartitions(**fields).partitions
        assert [(partition.domain, partition.partition) for partition in partitions] == [
            ("security", p) for p in range(4)
        ]
        for partition in partitions:
            assert partition.State.Name(partition.state) == "STATE_SERVING"
            assert (partition.instance_id, partition.address) == (instance.instance_id, instance.address)
            assert partition.generation >= 0
            assert partition.history.State.Name(partition.history.state) == "STATE_COMPLETE"
            assert not partition.history.HasField("remaining_events")
    checkpoints = [partition.checkpoint for partition in partitions]
    assert [checkpoint.command_offset for checkpoint in checkpoints] == domain.committed_offsets()
    snapshot_offsets = [partition_end(domain, "snapshot", number) for number in range(4)]
    assert [checkpoint.snapshot_offset for checkpoint in checkpoints] == snapshot_offsets

    def lags():
        partitions = client.ListPartitions().partitions
        return [partition.lag if partition.HasField("lag") else None for partition in partitions]

    wait_until(lambda: lags() == [0] * 4, 15, lambda: f"no lag, it is {lags()}")
    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", lambda: client.ListPartitions(domain="nobody"))


def partition_end(domain, kind, partition):
    """The offset behind the last record, which the end of its transaction follows."""
    return max((offset + 1 for p, offset in domain.records(kind) if p == partition), default=0)


# --- around the calls


def test_reflection_lists_the_services(client):
    assert set(SERVICES) <= set(client.schema.services)
    assert "grpc.reflection.v1alpha.ServerReflection" in client.schema.services
    for message, field in (("Outcome", "version"), ("Partition", "lag")):
        assert field in client.schema.message(f"esd.v1.{message}").DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_each_service_is_healthy(client, service):
    assert client.health(service) == "SERVING"


def test_the_health_of_an_unknown_service_is_not_found(client):
    assert client.health("esd.v1.NoSuchService") == "NOT_FOUND"


def test_a_trace_goes_from_the_call_into_the_command_and_on_into_its_events(client, domain, user):
    headers = [("traceparent", TRACEPARENT)]
    single = client.SubmitCommand(**rename(user, "B"), headers=headers).outcome
    (result,) = client.BatchSubmitCommands(commands=[rename(user, "C")], headers=headers).results
    untraced = client.SubmitCommand(**rename(user, "D")).outcome
    command_records, event_records = domain.records("command"), domain.records("event")
    for outcome, traceparent in ((single, TRACEPARENT), (result_of(result).outcome, TRACEPARENT), (untraced, None)):
        assert command_records[outcome.partition, outcome.offset].header("traceparent") == traceparent
        (record,) = (r for r in event_records.values() if r.header("ce_id") == outcome.events[0].id)
        assert record.header("traceparent") == traceparent
    listed = client.ListEvents(**key(user)).events
    assert [event.traceparent for event in listed] == ["", TRACEPARENT, TRACEPARENT, ""]


def test_an_unknown_method_is_unimplemented(client):
    with pytest.raises(grpc.RpcError) as raised:
        client.channel.unary_unary("/esd.v1.CommandService/NoSuchMethod")(b"", timeout=10)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


# --- grpcurl, which shares nothing with grpcio


def grpcurl(client, *words, data=None):
    """Exit code, stdout and stderr."""
    assert GRPCURL.exists(), f"there is no {GRPCURL}: run scripts/test, which installs it"
    flags = ["-plaintext", "-max-time", "20", *([] if data is None else ["-d", json.dumps(data)])]
    done = subprocess.run([GRPCURL, *flags, client.address, *words], text=True, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_grpcurl_lists_and_describes_the_services(client):
    code, listed, error = grpcurl(client, "list")
    assert code == 0, error
    assert set(SERVICES) <= set(listed.split())
    for service in SERVICES:
        code, described, error = grpcurl(client, "describe", service)
        assert code == 0, error
        assert f"service {service.rpartition('.')[2]}" in described


def test_grpcurl_calls_each_service(client):
    email = new_user()
    command = register(email, "Curl")

    def call(method, data):
        code, answer, error = grpcurl(client, f"esd.v1.{method}", data=data)
        assert code == 0, error
        return json.loads(answer)

    answer = call(
        "CommandService/SubmitCommand",
        {"domain": "security", "commandType": command["command_type"], "payload": command["payload"]},
    )
    assert answer["outcome"]["events"][0]["type"] == "UserRegisteredEvent"
    answer = call("QueryService/GetSnapshot", {"domain": "security", "aggregateKey": email})
    assert json.loads(answer["snapshot"]["state"]["json"]) == {"email": email, "name": "Curl"}
    answer = call("AdminService/ListPartitions", {})
    assert len(answer["partitions"]) == 4


def test_grpcurl_shows_the_details_of_an_error(client):
    data = {"domain": "security", "aggregateKey": new_user()}
    code, _, error = grpcurl(client, "esd.v1.QueryService/GetSnapshot", data=data)
    assert code != 0
    assert "NotFound" in error and "AGGREGATE_NOT_FOUND" in error


# --- connections


def frames_until_the_end(connection):
    """(type, payload) of each HTTP/2 frame (RFC 9113, section 4.1) until the server closes the connection."""
    data = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        data += more
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3]):
            size = int.from_bytes(data[:3])
            yield data[3], data[9 : 9 + size]
            data = data[9 + size :]
        if not more:
            return


def test_a_client_that_pings_far_too_often_is_sent_away_and_others_are_not(client):
    settings, ping = b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0" + b"12345678"
    goaway_type, enhance_your_calm = 7, 11
    host, port = client.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + 10 * ping)
        reasons = [
            int.from_bytes(payload[4:8])
            for frame_type, payload in frames_until_the_end(connection)
            if frame_type == goaway_type
        ]
    assert reasons == [enhance_your_calm]
    assert client.ListInstances().instances
