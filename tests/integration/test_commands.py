"""What the engine does with commands of every kind, good and bad. The verifier knows what each must come to."""

import json
import random
import threading

import pytest

from commands import Command, in_protobuf, json_command, register, rename
from reference_model import home_partition
from wire import write_bytes

KEY = b"foo@bar.com"
EMAIL = KEY.decode()
MIB = 1 << 20


def replies(domain):
    return [json.loads(reply.value) for records in domain.read().replies for reply in records]


def dead_letter_reasons(domain):
    return [letter.header("esd-error-reason") for records in domain.read().dead_letters for letter in records]


@pytest.mark.both_versions
def test_a_thousand_users_in_four_partitions(domain):
    users = [f"user{number}@example.org" for number in range(1000)]
    writer = domain.writer()
    writer.send_all(register(user) for user in users)
    domain.engine().start_ready()
    for name in ("Alex1", "Alex2", "Alex3"):
        writer.send_all(rename(user, name) for user in users)
    report = domain.drain_and_verify()
    assert report.counts["aggregates"] == 1000
    assert report.counts["events"] == 4000


@pytest.mark.both_versions
def test_commands_in_random_partitions_are_forwarded_and_change_one_aggregate_each(domain, seed):
    rng = random.Random(seed)
    domain.engine().start_ready()
    writer = domain.writer()
    for number in range(2000):
        user = f"user{number % 100}@example.org"
        command = register(user) if number < 100 else rename(user, f"Name {number}")
        writer.send(command.with_id(f"id-{number}") if number % 3 else command, rng.randrange(4))
    writer.flush()
    report = domain.drain_and_verify()
    assert report.counts["forwarded"] > 1000
    assert report.counts["aggregates"] == 100


# --- bad input


def json_of_depth(depth):
    """A registration with a field that nests arrays; the envelope and the command are two levels of it."""
    nested = "[" * (depth - 2) + "]" * (depth - 2)
    return f'{{"type":"RegisterUserCommand","command":{{"email":"{EMAIL}","name":{nested}}}}}'.encode()


def padded_to(size):
    """A good rename, with white space."""
    value = rename(EMAIL, "Padded").value
    return Command(KEY, value + b" " * (size - len(value)))


