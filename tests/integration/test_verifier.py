"""The verifier must be able to fail: topics as the engine must write them pass, each kind of damage is found.

The topics here are made by the verifier's own model, so they say nothing about the engine. Only the last test needs a
broker.
"""

import collections
import json
import random
import subprocess
import sys

import pytest
from confluent_kafka import Producer

import security_domain
import wire
from commands import UNIQUE_HEADER, Mix, register, rename
from reference_model import DEAD_LETTER, DUPLICATE, FORWARDED, PartitionModel, home_partition, to_json
from topic_reader import DomainLog, Record
from verifier import verify

PARTITIONS = 2
KINDS = ("command", "event", "snapshot", "reply", "dead-letter")


def topic(kind):
    return f"security-{kind}"


class ModelEngine:
    """Fills the topics of a domain as an engine without a fault would."""

    def __init__(self):
        self.records = {kind: [[] for _ in range(PARTITIONS)] for kind in KINDS}
        self.models = [PartitionModel(security_domain, partition, PARTITIONS) for partition in range(PARTITIONS)]
        self.next_offsets = [0] * PARTITIONS
        self.replies = {}

    def append(self, kind, partition, key, value, headers):
        headers = tuple((name, text.encode() if isinstance(text, str) else text) for name, text in headers)
        log = self.records[kind][partition]
        log.append(Record(topic(kind), partition, len(log), key, value, headers))

    def send(self, command, partition=None):
        if partition is None:
            partition = home_partition(command.key, PARTITIONS)
        number = sum(map(len, self.records["command"]))
        self.append("command", partition, command.key, command.value, [*command.headers, (UNIQUE_HEADER, str(number))])

    def process(self):
        while any(self.next_offsets[p] < len(self.records["command"][p]) for p in range(PARTITIONS)):
            for partition in range(PARTITIONS):
                self.process_partition(partition)
        return self

    def process_partition(self, partition):
        changed = {}
        for command in self.records["command"][partition][self.next_offsets[partition] :]:
            expected = self.models[partition].apply(command)
            self.write(command, expected)
            if expected.events:
                changed[command.key] = self.models[partition].aggregates[command.key]
            self.next_offsets[partition] += 1
        for key, aggregate in changed.items():
            self.append("snapshot", partition, key, stored_snapshot(aggregate.version, aggregate.state), [])

    def write(self, command, expected):
        if expected.kind == FORWARDED:
            self.append("command", expected.home, command.key, command.value, command.headers)
        if expected.kind == DEAD_LETTER:
            source = [("esd-source-topic", command.topic), ("esd-source-partition", str(command.partition))]
            source += [("esd-source-offset", str(command.offset))]
            why = [("esd-error-reason", expected.reason), ("esd-error-message", "why")]
            self.append("dead-letter", command.partition, command.key, command.value, [*command.headers, *why, *source])
        for index, (event_type, value) in enumerate(expected.events):
            headers = self.event_headers(command, expected, event_type, index)
            self.append("event", command.partition, command.key, value, headers)
        self.write_reply(command, expected)

    def event_headers(self, command, expected, event_type, index):
        return [
            ("ce_specversion", "1.0"),
            ("ce_id", f"{command.position}:{index}"),
            ("ce_type", event_type),
            ("ce_source", f"/esd/{topic('command')}"),
            ("ce_subject", command.key),
            ("ce_time", "2024-01-02T03:04:05.678Z"),
            ("content-type", "application/json"),
            ("esd-version", str(expected.first_version + index)),
            ("esd-causation-id", expected.command.command_id or command.position),
        ]

    def write_reply(self, command, expected):
        headers = [("esd-source-position", command.position)]
        if expected.kind == DUPLICATE:
            value = self.replies[expected.outcome_of]
            self.append("reply", command.partition, command.key, value, [*headers, ("esd-replayed", "true")])
        elif expected.reply is not None:
            reply = dict(expected.reply)
            if reply["status"] == "REJECTED":
                reply = dict(list(reply.items())[:4]) | {"message": "why"} | dict(list(reply.items())[4:])
            self.replies[command.position] = to_json(reply)
            self.append("reply", command.partition, command.key, to_json(reply), headers)

    def log(self):
        return DomainLog(
            topic("command"), *(self.records[kind] for kind in KINDS), self.next_offsets, self.next_offsets
        )


