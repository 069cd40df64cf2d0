"""Reading aggregates and their histories through the gRPC API."""

import datetime
import json

import pytest

import security_domain
import wire
from grpc_client import EITHER, all_pages, key, new_user, refused, register, rename, result_of
from reference_model import home_partition


@pytest.fixture
def domain(shared_domain):
    """One for all tests here, each of which brings its own users."""
    return shared_domain


# --- GetSnapshot


def test_a_snapshot_is_the_state_after_the_last_command(client, user):
    for version, name in enumerate(("Alex1", "Alex2", "Alex3"), 1):
        client.SubmitCommand(**rename(user, name))
        snapshot = client.GetSnapshot(**key(user)).snapshot
        assert (snapshot.domain, snapshot.aggregate_key, snapshot.version) == ("security", user, version)
        assert snapshot.state.json == f'{{"email":"{user}","name":"{name}"}}'


def test_each_version_can_be_asked_for(client, user):
    for name in ("B", "C", "D"):
        client.SubmitCommand(**rename(user, name))
    for version, name in enumerate(("Alex", "B", "C", "D")):
        snapshot = client.GetSnapshot(**key(user), at_version=version).snapshot
        assert (snapshot.version, json.loads(snapshot.state.json)["name"]) == (version, name)


def test_queries_refuse_what_they_cannot_answer(client, user):
    def ask(**fields):
        return lambda: client.GetSnapshot(**{**key(user), **fields})

    refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", ask(aggregate_key=new_user()))
    refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", ask(aggregate_key=new_user(), at_version=0))
    refused("INVALID_ARGUMENT", "KEY_MISSING", ask(aggregate_key=""))
    refused("INVALID_ARGUMENT", "KEY_TOO_LARGE", ask(aggregate_key="x" * ((1 << 20) + 1)))
    error = refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", ask(domain="nobody"))
    assert "security" in error.metadata["known"]
    refused("INVALID_ARGUMENT", "INVALID_VERSION", ask(at_version=-1))
    refused("INVALID_ARGUMENT", "INVALID_VERSION", ask(min_version=-1))
    refused("INVALID_ARGUMENT", "INVALID_VERSION", ask(at_version=0, min_version=0))
    error = refused("OUT_OF_RANGE", "VERSION_NOT_REACHED", ask(at_version=1))
    assert error.metadata["version"] == "0"


def test_a_minimum_that_is_there_is_answered_at_once(client, user):
    assert client.GetSnapshot(**key(user), min_version=0).snapshot.version == 0


def test_a_minimum_is_waited_for(client, user):
    waiting = client.GetSnapshot.later(**key(user), min_version=2)
    stranger = new_user()
    waiting_for_stranger = client.GetSnapshot.later(**key(stranger), min_version=0)
    client.SubmitCommand(**rename(user, "B"))
    assert not waiting.done()
    client.SubmitCommand(**rename(user, "C"))
    assert waiting.result(10).snapshot.version == 2
    assert not waiting_for_stranger.done()
    client.SubmitCommand(**register(stranger))
    assert waiting_for_stranger.result(10).snapshot.version == 0


def test_a_minimum_that_is_not_there_in_time(client, user):
    # From 10 s on, gRPC tells the server a time that is rounded up.
    for email, timeout_s in ((user, 1), (new_user(), 12)):
        refused(
            "DEADLINE_EXCEEDED",
            "VERSION_NOT_REACHED",
            lambda email=email, timeout_s=timeout_s: client.GetSnapshot(**key(email), min_version=1, timeout=timeout_s),
            retry=EITHER,
        )


# --- BatchGetSnapshots


def test_a_batch_of_snapshots_comes_in_the_order_of_the_request(client):
    users = [new_user() for _ in range(20)]
    for result in client.BatchSubmitCommands(commands=[register(email, email) for email in users[:10]]).results:
        result_of(result)
    asked = [email for pair in zip(users[10:], reversed(users[:10]), strict=True) for email in pair]
    answer = client.BatchGetSnapshots(domain="security", aggregate_keys=asked)
    assert [snapshot.aggregate_key for snapshot in answer.snapshots] == list(reversed(users[:10]))
    assert [json.loads(snapshot.state.json)["name"] for snapshot in answer.snapshots] == list(reversed(users[:10]))
    assert list(answer.not_found) == users[10:]
    answer = client.BatchGetSnapshots(
        domain="security", aggregate_keys=users[:1], payload_format="PAYLOAD_FORMAT_PROTOBUF"
    )
    assert security_domain.decode_state(answer.snapshots[0].state.protobuf)["email"] == users[0]


def test_a_batch_of_snapshots_has_its_limits(client):
    def ask(count, **fields):
        return lambda: client.BatchGetSnapshots(
            **{"domain": "security", "aggregate_keys": [f"nobody{n}@example.org" for n in range(count)], **fields}
        )

    assert len(ask(1000)().not_found) == 1000
    refused("INVALID_ARGUMENT", "BATCH_SIZE", ask(0))
    refused("INVALID_ARGUMENT", "BATCH_SIZE", ask(1001))
    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", ask(1, domain="nobody"))
    refused("INVALID_ARGUMENT", "KEY_MISSING", ask(0, aggregate_keys=["a@b", ""]))


