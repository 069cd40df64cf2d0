"""What an operator mends: dead letters, and snapshots that aren't what the events come to."""

import itertools
import json

import pytest
from confluent_kafka import Producer

import grpc_client
import wire
from commands import Command, Load, register, rename
from engine_process import STOP_TIMEOUT_S, Esd
from grpc_client import CallError, all_pages, check_refusal, key, refused, until_answered
from reference_model import home_partition
from waiting import wait_until

PARTITIONS = 4
ADDED = {f"esd-{name}" for name in "error-reason error-message source-topic source-partition source-offset".split()}


def dead_letter_count(domain):
    return len(domain.records("dead-letter"))


def wait_dead_letters(domain, count):
    wait_until(lambda: dead_letter_count(domain) == count, 30, f"{count} dead letters")


def listed(client, **fields):
    return [
        letter for page in all_pages(client.ListDeadLetters, domain="security", **fields) for letter in page.dead_letters
    ]


def headers_of(message):
    """Of a DeadLetter."""
    return [(h.name, h.value if h.HasField("value") else None) for h in message.headers]


# --- dead letters


POISON = [
    Command(None, b"no key", [("ce_id", b"1")]),
    Command(b"nobody@example.org", None, [("traceparent", None)]),
    Command(b"nobody@example.org", b"\xff\x00 not UTF-8", [("h\xc3\xa4".encode("latin-1").decode(), b"\xff")]),
    Command(b"nobody@example.org", b'{"type":"DropAllUsersCommand","command":{}}', [("esd-request-id", b"waits")]),
    Command(b"", b"{}", [("esd-error-reason", b"MY_OWN")]),
]


@pytest.fixture
def letters(domain):
    """A domain with an engine and dead letters: of each poison in partition 1, and one in partition 3."""
    domain.engine().start_ready()
    writer = domain.writer()
    for poison in POISON:
        writer.send(poison, partition=1)
    writer.send(POISON[3], partition=3)
    writer.flush()
    wait_dead_letters(domain, len(POISON) + 1)
    return domain


def test_dead_letters_are_listed_as_they_stand_in_the_topic(letters, connect):
    client = connect(letters.engines[0]).wait_serving()
    commands, records = letters.records("command"), letters.records("dead-letter")
    found = listed(client)
    assert [(letter.partition, letter.offset) for letter in found] == sorted(records)
    assert [letter.partition for letter in found] == [1] * len(POISON) + [3]
    for letter in found:
        record = records[letter.partition, letter.offset]
        command = commands[letter.source_partition, letter.source_offset]
        assert (letter.reason, letter.message) == (record.header("esd-error-reason"), record.header("esd-error-message"))
        assert letter.reason.isupper() and letter.message
        assert letter.source_topic == letters.topic("command")
        for field in ("key", "value"):
            value = getattr(letter, field) if letter.HasField(field) else None
            assert value == getattr(command, field), field
        assert headers_of(letter) == [h for h in command.headers if h[0] != "esd-request-id"]
        assert letter.time.seconds > 1_600_000_000
    assert headers_of(found[4])[0] == ("esd-error-reason", b"MY_OWN")

    assert [page.dead_letters for page in all_pages(client.ListDeadLetters, domain="security", page_size=2)] != []
    assert listed(client, page_size=2) == found
    assert listed(client, partition=1, page_size=3) == found[:-1]
    assert listed(client, partition=3) == found[-1:]
    assert listed(client, partition=0) == []
    letters.delete_records("dead-letter", 1, found[1].offset)
    assert listed(client) == found[1:]