def stored_snapshot(version, user):
    state = wire.write_bytes(1, user["email"]) + wire.write_bytes(2, user["name"])
    return (b"\x08" + wire.write_varint(version) if version else b"") + wire.write_bytes(2, state)


@pytest.fixture
def engine():
    """Has processed a mix of a few hundred commands."""
    engine = ModelEngine()
    mix = Mix(random.Random(7), PARTITIONS, users=20)
    for number in range(600):
        engine.send(*mix.next())
        if number % 50 == 0:
            engine.process()
    return engine.process()


def check(log):
    return verify(log, "security", UNIQUE_HEADER)


def violated(log):
    """The invariants that are violated."""
    return {violation.invariant for violation in check(log).violations}


def test_topics_without_a_fault_pass(engine):
    report = check(engine.log())
    assert not report.violations, f"{report}"
    for kind in ("accepted", "rejected", "duplicate", "dead letter", "forwarded"):
        assert report.counts[kind] > 0, f"the mix made no {kind}"


def changed(partitions, index, **fields):
    """The same records but one."""
    partition = next(p for p, records in enumerate(partitions) if len(records) > index)
    record = partitions[partition][index]
    partitions[partition][index] = Record(**{**record.__dict__, **fields})


def removed(partitions, index=5):
    del next(records for records in partitions if len(records) > index)[index]


def repeated(partitions, index=5):
    records = next(records for records in partitions if len(records) > index)
    records.append(Record(**{**records[index].__dict__, "offset": len(records)}))


def without_offsets(log):
    log.committed_before = log.committed_after = [0] * PARTITIONS


def ahead(log):
    log.committed_before = log.committed_after = [offset - 5 for offset in log.committed_after]


def unprocessed_command(log):
    records = log.commands[0]
    records.append(Record(**{**records[-1].__dict__, "offset": len(records)}))
    log.committed_before = log.committed_after = [offset + 1 for offset in log.committed_after]


def swap_events(log):
    of_key = collections.defaultdict(list)
    for index, event in enumerate(log.events[0]):
        of_key[event.key].append(index)
    first, second = next(indices for indices in of_key.values() if len(indices) > 1)[:2]
    log.events[0][first], log.events[0][second] = log.events[0][second], log.events[0][first]


def stale_snapshot(log):
    last = log.snapshots[0][-1]
    log.snapshots[0][:] = [record for record in log.snapshots[0] if record.key != last.key]


def other_snapshot(log):
    version = next(value for number, _, value in wire.read_fields(log.snapshots[0][-1].value) if number == 1)
    changed(log.snapshots, len(log.snapshots[0]) - 1, value=stored_snapshot(version, {"email": "a@b", "name": "?"}))


def missing_copy(log):
    """The copy was never processed, nor was it there."""
    values = [record.headers for record in log.commands[0]]
    index = next(i for i, record in enumerate(log.commands[1]) if record.headers in values)
    copy_partition = home_partition(log.commands[1][index].key, PARTITIONS)
    other = next(i for i, r in enumerate(log.commands[copy_partition]) if r.headers == log.commands[1][index].headers)
    del log.commands[copy_partition][other]


def other_repeated_reply(log):
    replayed = next(r for r in log.replies[0] if r.header("esd-replayed"))
    value = json.dumps({**json.loads(replayed.value), "version": 99}).encode()
    log.replies[0][log.replies[0].index(replayed)] = Record(**{**replayed.__dict__, "value": value})


DAMAGE = [
    ("an event is lost", lambda log: removed(log.events), 1),
    ("an event is there twice", lambda log: repeated(log.events), 2),
    ("events are in the wrong order", swap_events, 2),
    ("an event has another name", lambda log: changed(log.events, 3, value=b'{"type":"X","event":{"version":1}}'), 0),
    ("a reply is lost", lambda log: removed(log.replies), 1),
    ("a reply is there twice", lambda log: repeated(log.replies), 1),
    ("a reply says something else", lambda log: changed(log.replies, 2, value=b"{}"), 0),
    ("a dead letter is lost", lambda log: removed(log.dead_letters, 2), 1),
    ("a dead letter is there twice", lambda log: repeated(log.dead_letters, 2), 9),
    ("a dead letter has another value", lambda log: changed(log.dead_letters, 2, value=b"?"), 9),
    ("a dead letter has lost its headers", lambda log: changed(log.dead_letters, 2, headers=()), 9),
    ("the last snapshot is missing", stale_snapshot, 3),
    ("the last snapshot has another state", other_snapshot, 4),
    ("the offsets are left out", without_offsets, 1),
    ("the effects are ahead of the offsets", ahead, 1),
    ("a command below the committed offset has no effect", unprocessed_command, 1),
    ("a forwarded copy is missing", missing_copy, 1),
    ("a repeated id gets another answer", other_repeated_reply, 7),
]