# --- ListSnapshots


@pytest.mark.parametrize("page_size", [1, 7, 249, 250, 251, 0, 5000])
def test_snapshots_are_listed_in_pages(client, crowd, page_size):
    found = all_pages(client.ListSnapshots, domain="security", key_prefix="crowd-", page_size=page_size)
    limit = min(page_size or 100, 1000)
    assert all(len(page.snapshots) <= limit for page in found)
    listed = [snapshot for page in found for snapshot in page.snapshots]
    in_order = sorted(crowd, key=lambda email: (home_partition(email.encode(), 4), email.encode()))
    assert [snapshot.aggregate_key for snapshot in listed] == in_order
    for snapshot in listed:
        assert json.loads(snapshot.state.json)["name"] == snapshot.aggregate_key
        assert (snapshot.domain, snapshot.version) == ("security", 0)


def test_what_was_there_all_the_while_is_listed_once_whatever_comes(client):
    there = [f"flux-{number}@example.org" for number in range(100)]
    for result in client.BatchSubmitCommands(commands=[register(email) for email in there]).results:
        result_of(result)
    token, listed = "", []
    for number in range(1000):
        page = client.ListSnapshots(domain="security", key_prefix="flux-", page_size=20, page_token=token)
        listed += [snapshot.aggregate_key for snapshot in page.snapshots]
        token = page.next_page_token
        if not token:
            break
        client.SubmitCommand(**register(f"flux-{number}-more@example.org"))
        client.SubmitCommand(**rename(there[number], "B"))
    assert len(set(listed)) == len(listed)
    assert set(there) <= set(listed)


def test_lists_refuse_what_they_cannot_answer(client, crowd):
    def ask(**fields):
        return lambda: client.ListSnapshots(**{"domain": "security", "key_prefix": "crowd-", **fields})

    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", ask(domain="nobody"))
    refused("INVALID_ARGUMENT", "INVALID_PAGE_SIZE", ask(page_size=-1))
    refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", ask(page_token="made up"))
    token = ask(page_size=1)().next_page_token
    refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", ask(page_token=token, key_prefix="crow"))
    refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", ask(page_token=token[:-3]))


# --- ListEvents


@pytest.fixture
def renamed(client, user):
    """A user with versions 0 to 24."""
    client.BatchSubmitCommands(commands=[rename(user, f"Name {n}", command_id=f"rename-{n}") for n in range(1, 25)])
    return user


@pytest.mark.parametrize("page_size", [1, 10, 24, 25, 26, 0, 5000])
def test_the_history_of_an_aggregate_is_listed_in_pages(client, renamed, page_size):
    found = all_pages(client.ListEvents, **key(renamed), page_size=page_size)
    assert all(len(page.events) <= (page_size or 100) for page in found)
    events = [event for page in found for event in page.events]
    assert [event.version for event in events] == list(range(25))
    for event in events:
        body = json.loads(event.payload.json)
        name = f"Name {event.version}" if event.version else "Alex"
        assert body == {"email": renamed, "name": name, "version": event.version}
        assert event.type == ("UserNameChangedEvent" if event.version else "UserRegisteredEvent")
        assert event.aggregate_key == renamed
        if event.version:
            assert event.causation_id == f"rename-{event.version}"
        assert not event.HasField("position")


def test_events_say_what_their_records_say(client, domain, renamed):
    records = {record.header("ce_id"): record for record in domain.records("event").values()}
    for event in client.ListEvents(**key(renamed)).events:
        record = records[event.id]
        assert event.causation_id == record.header("esd-causation-id")
        assert str(event.version) == record.header("esd-version")
        recorded = datetime.datetime.fromisoformat(record.header("ce_time"))
        assert event.time.ToDatetime(datetime.UTC) == recorded


def test_a_history_can_be_read_from_a_version_on_and_in_protobuf(client, renamed):
    found = all_pages(client.ListEvents, **key(renamed), from_version=20, page_size=2)
    assert [event.version for page in found for event in page.events] == [20, 21, 22, 23, 24]
    assert not client.ListEvents(**key(renamed), from_version=25).events
    events = client.ListEvents(**key(renamed), from_version=24, payload_format="PAYLOAD_FORMAT_PROTOBUF").events
    assert wire.read_fields(events[0].payload.protobuf) == [(1, 2, renamed.encode()), (2, 2, b"Name 24"), (3, 0, 24)]


def test_histories_refuse_what_they_cannot_answer(client, renamed):
    def ask(**fields):
        return lambda: client.ListEvents(**{**key(renamed), **fields})

    refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", ask(aggregate_key=new_user()))
    refused("INVALID_ARGUMENT", "UNKNOWN_DOMAIN", ask(domain="nobody"))
    refused("INVALID_ARGUMENT", "KEY_MISSING", ask(aggregate_key=""))
    refused("INVALID_ARGUMENT", "INVALID_VERSION", ask(from_version=-1))
    refused("INVALID_ARGUMENT", "INVALID_PAGE_SIZE", ask(page_size=-1))
    refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", ask(page_token="made up"))
    token = ask(page_size=3)().next_page_token
    refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", ask(page_token=token, aggregate_key=new_user()))