def test_a_wrong_question_about_dead_letters_is_refused_by_name(letters, connect):
    client = connect(letters.engines[0]).wait_serving()

    def list_with(**fields):
        return lambda: client.ListDeadLetters(**{"domain": "security", **fields})

    def replay(**fields):
        return lambda: client.ReplayDeadLetter(**{"domain": "security", "partition": 1, "offset": 0, **fields})

    before = letters.end_offsets("command")
    token = client.ListDeadLetters(domain="security", page_size=1).next_page_token
    for call in (list_with(domain="money"), replay(domain="money")):
        refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", call)
    for call in (list_with(partition=-1), list_with(partition=PARTITIONS), replay(partition=PARTITIONS)):
        refused("INVALID_ARGUMENT", "INVALID_PARTITION", call)
    refused("INVALID_ARGUMENT", "INVALID_PAGE_SIZE", list_with(page_size=-1))
    for call in (list_with(page_token="?"), list_with(page_token=token, partition=1)):
        refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", call)
    letters_in_1 = [record for record in letters.records("dead-letter").values() if record.partition == 1]
    marker = letters_in_1[-1].offset + 1  # where the transaction ends: no record for readers
    letters.delete_records("dead-letter", 1, letters_in_1[1].offset)
    for offset in (-1, letters_in_1[0].offset, marker, 1_000_000):
        refused("NOT_FOUND", "DEAD_LETTER_NOT_FOUND", replay(offset=offset))
    refused("NOT_FOUND", "DEAD_LETTER_NOT_FOUND", replay(partition=0, offset=0))
    assert letters.end_offsets("command") == before, "something was written"


def test_a_dead_letter_is_replayed_as_it_was_into_its_keys_partition(letters, connect):
    client = connect(letters.engines[0]).wait_serving()
    found = listed(client)
    places = [
        (answer.partition, answer.offset)
        for letter in found
        for answer in [client.ReplayDeadLetter(domain="security", partition=letter.partition, offset=letter.offset)]
    ]
    commands = letters.records("command")
    for letter, place in zip(found, places, strict=True):
        command = commands[place]
        has_key = letter.HasField("key")
        assert place[0] == (home_partition(letter.key, PARTITIONS) if has_key else letter.source_partition)
        assert command.key == (letter.key if has_key else None)
        assert command.value == (letter.value if letter.HasField("value") else None)
        assert list(command.headers) == headers_of(letter)
    # None of them can be processed now either.
    wait_dead_letters(letters, 2 * len(found))
    letters.wait_drained()


def test_a_command_with_an_id_is_processed_once_however_often_it_is_replayed(domain, connect):
    """Dead letters that a later version of the domain understands."""
    writer = domain.writer()
    writer.topic = domain.topic("dead-letter")
    user = "user@example.org"
    writer.send(register(user, "Alex").with_id("first").with_header("esd-error-reason", "UNKNOWN_TYPE"), partition=0)
    writer.send(rename(user, "Sam").with_id("second").expecting(0), partition=0)
    writer.flush()
    client = connect(domain.engine().start_ready()).wait_serving()
    found = listed(client)
    assert [(letter.reason, letter.source_partition, letter.source_offset) for letter in found] == [
        ("UNKNOWN_TYPE", -1, -1),
        ("", -1, -1),
    ]
    for letter in [*found, *found]:
        client.ReplayDeadLetter(domain="security", partition=letter.partition, offset=letter.offset)
    domain.wait_drained()
    for command_id, version in (("first", 0), ("second", 1)):
        outcome = client.GetCommandOutcome(**key(user), command_id=command_id).outcome
        assert outcome.version == version
    assert len(domain.records("event")) == 2
    assert client.GetSnapshot(**key(user)).snapshot.version == 1
    assert listed(client) == found


# --- verification


def stored_snapshot(version, email, name):
    """The value of a record of the snapshot topic."""
    state = wire.write_bytes(1, email) + wire.write_bytes(2, name)
    return wire.write_varint(1 << 3) + wire.write_varint(version) + wire.write_bytes(2, state)


UNREADABLE_STATE = wire.write_bytes(2, b"\xff")


class Changelog:
    """Writes to the snapshot topic, as nobody should."""

    def __init__(self, domain):
        self.topic = domain.topic("snapshot")
        self.producer = Producer({"bootstrap.servers": domain.broker.address, "log_level": 2})

    def write(self, partition, values):
        for email, value in values.items():
            self.producer.produce(self.topic, value, email.encode(), partition)
        assert self.producer.flush(30) == 0


