"""What an engine really writes to the topics is what docs/asyncapi.yaml says."""

import json
import subprocess
import time

import jsonschema
import pytest

from environment import BINARY, Engine
from test_asyncapi import DOCUMENT, MESSAGES, resolved, with_components

TIMEOUT_S = 30
REGISTER = '{"type":"RegisterUserCommand","command":{"name":"Alex","email":"async@bar.com"}}'
RENAME = '{"type":"ChangeUserNameCommand","command":{"email":"async@bar.com","newName":"Kim"}}'
STRANGER = '{"type":"ChangeUserNameCommand","command":{"email":"nobody@bar.com","newName":"Kim"}}'
TRACE = "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def topics(broker, tmp_path_factory):
    """The records of each topic, when all commands below have had their effect."""
    address = broker()
    engine = Engine(BINARY, ["serve", "--bootstrap-servers", address, "--domain", "security"],
                    tmp_path_factory.mktemp("asyncapi") / "engine")
    try:
        send(address, f"async@bar.com:{REGISTER}", "ce_id=a1", TRACE)
        send(address, f"async@bar.com:{REGISTER}", "ce_id=a1")
        send(address, f"async@bar.com:{RENAME}", "ce_id=a2", "esd-expected-version=0")
        send(address, f"nobody@bar.com:{STRANGER}")
        send(address, "async@bar.com:no JSON", "ce_id=a3")
        for topic, count in [("event", 2), ("reply", 4), ("dead-letter", 1)]:
            deadline = time.monotonic() + TIMEOUT_S
            while len(records(address, topic)) < count:
                assert time.monotonic() < deadline, f"{topic} has only {records(address, topic)}"
                time.sleep(0.05)
    finally:
        engine.stop()
    return {topic: records(address, topic) for topic in ("command", "event", "reply", "dead-letter")}


def send(address, line, *headers):
    command = ["kcat", "-P", "-b", address, "-t", "security-command", "-K:", "-X", "partitioner=murmur2_random"]
    command += [word for header in headers for word in ("-H", header)]
    subprocess.run(command, input=line + "\n", text=True, check=True, timeout=TIMEOUT_S)


def records(address, topic):
    """[(value, {header: value})] of those that are committed and of this test's users."""
    command = ["kcat", "-C", "-b", address, "-t", f"security-{topic}", "-e", "-q", "-J", "-o", "beginning"]
    command += ["-X", "isolation.level=read_committed"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    headers = [record.get("headers", []) for record in found]
    return [
        (record["payload"], dict(zip(pairs[::2], pairs[1::2])))
        for record, pairs in zip(found, headers)
        if record["key"] in ("async@bar.com", "nobody@bar.com")
    ]


def check(message, payload, headers):
    schema = resolved(MESSAGES[message]["headers"])
    allowed = set(schema["properties"])
    if message == "DeadLetter":
        allowed |= set(DOCUMENT["components"]["schemas"]["CommandHeaders"]["properties"])
    assert set(headers) <= allowed, "a header that the document doesn't know"
    jsonschema.validate(headers, with_components(schema))
    jsonschema.validate(payload, with_components(MESSAGES[message]["payload"]))


def test_commands(topics):
    for value, headers in topics["command"]:
        if value.startswith("{"):
            check(json.loads(value)["type"], json.loads(value), headers)


def test_events(topics):
    found = [(json.loads(value), headers) for value, headers in topics["event"]]
    assert [event["type"] for event, _ in found] == list(DOCUMENT["channels"]["event"]["messages"])
    for event, headers in found:
        check(event["type"], event, headers)


def test_replies(topics):
    found = [(json.loads(value), headers) for value, headers in topics["reply"]]
    assert {reply["status"] for reply, _ in found} == {"ACCEPTED", "REJECTED"}
    assert any("esd-replayed" in headers for _, headers in found)
    for reply, headers in found:
        check("Accepted" if reply["status"] == "ACCEPTED" else "Rejected", reply, headers)


def test_dead_letters(topics):
    [(value, headers)] = topics["dead-letter"]
    assert value == "no JSON"
    check("DeadLetter", value, headers)


def test_every_header_of_the_document_was_seen(topics):
    """Those that esd writes; so the document names none in vain."""
    for topic, schema in [("event", "EventHeaders"), ("reply", "ReplyHeaders"), ("dead-letter", "DeadLetterHeaders")]:
        seen = set().union(*(headers for _, headers in topics[topic]))
        assert set(DOCUMENT["components"]["schemas"][schema]["properties"]) <= seen, topic