RENAME = rename(EMAIL, "Nobody")
PROTOBUF = in_protobuf(RENAME)
POISON = {
    "null key": (Command(None, RENAME.value), "NULL_KEY"),
    "null key and null value": (Command(None, None), "NULL_KEY"),
    "tombstone": (Command(KEY, None), "NULL_VALUE"),
    "empty value": (Command(KEY, b""), "MALFORMED_JSON"),
    "broken JSON": (Command(KEY, RENAME.value[:-3]), "MALFORMED_JSON"),
    "two documents": (Command(KEY, RENAME.value * 2), "MALFORMED_JSON"),
    "a byte order mark": (Command(KEY, b"\xef\xbb\xbf" + RENAME.value), "MALFORMED_JSON"),
    "JSON that is no object": (Command(KEY, b"[1,2]"), "MALFORMED_JSON"),
    "no type": (Command(KEY, b'{"command":{"email":"foo@bar.com","newName":"A"}}'), "MALFORMED_JSON"),
    "a field too many": (
        json_command("ChangeUserNameCommand", {"email": EMAIL, "newName": "A", "x": 1}),
        "MALFORMED_JSON",
    ),
    "a name that is a number": (
        json_command("ChangeUserNameCommand", {"email": EMAIL, "newName": 1}),
        "MALFORMED_JSON",
    ),
    "a field twice": (Command(KEY, RENAME.value.replace(b'"newName"', b'"newName":"A","newName"')), "MALFORMED_JSON"),
    "a type twice": (Command(KEY, RENAME.value.replace(b'{"type"', b'{"type":"A","type"', 1)), "MALFORMED_JSON"),
    "invalid UTF-8": (Command(KEY, RENAME.value.replace(b"Nobody", b"\xc3\x28")), "MALFORMED_JSON"),
    "a lone surrogate": (Command(KEY, RENAME.value.replace(b"Nobody", b"\\ud800")), "MALFORMED_JSON"),
    "nested too deep": (Command(KEY, json_of_depth(65)), "MALFORMED_JSON"),
    "nested a hundred thousand deep": (Command(KEY, json_of_depth(100_000)), "MALFORMED_JSON"),
    "an unknown type": (json_command("DropAllUsersCommand", {"email": EMAIL}), "UNKNOWN_TYPE"),
    "an event as a command": (json_command("UserRegisteredEvent", {"email": EMAIL}), "UNKNOWN_TYPE"),
    "another content type": (RENAME.with_header("content-type", "text/plain"), "UNSUPPORTED_CONTENT_TYPE"),
    "an empty content type": (RENAME.with_header("content-type", ""), "UNSUPPORTED_CONTENT_TYPE"),
    "an expected version that is no number": (RENAME.expecting("soon"), "INVALID_HEADER"),
    "an expected version below -1": (RENAME.expecting(-2), "INVALID_HEADER"),
    "an expected version beyond int64": (RENAME.expecting(1 << 63), "INVALID_HEADER"),
    "an empty expected version": (RENAME.expecting(""), "INVALID_HEADER"),
    "an empty id": (RENAME.with_id(""), "INVALID_HEADER"),
    "an id that is null": (RENAME.with_header("ce_id", None), "INVALID_HEADER"),
    "an id that is too long": (RENAME.with_id("x" * 257), "INVALID_HEADER"),
    "an id with a line break": (RENAME.with_id("a\nb"), "INVALID_HEADER"),
    "JSON that is called protobuf": (
        RENAME.with_header("Content-Type", "application/x-protobuf"),
        "MALFORMED_PROTOBUF",
    ),
    "protobuf that is cut off": (PROTOBUF.with_value(PROTOBUF.value[:-2]), "MALFORMED_PROTOBUF"),
    "empty protobuf": (PROTOBUF.with_value(b""), "MALFORMED_PROTOBUF"),
    "random bytes as protobuf": (PROTOBUF.with_value(random.Random(1).randbytes(200)), "MALFORMED_PROTOBUF"),
    "protobuf with an unknown field": (
        PROTOBUF.with_value(write_bytes(2, write_bytes(1, EMAIL) + write_bytes(9, "?"))),
        "MALFORMED_PROTOBUF",
    ),
    "protobuf with text that isn't UTF-8": (
        PROTOBUF.with_value(write_bytes(2, write_bytes(1, EMAIL) + write_bytes(2, b"\xff\xfe"))),
        "MALFORMED_PROTOBUF",
    ),
    "protobuf of an unknown command": (PROTOBUF.with_value(write_bytes(77, b"")), "UNKNOWN_TYPE"),
    "a value of a byte too many": (padded_to(MIB + 1), "COMMAND_TOO_LARGE"),
    # As large as the topic takes: the dead letter is larger by its headers.
    "as large as the topic takes": (padded_to(MIB + 63 * 1024), "COMMAND_TOO_LARGE"),
}
KEY_CONTRADICTIONS = [
    RENAME.with_key(b"somebody@else.org"),
    RENAME.with_key(b""),
    RENAME.with_key(b"\xff\xfe\x00"),
    RENAME.with_key(b"x" * 100_000),
]
GOOD_EXTREMES = [
    padded_to(MIB),
    rename(EMAIL, "𝄞" * 256),
    register("ä@bücher.example"),
    rename(EMAIL, '\x00 \x1f " \\ / \u2028 é'),
    RENAME.with_header("content-type", "Application/JSON; charset=utf-8"),
    Command(
        KEY, b' { "command" : { "new_name" : "Spaced" , "email" : "foo@bar.com" } , "type" : "ChangeUserNameCommand" } '
    ),
    RENAME.with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    RENAME.with_header("unheard-of", "\x00"),
    RENAME.with_id("x" * 256),
]
REJECTED_BY_THE_DOMAIN = [
    register(EMAIL),
    rename("nobody@example.org", "Alex"),
    rename(EMAIL, ""),
    rename(EMAIL, "x" * 257),
    *(register(email) for email in ("", "foo", "@bar", "foo@", "a@b@c", "a b@c", "x" * 250 + "@b.org")),
    Command(KEY, b'{"type":"RegisterUserCommand","command":{}}'),
    Command(KEY, b'{"type":"RegisterUserCommand","command":{"email":null,"name":null}}'),
]