@pytest.mark.parametrize(("damage", "invariant"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(engine, damage, invariant):
    log = engine.log()
    damage(log)
    assert invariant in violated(log)


def test_an_engine_that_ignores_pending_writes_is_found():
    """Both renames see version 0, as a join with a table of one's own events does."""
    engine = ModelEngine()
    engine.send(register("a@b"))
    engine.process()
    for name in ("Alex1", "Alex2"):
        engine.send(rename("a@b", name))
        engine.process()
    events = next(records for records in engine.records["event"] if records)
    stale = Record(
        **{
            **events[2].__dict__,
            "value": events[2].value.replace(b'"version":2', b'"version":1'),
            "headers": tuple((name, b"1" if name == "esd-version" else value) for name, value in events[2].headers),
        }
    )
    events[2] = stale
    assert violated(engine.log()) >= {2, 3}


def test_two_accepted_commands_with_the_same_expected_version_are_found():
    engine = ModelEngine()
    engine.send(register("a@b"))
    for name in ("Alex1", "Alex2"):
        engine.send(rename("a@b", name).expecting(0))
    engine.process()
    partition = home_partition(b"a@b", PARTITIONS)
    second = engine.records["command"][partition][2]
    headers = [("ce_id", f"{second.position}:0"), ("esd-version", "2")]
    engine.append("event", partition, b"a@b", b'{"type":"UserNameChangedEvent","event":{"version":2}}', headers)
    assert violated(engine.log()) >= {1, 10}


def test_commands_that_are_processed_while_the_topics_are_read_are_no_violation(engine):
    log = engine.log()
    log.committed_before = [offset - 20 for offset in log.committed_after]
    assert not check(log).violations


def test_the_program_reads_topics_from_a_broker(engine, broker, tmp_path):
    """Writes the model's topics to a broker, with the offsets, and runs the verifier as a user would."""
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    prefix = "verifier."
    admin = AdminClient({"bootstrap.servers": broker.address})
    for future in admin.create_topics([NewTopic(prefix + topic(kind), PARTITIONS, 1) for kind in KINDS]).values():
        future.result(30)
    # The model's records name the topic that they come from without the prefix.
    name, prefixed = topic("command").encode(), (prefix + topic("command")).encode()
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": "verifier-test"})
    producer.init_transactions(30)
    # An aborted transaction first: what is in it is not there.
    producer.begin_transaction()
    producer.produce(prefix + topic("event"), b"?", b"?", 0)
    producer.flush()
    producer.abort_transaction(30)
    producer.begin_transaction()
    for kind in KINDS:
        for record in (record for partition in engine.records[kind] for record in partition):
            headers = [
                (header, value and value.replace(b"/esd/" + name, b"/esd/" + prefixed))
                for header, value in record.headers
            ]
            headers = [(header, prefixed if header == "esd-source-topic" else value) for header, value in headers]
            producer.produce(prefix + topic(kind), record.value, record.key, record.partition, headers=headers)
    producer.commit_transaction(30)
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "verifier"})
    offsets = [TopicPartition(prefix + topic("command"), p, offset) for p, offset in enumerate(engine.next_offsets)]
    consumer.commit(offsets=offsets, asynchronous=False)

    def run_verifier():
        command = [sys.executable, "verifier.py", "--bootstrap-servers", broker.address, "--topic-prefix", prefix]
        command += ["--group", "verifier", "--domain", "security", "--unique-header", UNIQUE_HEADER]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    done = run_verifier()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(map(len, engine.records['event']))} events" in done.stdout
    consumer.commit(offsets=[TopicPartition(prefix + topic("command"), 0, 3)], asynchronous=False)
    consumer.close()
    done = run_verifier()
    assert done.returncode == 1
    assert "invariant 1" in done.stdout
    assert f"{prefix}security-command/0@" in done.stdout
