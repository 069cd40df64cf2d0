"""Submitting commands through the gRPC API: what is answered, and each way in which it fails."""

import json

import pytest

import commands
import security_domain
import wire
from grpc_client import (
    CallError,
    check_refusal,
    in_protobuf,
    key,
    name_of,
    new_user,
    refused,
    register,
    rename,
    result_of,
)
from reference_model import home_partition

MAX_COMMAND_BYTES = 1 << 20


@pytest.fixture
def domain(shared_domain):
    """One for all tests here, each of which brings its own users."""
    return shared_domain


# --- SubmitCommand


def test_a_command_is_answered_with_what_stands_in_the_topics(client, domain):
    email = new_user()
    answer = client.SubmitCommand(**register(email, "Alex"))
    outcome = answer.outcome
    assert not answer.replayed
    assert outcome.Status.Name(outcome.status) == "STATUS_ACCEPTED"
    assert outcome.version == 0
    assert outcome.partition == home_partition(email.encode(), 4)
    position = f"{outcome.partition}:{outcome.offset}"
    assert outcome.command_id == position
    assert not outcome.HasField("rejection")
    (event,) = outcome.events
    assert (event.id, event.type, event.version) == (f"{position}:0", "UserRegisteredEvent", 0)
    assert event.aggregate_key == email
    assert event.payload.json == f'{{"email":"{email}","name":"Alex","version":0}}'
    assert not event.HasField("time") and not event.HasField("position")

    command = domain.records("command")[outcome.partition, outcome.offset]
    assert command.key == email.encode()
    document = json.loads(command.value)
    assert document == {"type": "RegisterUserCommand", "command": {"name": "Alex", "email": email}}
    (record,) = (record for record in domain.records("event").values() if record.header("ce_id") == event.id)
    assert json.loads(record.value) == {"type": event.type, "event": json.loads(event.payload.json)}


def test_without_a_command_id_no_reply_is_written(client, domain, user):
    replies = domain.end_offsets("reply")
    client.SubmitCommand(**rename(user, "Alex1"))
    assert domain.end_offsets("reply") == replies


def test_versions_count_up(client, user):
    for version in range(1, 5):
        outcome = client.SubmitCommand(**rename(user, f"Alex{version}")).outcome
        assert outcome.version == outcome.events[0].version == version


def test_a_command_without_effect_is_accepted_without_events(client, user):
    outcome = client.SubmitCommand(**rename(user, "Alex")).outcome
    assert outcome.Status.Name(outcome.status) == "STATUS_ACCEPTED"
    assert (outcome.version, len(outcome.events)) == (0, 0)


def test_the_key_may_be_left_out_or_given(client):
    email = new_user()
    assert client.SubmitCommand(**register(email), aggregate_key=email).outcome.version == 0
    assert client.SubmitCommand(**rename(email, "B"), aggregate_key="").outcome.version == 1


def test_commands_and_answers_in_protobuf(client):
    email, name = new_user(), "Zoë 🦜"
    answer = client.SubmitCommand(**in_protobuf(register(email, name)), payload_format="PAYLOAD_FORMAT_PROTOBUF")
    (event,) = answer.outcome.events
    assert event.type == "UserRegisteredEvent"
    fields = {number: value for number, _, value in wire.read_fields(event.payload.protobuf)}
    assert fields == {1: email.encode(), 2: name.encode()}  # version 0 is the default
    assert json.loads(client.GetSnapshot(**key(email)).snapshot.state.json) == {"email": email, "name": name}
    state = client.GetSnapshot(**key(email), payload_format="PAYLOAD_FORMAT_PROTOBUF").snapshot.state
    assert security_domain.decode_state(state.protobuf) == {"email": email, "name": name}
    for payload_format in ("PAYLOAD_FORMAT_UNSPECIFIED", "PAYLOAD_FORMAT_JSON"):
        assert client.GetSnapshot(**key(email), payload_format=payload_format).snapshot.state.json