def users_in(partition, count):
    emails = (f"user{number}@example.org" for number in itertools.count())
    return list(itertools.islice((e for e in emails if home_partition(e.encode(), PARTITIONS) == partition), count))


def verify(client, partition, **fields):
    return client.VerifySnapshots(**{"domain": "security", "partition": partition, "timeout": 60, **fields})


def told(answer):
    """{(key, place): kind}"""
    return {
        (d.aggregate_key, d.Place.Name(d.place).removeprefix("PLACE_")): d.Kind.Name(d.kind).removeprefix("KIND_")
        for d in answer.differences
    }


def state_of(payload):
    return json.loads(payload.json)


def test_under_load_nothing_differs(domain, connect, seed):
    client = connect(domain.engine().start_ready()).wait_serving()
    with Load(domain.writer(), seed, per_second=500) as load:
        domain.wait_progress(500)
        for partition in [*range(PARTITIONS), *range(PARTITIONS)]:
            answer = verify(client, partition, repair=True)
            assert answer.differing_aggregate_count == 0, f"{answer}"
            assert answer.aggregate_count > 0 and answer.event_count > 0
        load.stop()
    domain.drain_and_verify()
    events = [key[0] for key in domain.records("event")]
    snapshots = {(r.partition, r.key) for r in domain.records("snapshot").values()}
    for partition in range(PARTITIONS):
        answer = verify(client, partition)
        assert answer.event_count == events.count(partition)
        assert answer.aggregate_count == len([1 for at, _ in snapshots if at == partition])
        assert (answer.differing_aggregate_count, list(answer.differences)) == (0, [])


