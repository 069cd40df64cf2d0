"""What stream processors that join commands with a table of their own events get wrong, through stock producers."""

import json

import pytest

from commands import line, register, rename

pytestmark = pytest.mark.both_versions

FOO = "foo@bar.com"
PRODUCERS = ("confluent_kafka", "console_producer", "kcat_producer")

REGISTER_THEN_RENAME = [register(FOO, "Alex"), rename(FOO, "Alex1")]
THREE_RENAMES = [rename(FOO, "Alex1"), rename(FOO, "Alex2"), rename(FOO, "Alex3")]


@pytest.fixture(params=PRODUCERS)
def produce(request, domain):
    """Writes commands with one of the producers that people use; returns when the broker has them."""
    if request.param == "confluent_kafka":
        return domain.writer().send_all
    stock_producer = getattr(domain.broker, request.param)
    return lambda commands: stock_producer(domain.topic("command"), map(line, commands))


def events_of(domain, key):
    """Names and versions of an aggregate's events, in order."""
    domain.wait_drained()
    domain.verify()
    events = [
        json.loads(event.value) for records in domain.read().events for event in records if event.key == key.encode()
    ]
    return [(event["type"], event["event"]["name"], event["event"]["version"]) for event in events]


REGISTERED_AND_RENAMED = [("UserRegisteredEvent", "Alex", 0), ("UserNameChangedEvent", "Alex1", 1)]
RENAMED_THREE_TIMES = [
    ("UserRegisteredEvent", "Alex", 0),
    ("UserNameChangedEvent", "Alex1", 1),
    ("UserNameChangedEvent", "Alex2", 2),
    ("UserNameChangedEvent", "Alex3", 3),
]


def test_a_rename_that_waits_behind_its_registration_at_the_start_sees_the_user(domain, produce):
    produce(REGISTER_THEN_RENAME)
    domain.engine().start_ready()
    assert events_of(domain, FOO) == REGISTERED_AND_RENAMED


def test_a_rename_right_behind_its_registration_sees_the_user(domain, produce):
    domain.engine().start_ready()
    produce(REGISTER_THEN_RENAME)
    assert events_of(domain, FOO) == REGISTERED_AND_RENAMED


def test_three_renames_that_wait_at_the_start_get_three_versions(domain, produce):
    produce([register(FOO, "Alex"), *THREE_RENAMES])
    domain.engine().start_ready()
    assert events_of(domain, FOO) == RENAMED_THREE_TIMES


def test_three_renames_at_once_get_three_versions(domain, produce):
    domain.engine().start_ready()
    produce([register(FOO, "Alex")])
    domain.wait_drained()
    produce(THREE_RENAMES)
    assert events_of(domain, FOO) == RENAMED_THREE_TIMES


def test_keys_that_kcat_puts_into_other_partitions_are_forwarded(domain):
    engine = domain.engine().start_ready()
    commands = [register(f"user{number}@example.org") for number in range(40)]
    domain.broker.kcat_producer(domain.topic("command"), map(line, commands))
    report = domain.drain_and_verify()
    assert report.counts["accepted"] == 40
    # librdkafka's default partitioner agrees with Java's for one key in four.
    assert report.counts["forwarded"] > 10
    engine.wait_metric(report.counts["forwarded"], "esd_commands_total", outcome="forwarded")


def test_events_and_the_first_users_reply_are_byte_for_byte_as_documented(domain):
    domain.engine().start_ready()
    domain.writer().send_all([*REGISTER_THEN_RENAME, register(FOO, "Alex").with_id("again")])
    domain.drain_and_verify()
    log = domain.read()
    assert [event.value for records in log.events for event in records] == [
        b'{"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}}',
        b'{"type":"UserNameChangedEvent","event":{"email":"foo@bar.com","name":"Alex1","version":1}}',
    ]
    (reply,) = (json.loads(reply.value) for records in log.replies for reply in records)
    assert reply.pop("message")
    assert reply == {
        "commandId": "again",
        "status": "REJECTED",
        "code": "ALREADY_EXISTS",
        "reason": "USER_ALREADY_EXISTS",
        "version": 1,
    }