@pytest.mark.both_versions
def test_bad_input_between_good_commands_is_neither_lost_nor_in_the_way(domain):
    """All kinds at once, in one batch; the good commands around them have their events."""
    writer = domain.writer()
    writer.send(register(EMAIL))
    for number, (poison, _) in enumerate(POISON.values()):
        writer.send(poison, home_partition(KEY, 4))
        writer.send(rename(EMAIL, f"Good {number}"))
    writer.flush()
    engine = domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert sorted(dead_letter_reasons(domain)) == sorted(reason for _, reason in POISON.values())
    assert report.counts["events"] == 1 + len(POISON)
    engine.wait_metric(len(POISON), "esd_dead_letters_total")


@pytest.mark.parametrize("kind", ["null key", "broken JSON", "as large as the topic takes"])
def test_bad_input_while_it_runs_is_put_aside_at_once(domain, kind):
    engine = domain.engine().start_ready()
    poison, reason = POISON[kind]
    writer = domain.writer()
    writer.send(poison, partition=2)
    writer.send_all([register(EMAIL)])
    domain.drain_and_verify()
    assert dead_letter_reasons(domain) == [reason]
    assert engine.running()


def test_bad_input_in_the_wrong_partition_is_put_aside_where_it_stands(domain):
    writer = domain.writer()
    for partition in range(4):
        writer.send(POISON["broken JSON"][0], partition)
        writer.send(POISON["as large as the topic takes"][0], partition)
        writer.send(padded_to(MIB), partition)
    writer.flush()
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert report.counts["dead letter"] == 8
    assert report.counts["forwarded"] == 3


def test_a_key_that_contradicts_the_command_is_rejected(domain):
    domain.writer().send_all([register(EMAIL), *KEY_CONTRADICTIONS])
    domain.engine().start_ready()
    domain.drain_and_verify()
    assert [reply["reason"] for reply in replies(domain)] == ["KEY_MISMATCH"] * len(KEY_CONTRADICTIONS)


def test_unusual_but_good_commands_are_accepted(domain):
    domain.writer().send_all([register(EMAIL), *GOOD_EXTREMES])
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert report.counts["accepted"] == 1 + len(GOOD_EXTREMES)


def test_what_the_domain_refuses_is_answered_with_its_reason(domain):
    domain.writer().send_all([register(EMAIL), *REJECTED_BY_THE_DOMAIN])
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert report.counts["rejected"] == len(REJECTED_BY_THE_DOMAIN)
    assert report.counts["events"] == 1


def test_an_event_that_its_topic_would_not_take_is_a_rejection(bare_domain):
    """The limits are the topics' own: here a snapshot and an event may have 4 KiB."""
    bare_domain.create_topics_by_hand(dict.fromkeys(("command", "event", "snapshot", "reply", "dead-letter"), 1))
    domain = bare_domain
    for kind in ("event", "snapshot"):
        domain.alter_topic(kind, "max.message.bytes", 4096)
    domain.alter_topic("dead-letter", "max.message.bytes", 2 * MIB)
    domain.engine(extra_args=["--create-topics", "--partitions", "1"]).start_ready()  # makes the ownership topic
    writer = domain.writer()
    long_but_valid = "long@" + "x" * 240
    trace = "0" * 4000
    writer.send_all(
        [register(EMAIL), rename(EMAIL, "Alex1").with_header("traceparent", trace), register(long_but_valid)]
    )
    domain.wait_drained()
    (reply,) = replies(domain)
    assert (reply["code"], reply["reason"]) == ("RESOURCE_EXHAUSTED", "RECORD_TOO_LARGE")
    assert sum(map(len, domain.read().events)) == 2