def test_each_difference_is_told_and_repaired(domain, connect):
    """Store and changelog are made to differ from the events, together and each by itself."""
    partition, changelog = 2, Changelog(domain)
    users = users_in(partition, 12)
    domain.writer().send_all([register(u, "Alex") for u in users[:10]] + [rename(u, "Sam") for u in users[:10]])
    engine = domain.engine().start_ready()
    domain.wait_drained()
    engine.stop()
    right = {u: stored_snapshot(1, u, "Sam") for u in users}
    both_state, both_missing, store_version, store_missing, store_unreadable = users[:5]
    log_missing, log_version, log_unreadable, log_state = users[5:9]
    both_unexpected, store_unexpected = users[10:]
    # Into both: they are read when the engine starts.
    changelog.write(
        partition,
        {
            both_state: stored_snapshot(1, both_state, "Eve"),
            both_missing: None,
            both_unexpected: stored_snapshot(3, both_unexpected, "Nobody"),
            store_version: stored_snapshot(0, store_version, "Alex"),
            store_missing: None,
            store_unreadable: UNREADABLE_STATE,
            store_unexpected: stored_snapshot(0, store_unexpected, "Nobody"),
        },
    )
    client = connect(engine.start_ready()).wait_serving()
    # Into the changelog alone: nobody reads it now.
    changelog.write(
        partition,
        {
            **{u: right[u] for u in (store_version, store_missing, store_unreadable)},
            store_unexpected: None,
            log_missing: None,
            log_version: stored_snapshot(9, log_version, "Sam"),
            log_unreadable: b"\xff",
            log_state: stored_snapshot(1, log_state, "Eve"),
        },
    )
    wrong = {
        (both_state, "STORE"): "STATE",
        (both_state, "CHANGELOG"): "STATE",
        (both_missing, "STORE"): "MISSING",
        (both_missing, "CHANGELOG"): "MISSING",
        (both_unexpected, "STORE"): "UNEXPECTED",
        (both_unexpected, "CHANGELOG"): "UNEXPECTED",
        (store_version, "STORE"): "VERSION",
        (store_missing, "STORE"): "MISSING",
        (store_unreadable, "STORE"): "UNREADABLE",
        (store_unexpected, "STORE"): "UNEXPECTED",
        (log_missing, "CHANGELOG"): "MISSING",
        (log_version, "CHANGELOG"): "VERSION",
        (log_unreadable, "CHANGELOG"): "UNREADABLE",
        (log_state, "CHANGELOG"): "STATE",
    }
    seen = until_answered(lambda: verify(client, partition), 30)
    assert told(seen) == wrong
    places = [(d.aggregate_key, d.place) for d in seen.differences]
    assert places == sorted(places)
    assert (seen.differing_aggregate_count, seen.repaired_aggregate_count) == (11, 0)
    assert not any(d.repaired for d in seen.differences)
    for difference in seen.differences:
        check_difference(difference, right)
    few = verify(client, partition, max_differences=3)
    assert few.differing_aggregate_count == 11
    assert list(few.differences) == list(seen.differences)[:3]

    repaired = verify(client, partition, repair=True)
    assert told(repaired) == wrong
    assert (repaired.differing_aggregate_count, repaired.repaired_aggregate_count) == (11, 11)
    repaired_end = domain.end_offsets("snapshot")[partition]
    for difference in repaired.differences:
        assert difference.repaired
        check_difference(difference, right)

    def check_clean():
        clean = until_answered(lambda: verify(client, partition), 30)  # it has only just been started
        assert (clean.differing_aggregate_count, list(clean.differences)) == (0, [])
        for user in users[:10]:
            snapshot = client.GetSnapshot(**key(user)).snapshot
            assert (snapshot.version, state_of(snapshot.state)["name"]) == (1, "Sam")
        for user in users[10:]:
            refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", lambda user=user: client.GetSnapshot(**key(user)))

    check_clean()
    # As often as it is restored, from the checkpoint or from nothing.
    engine.stop()
    engine.start_ready()
    client = connect(engine).wait_serving()
    check_clean()
    engine.stop()
    engine.delete_store()
    client = connect(engine.start_ready()).wait_serving()
    check_clean()
    domain.writer().send_all(rename(u, "Kim") for u in users[:10])
    domain.wait_drained()
    for user in users[:10]:
        assert client.GetSnapshot(**key(user)).snapshot.version == 2
    # Nothing else is wrong than what was written here, and that not any more.
    for violation in domain.report().violations:
        topic, _, offset = violation.place.rpartition("@")
        if topic == f"{changelog.topic}/{partition}":
            assert int(offset) < repaired_end, violation
        else:
            assert any(user in violation.place for user in (both_unexpected, store_unexpected)), violation
    for user in users[10:]:
        assert client.SubmitCommand(**grpc_client.register(user)).outcome.version == 0


def check_difference(difference, right):
    """What was expected and what was found go with the kind."""
    kind = difference.Kind.Name(difference.kind)
    expected = difference.HasField("expected_version") and difference.HasField("expected_state")
    assert expected == (kind != "KIND_UNEXPECTED")
    if expected:
        name = state_of(difference.expected_state)["name"]
        assert stored_snapshot(difference.expected_version, difference.aggregate_key, name) == right[difference.aggregate_key]
    found = kind not in ("KIND_MISSING", "KIND_UNREADABLE")
    assert difference.HasField("found_version") == difference.HasField("found_state") == found
    if kind == "KIND_STATE":
        assert (difference.found_version, state_of(difference.found_state)["name"]) == (1, "Eve")
    if kind == "KIND_UNEXPECTED":
        assert state_of(difference.found_state)["name"] == "Nobody"


def test_what_cannot_be_verified_is_refused_by_name(domain, connect):
    client = connect(domain.engine().start_ready()).wait_serving()
    user, other = users_in(1, 1)[0], users_in(2, 1)[0]
    domain.writer().send_all([register(user), rename(user, "Sam"), rename(user, "Kim"), register(other)])
    domain.wait_drained()
    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", lambda: verify(client, 0, domain="money"))
    for partition in (-1, PARTITIONS):
        refused("INVALID_ARGUMENT", "INVALID_PARTITION", lambda partition=partition: verify(client, partition))
    refused("INVALID_ARGUMENT", "INVALID_MAX_DIFFERENCES", lambda: verify(client, 0, max_differences=-1))
    domain.delete_records("event", 1, 1)
    error = refused("FAILED_PRECONDITION", "EVENTS_MISSING", lambda: verify(client, 1, repair=True))
    assert "retention.ms" in error.message
    writer = domain.writer()
    writer.topic = domain.topic("event")
    writer.send_all([register(other)])  # a command
    error = refused("FAILED_PRECONDITION", "EVENTS_INCONSISTENT", lambda: verify(client, 2, repair=True))
    assert "offset 2" in error.message
    assert verify(client, 0).event_count == 0