@pytest.mark.parametrize(
    ("make", "code", "reason"),
    [
        (lambda user: rename(new_user(), "B"), "NOT_FOUND", "USER_NOT_FOUND"),
        (lambda user: register(user), "ALREADY_EXISTS", "USER_ALREADY_EXISTS"),
        (lambda user: rename(user, ""), "INVALID_ARGUMENT", "INVALID_NAME"),
        (lambda user: rename(user, "x" * 257), "INVALID_ARGUMENT", "INVALID_NAME"),
        (lambda user: register("no-address"), "INVALID_ARGUMENT", "INVALID_EMAIL"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rejection_of_the_domain_is_an_error_with_its_code_and_reason(client, domain, user, make, code, reason):
    command = make(user)
    error = refused(code, reason, lambda: client.SubmitCommand(**command), domain="security", retry=False)
    position = int(error.metadata["partition"]), int(error.metadata["offset"])
    assert error.metadata["commandId"] == "{}:{}".format(*position)
    assert error.metadata.get("version") == ("0" if user in command["payload"]["json"] else None)
    assert domain.records("command")[position].key == json.loads(command["payload"]["json"])["email"].encode()


def test_an_expected_version_that_is_met(client):
    email = new_user()
    assert client.SubmitCommand(**register(email), expected_version=-1).outcome.version == 0
    assert client.SubmitCommand(**rename(email, "B"), expected_version=0).outcome.version == 1


@pytest.mark.parametrize("expected", [-1, 1, 2**63 - 1])
def test_an_expected_version_that_is_not_met_is_told_the_current_one(client, user, expected):
    def submit():
        return client.SubmitCommand(**rename(user, "B"), expected_version=expected)

    error = refused("ABORTED", "VERSION_MISMATCH", submit, domain="security", retry=False)
    assert error.metadata["version"] == "0"
    assert {"partition", "offset", "commandId"} <= error.metadata.keys()
    assert name_of(client, user) == "Alex"


def test_an_expected_version_of_an_aggregate_without_events_is_told_no_version(client):
    def submit():
        return client.SubmitCommand(**register(new_user()), expected_version=0)

    error = refused("ABORTED", "VERSION_MISMATCH", submit, domain="security", retry=False)
    assert "version" not in error.metadata


def test_of_several_commands_with_one_id_all_get_the_first_ones_outcome(client, domain, user):
    first = client.SubmitCommand(**rename(user, "B"), command_id="one")
    assert (first.replayed, first.outcome.command_id) == (False, "one")
    client.SubmitCommand(**rename(user, "C"))
    for again in (rename(user, "B"), in_protobuf(rename(user, "B"))):
        repeated = client.SubmitCommand(**again, command_id="one")
        assert repeated.replayed
        assert repeated.outcome == first.outcome
    assert name_of(client, user) == "C"
    assert client.GetSnapshot(**key(user)).snapshot.version == 2


def test_a_rejection_is_repeated_too(client):
    email = new_user()
    errors = []
    for _ in range(2):
        errors.append(
            refused(
                "NOT_FOUND",
                "USER_NOT_FOUND",
                lambda: client.SubmitCommand(**rename(email, "B"), command_id="one"),
                domain="security",
                retry=False,
            )
        )
        client.SubmitCommand(**register(email), command_id="two")
    assert errors[0].metadata["commandId"] == "one"
    assert errors[1].metadata.pop("replayed") == "true"
    assert errors[0] == errors[1]


def test_a_command_id_with_another_payload_is_refused(client, user):
    client.SubmitCommand(**rename(user, "B"), command_id="one")

    def submit():
        return client.SubmitCommand(**rename(user, "C"), command_id="one")

    error = refused("INVALID_ARGUMENT", "COMMAND_ID_REUSED", submit, domain="security", retry=False)
    assert error.metadata["commandId"] == "one"
    assert name_of(client, user) == "B"


def test_the_same_command_id_for_two_aggregates_is_two_commands(client, user):
    other = new_user()
    assert not client.SubmitCommand(**rename(user, "B"), command_id="one").replayed
    assert not client.SubmitCommand(**register(other), command_id="one").replayed


def test_a_command_that_came_through_kafka_is_known_by_its_id(client, domain):
    email = new_user()
    domain.writer().send_all([commands.register(email, "Kafka").with_id("from-kafka")])
    domain.wait_drained()
    answer = client.SubmitCommand(**register(email, "Kafka"), command_id="from-kafka")
    assert answer.replayed
    told = client.GetCommandOutcome(**key(email), command_id="from-kafka").outcome
    assert told == answer.outcome
    assert json.loads(told.events[0].payload.json)["name"] == "Kafka"


def with_fields(**fields):
    return lambda email: {**register(email), **fields}


def with_json(text):
    return with_fields(payload={"json": text})


REFUSED_BEFORE_WRITING = {
    "unknown domain": (with_fields(domain="nobody"), "UNKNOWN_DOMAIN", "security"),
    "no domain": (with_fields(domain=""), "UNKNOWN_DOMAIN", ""),
    "unknown type": (with_fields(command_type="DropAllUsersCommand"), "UNKNOWN_TYPE", ""),
    "no type": (with_fields(command_type=""), "UNKNOWN_TYPE", ""),
    "an event's type": (with_fields(command_type="UserRegisteredEvent"), "UNKNOWN_TYPE", ""),
    "not JSON": (with_json("?"), "MALFORMED_JSON", ""),
    "another kind": (with_json('{"name":7,"email":"a@b"}'), "MALFORMED_JSON", "name"),
    "an unknown field": (with_json('{"name":"A","email":"a@b","age":7}'), "MALFORMED_JSON", "age"),
    "a repeated name": (with_json('{"name":"A","email":"a@b","name":"B"}'), "MALFORMED_JSON", "name"),
    "not protobuf": (with_fields(payload={"protobuf": b"\x0a\xff"}), "MALFORMED_PROTOBUF", ""),
    "an unknown protobuf field": (
        with_fields(payload={"protobuf": wire.write_bytes(9, b"x")}),
        "MALFORMED_PROTOBUF",
        "",
    ),
    "another key": (with_fields(aggregate_key="somebody@example.net"), "KEY_MISMATCH", ""),
    "too long an id": (with_fields(command_id="x" * 257), "INVALID_COMMAND_ID", "256"),
    "an id with a line end": (with_fields(command_id="a\nb"), "INVALID_COMMAND_ID", ""),
    "an id that isn't ASCII": (with_fields(command_id="ü"), "INVALID_COMMAND_ID", ""),
    "an expected version below -1": (with_fields(expected_version=-2), "INVALID_EXPECTED_VERSION", "-1"),
    "no payload": (with_fields(payload={}), "PAYLOAD_MISSING", ""),
    "too large": (
        lambda email: register(email, "x" * MAX_COMMAND_BYTES),
        "COMMAND_TOO_LARGE",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED_BEFORE_WRITING)
def test_what_cannot_be_a_command_is_refused_before_anything_is_written(client, nothing_written, case):
    make, reason, word = REFUSED_BEFORE_WRITING[case]
    error = refused("INVALID_ARGUMENT", reason, lambda: client.SubmitCommand(**make(new_user())))
    assert word in error.message
    if reason == "UNKNOWN_DOMAIN":
        assert "security" in error.metadata["known"]
    if reason == "UNKNOWN_TYPE":
        for name in security_domain.COMMANDS:
            assert name in error.metadata["known"] and name in error.message
    # In a batch each command fails like this by itself.
    (result,) = client.BatchSubmitCommands(commands=[make(new_user())]).results
    check_refusal(result_of(result), "INVALID_ARGUMENT", reason)


@pytest.mark.parametrize("command_id", ["x" * 256, " ~!", "a"])
def test_command_ids_at_their_limits(client, user, command_id):
    assert client.SubmitCommand(**rename(user, "B"), command_id=command_id).outcome.command_id == command_id
    assert client.SubmitCommand(**rename(user, "B"), command_id=command_id).replayed


@pytest.mark.parametrize("missing", range(0, 201, 20))
def test_a_command_of_nearly_a_mebibyte_gets_a_clear_answer(client, missing):
    """Whether or not the record has room for it: it is never left waiting, or to the dead letters."""
    command = register(new_user())
    body = command["payload"]["json"]
    padded = body + " " * (MAX_COMMAND_BYTES - missing - len(body))
    try:
        client.SubmitCommand(**{**command, "payload": {"json": padded}})
    except CallError as error:
        assert missing < 100, "that fits easily"
        check_refusal(error, "INVALID_ARGUMENT", "COMMAND_TOO_LARGE")


# --- BatchSubmitCommands


def test_a_batch_has_a_result_for_each_command_in_order(client, user):
    stranger = new_user()
    batch = [
        rename(user, "B"),
        rename(stranger, "B"),
        register(user),
        rename(user, "C", command_id="one"),
        {**rename(user, "D"), "payload": {"json": "{"}},
        rename(user, "C", command_id="one"),
        rename(user, "E", expected_version=17),
        in_protobuf(rename(user, "F")),
    ]
    results = [result_of(result) for result in client.BatchSubmitCommands(commands=batch).results]
    assert len(results) == len(batch)
    assert results[0].outcome.version == 1
    check_refusal(results[1], "NOT_FOUND", "USER_NOT_FOUND", domain="security", retry=False)
    check_refusal(results[2], "ALREADY_EXISTS", "USER_ALREADY_EXISTS", domain="security", retry=False)
    assert (results[3].outcome.version, results[3].replayed) == (2, False)
    check_refusal(results[4], "INVALID_ARGUMENT", "MALFORMED_JSON")
    assert (results[5].outcome, results[5].replayed) == (results[3].outcome, True)
    check_refusal(results[6], "ABORTED", "VERSION_MISMATCH", domain="security", retry=False)
    assert results[6].metadata["version"] == "2"
    assert results[7].outcome.version == 3
    assert name_of(client, user) == "F"


def test_a_batch_of_a_thousand_keeps_the_order_of_each_aggregate(client):
    users = [new_user() for _ in range(10)]
    batch = [register(email, "0") for email in users]
    batch += [rename(email, str(number)) for number in range(1, 100) for email in users]
    assert len(batch) == 1000
    results = [result_of(result) for result in client.BatchSubmitCommands(commands=batch).results]
    for at, result in enumerate(results):
        assert result.outcome.version == at // 10
        assert json.loads(result.outcome.events[0].payload.json)["name"] == str(at // 10)
    for email in users:
        assert name_of(client, email) == "99"


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_another_size_is_refused_as_a_whole(client, nothing_written, count):
    def submit():
        return client.BatchSubmitCommands(commands=[register(new_user())] * count)

    error = refused("INVALID_ARGUMENT", "BATCH_SIZE", submit)
    assert "1,000" in error.message or "1000" in error.message


# --- GetCommandOutcome


def test_the_outcome_of_an_accepted_command(client, user):
    answer = client.SubmitCommand(**rename(user, "B"), command_id="one")
    client.SubmitCommand(**rename(user, "C"))
    assert client.GetCommandOutcome(**key(user), command_id="one").outcome == answer.outcome
    told = client.GetCommandOutcome(**key(user), command_id="one", payload_format="PAYLOAD_FORMAT_PROTOBUF").outcome
    assert wire.read_fields(told.events[0].payload.protobuf)[1][2] == b"B"


def test_the_outcome_of_a_rejected_command(client):
    email = new_user()

    def submit():
        return client.SubmitCommand(**rename(email, "B"), command_id="one")

    error = refused("NOT_FOUND", "USER_NOT_FOUND", submit, domain="security", retry=False)
    outcome = client.GetCommandOutcome(**key(email), command_id="one").outcome
    assert outcome.Status.Name(outcome.status) == "STATUS_REJECTED"
    assert (outcome.rejection.code, outcome.rejection.reason) == (5, "USER_NOT_FOUND")
    assert outcome.rejection.message == error.message
    assert (outcome.partition, outcome.offset) == (int(error.metadata["partition"]), int(error.metadata["offset"]))
    assert not outcome.HasField("version") and not outcome.events


def test_the_outcome_of_an_unknown_command(client, user):
    def ask(**fields):
        return lambda: client.GetCommandOutcome(**{**key(user), "command_id": "never sent", **fields})

    refused("NOT_FOUND", "COMMAND_NOT_FOUND", ask())
    refused("NOT_FOUND", "COMMAND_NOT_FOUND", ask(aggregate_key=new_user()))
    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", ask(domain="nobody"))
    refused("INVALID_ARGUMENT", "INVALID_COMMAND_ID", ask(command_id=""))
    refused("INVALID_ARGUMENT", "KEY_MISSING", ask(aggregate_key=""))