def test_commands_in_protobuf_have_the_same_events_as_in_json(domain):
    commands = [register(EMAIL), rename(EMAIL, "Ümläut 𝄞"), rename("nobody@example.org", "A"), rename(EMAIL, "")]
    domain.writer().send_all(map(in_protobuf, commands))
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert (report.counts["accepted"], report.counts["rejected"]) == (2, 2)


# --- command ids


DUPLICATES = [
    register(EMAIL).with_id("first"),
    register(EMAIL).with_id("first"),
    rename(EMAIL, "Alex1").with_id("second"),
    rename(EMAIL, "Alex2").with_id("third"),
    rename(EMAIL, "Alex1").with_id("second"),
    register(EMAIL).with_id("rejected"),
    register(EMAIL).with_id("rejected"),
    rename(EMAIL, "Alex2").with_id("no event"),
    rename(EMAIL, "Alex2").with_id("no event"),
    rename(EMAIL, "Alex5").with_id("conflict").expecting(77),
    rename(EMAIL, "Alex5").with_id("conflict").expecting(2),
    in_protobuf(rename(EMAIL, "Alex1")).with_id("second"),
    rename(EMAIL, "Another").with_id("second"),
    rename("nobody@example.org", "A").with_id("second"),  # another aggregate: another id
]


def test_a_repeated_id_gets_the_first_outcome_and_changes_nothing(domain):
    domain.writer().send_all(DUPLICATES)
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert report.counts["duplicate"] == 6
    assert report.counts["events"] == 3
    assert sum(reply.get("reason") == "COMMAND_ID_REUSED" for reply in replies(domain)) == 1


@pytest.mark.parametrize("store", ["kept", "deleted"])
def test_a_repeated_id_is_recognised_after_a_restart(domain, store):
    engine = domain.engine().start_ready()
    writer = domain.writer()
    writer.send_all(DUPLICATES)
    domain.wait_drained()
    engine.stop()
    if store == "deleted":
        engine.delete_store()
    writer.send_all(DUPLICATES)
    engine.start_ready()
    report = domain.drain_and_verify()
    assert report.counts["duplicate"] == 6 + len(DUPLICATES) - 1
    assert report.counts["events"] == 3


def test_a_repeated_id_in_the_wrong_partition_is_recognised_at_home(domain):
    domain.engine().start_ready()
    writer = domain.writer()
    for partition in range(4):
        writer.send(register(EMAIL).with_id("once"), partition)
    writer.flush()
    report = domain.drain_and_verify()
    assert report.counts["events"] == 1
    assert report.counts["duplicate"] == 3


# --- expected versions


def test_of_fifty_producers_that_expect_the_same_version_one_is_accepted(domain):
    domain.engine().start_ready()
    domain.writer().send_all([register(EMAIL)])
    start = threading.Barrier(50)

    def produce(number):
        writer = domain.writer()
        start.wait(60)
        writer.send(rename(EMAIL, f"Alex{number}").with_id(f"id-{number}").expecting(0))
        writer.flush()

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    domain.drain_and_verify()
    outcomes = replies(domain)
    assert sum(reply["status"] == "ACCEPTED" for reply in outcomes) == 1
    lost = [(reply["code"], reply["reason"], reply["version"]) for reply in outcomes if reply["status"] == "REJECTED"]
    assert lost == [("ABORTED", "VERSION_MISMATCH", 1)] * 49


def test_minus_one_expects_that_the_aggregate_does_not_exist(domain):
    domain.writer().send_all(
        [
            rename("nobody@example.org", "A").expecting(0),
            register(EMAIL, "Alex").expecting(-1),
            register(EMAIL, "Alex").expecting(-1),
            rename(EMAIL, "Alex1").expecting(-1),
            rename(EMAIL, "Alex1").expecting(0),
        ]
    )
    domain.engine().start_ready()
    report = domain.drain_and_verify()
    assert report.counts["events"] == 2
    nobody = next(reply for reply in replies(domain) if "version" not in reply)
    assert (nobody["code"], nobody["reason"]) == ("ABORTED", "VERSION_MISMATCH")
    assert [reply["version"] for reply in replies(domain) if "version" in reply] == [0, 0]