def test_one_verification_runs_at_a_time_and_its_caller_ends_it(domain, connect):
    """The events can't be read to their end while another producer's transaction is open."""
    engine = domain.engine().start_ready()
    client, other = connect(engine).wait_serving(), connect(engine)
    user = users_in(1, 1)[0]
    domain.writer().send_all([register(user)])
    domain.wait_drained()

    def can_run():
        """Partition 0 has nothing to wait for."""
        try:
            return verify(other, 0)
        except CallError as error:
            check_refusal(error, "RESOURCE_EXHAUSTED", "VERIFY_RUNNING", retry=True)

    def start():
        """A verification of partition 1, which runs when this returns."""
        while True:
            pending = client.VerifySnapshots.later(domain="security", partition=1, timeout=60)
            wait_until(lambda: pending.done() or not can_run(), 10, "a verification to run")
            if not pending.done():
                return pending
            check_refusal(pending.outcome(), "RESOURCE_EXHAUSTED", "VERIFY_RUNNING", retry=True)  # by can_run()

    def rename_over_grpc(name):
        """Its event stands behind the open transaction."""
        client.SubmitCommand(**grpc_client.rename(user, name))

    with domain.foreign_transaction("event", b"key", b"value"):
        rename_over_grpc("Sam")
        pending = start()
        pending.cancel()
        wait_until(can_run, 10, "the verification to end")
        refused("DEADLINE_EXCEEDED", "VERIFY_INCOMPLETE", lambda: verify(client, 1, timeout=2))
        pending = start()
    answer = pending.result()  # nothing is left open now
    assert (answer.event_count, answer.differing_aggregate_count) == (2, 0)
    with domain.foreign_transaction("event", b"key", b"value"):
        rename_over_grpc("Kim")
        pending = start()
        assert engine.stop() < STOP_TIMEOUT_S
        check_refusal(pending.outcome(), "UNAVAILABLE", "DRAINING")


def test_any_instance_has_a_partition_verified_by_its_owner(domain, connect):
    users = [f"user{number}@example.org" for number in range(40)]
    domain.writer().send_all(register(user) for user in users)
    engines = [domain.engine(name).start_ready() for name in "ab"]
    for engine in engines:
        engine.wait_owns(2, 60)
    clients = [connect(engine).wait_serving() for engine in engines]
    domain.wait_drained()
    answers = [[until_answered(lambda c=c, p=p: verify(c, p), 30) for p in range(PARTITIONS)] for c in clients]
    assert answers[0] == answers[1]
    assert sum(answer.aggregate_count for answer in answers[0]) == len(users)
    assert not any(answer.differing_aggregate_count for answer in answers[0])


# --- without a broker


def test_the_embedded_log_is_read_likewise(tmp_path, connect):
    engine = Esd(["--log", "embedded"], tmp_path / "data", tmp_path / "esd.log")
    try:
        client = connect(engine.start_ready()).wait_serving()
        commands = [grpc_client.register(f"user{number}@example.org") for number in range(100)]
        client.BatchSubmitCommands(commands=commands)
        answers = [verify(client, partition, repair=True) for partition in range(PARTITIONS)]
        assert sum(answer.aggregate_count for answer in answers) == 100
        assert not any(answer.differing_aggregate_count for answer in answers)
        assert listed(client) == []
        refused(
            "NOT_FOUND",
            "DEAD_LETTER_NOT_FOUND",
            lambda: client.ReplayDeadLetter(domain="security", partition=0, offset=0),
        )
    finally:
        engine.kill()
