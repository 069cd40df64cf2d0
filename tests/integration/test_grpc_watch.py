"""WatchEvents: the events as they are committed, each once."""

import datetime
import itertools
import json

import pytest

import commands
import wire
from grpc_client import TRACEPARENT, Watch, first_response, new_user, refused, register, rename
from reference_model import home_partition


@pytest.fixture
def domain(shared_domain):
    """One for all tests here, each of which brings its own users."""
    return shared_domain


def positions_of(events):
    return [(event.position.partition, event.position.offset) for event in events]


def assert_in_order(events):
    """Each once, and in offset order within each partition."""
    last = {}
    for partition, offset in positions_of(events):
        assert offset > last.get(partition, -1), f"offset {offset} of {partition} after {last[partition]}"
        last[partition] = offset


def test_a_watch_from_now_sees_what_comes_after_its_first_response_and_nothing_else(client, user):
    with Watch(client) as watch:
        assert not watch.responses[0].events
        assert watch.resume_token
        outcomes = [client.SubmitCommand(**rename(user, f"Name {number}")).outcome for number in range(10)]
        events = watch.wait_events(10)
        assert [event.id for event in events] == [outcome.events[0].id for outcome in outcomes]
        assert [event.aggregate_key for event in events] == [user] * 10


def test_a_watch_from_the_beginning_sees_the_whole_topic_as_it_is(client, domain, crowd):
    client.SubmitCommand(**register(new_user()), headers=[("traceparent", TRACEPARENT)])
    records = domain.records("event")
    with Watch(client, beginning={}) as watch:
        events = list(watch.wait_events(len(records)))
    assert_in_order(events)
    assert set(positions_of(events)) == records.keys()
    for event in events:
        record = records[event.position.partition, event.position.offset]
        document = json.loads(record.value)
        assert event.id == record.header("ce_id")
        assert (event.type, json.loads(event.payload.json)) == (document["type"], document["event"])
        assert (event.version, event.aggregate_key.encode()) == (int(record.header("esd-version")), record.key)
        assert event.causation_id == record.header("esd-causation-id")
        assert event.traceparent == (record.header("traceparent") or "")
        assert event.time.ToDatetime(datetime.UTC) == datetime.datetime.fromisoformat(record.header("ce_time"))


def wait_all_seen(watch, client):
    """Returns once the watch must have shown all that is committed now, with the ids of all its events before that."""
    last = [new_user(partition) for partition in range(4)]
    for email in last:
        client.SubmitCommand(**register(email))
    watch.wait(lambda: set(last) <= {event.aggregate_key for event in watch.events}, "the last event of each partition")
    return [event.id for event in watch.events if event.aggregate_key not in last]


def test_a_watch_goes_on_behind_each_resume_token(client, domain, crowd):
    count = len(domain.records("event"))
    with Watch(client, beginning={}) as watch:
        watch.wait_events(count)
        responses = list(watch.responses)
    ids = [event.id for response in responses for event in response.events]
    ends = list(itertools.accumulate(len(response.events) for response in responses))
    for at in {0, 1, len(responses) // 2, len(responses) - 1}:
        rest = set(ids[ends[at] :])
        with Watch(client, resume_token=responses[at].resume_token) as resumed:
            found = wait_all_seen(resumed, client)
        assert len(set(found)) == len(found)
        assert rest <= set(found), "the token covers too much"
        assert not set(found) & set(ids[: ends[at]]), "the token covers too little"


def test_a_watch_from_positions_begins_exactly_there(client, domain, crowd):
    records = domain.records("event")
    offsets = sorted(offset for partition, offset in records if partition == 2)
    begin = offsets[len(offsets) // 2]
    wanted = [(2, offset) for offset in offsets if offset >= begin]
    with Watch(client, positions={"next": [{"partition": 2, "offset": begin}]}) as watch:
        events = list(watch.wait_events(len(wanted)))
    assert positions_of(events) == wanted


def test_a_watch_can_be_filtered_by_key_and_type(client):
    """All users live in one partition, so the last event comes last."""
    first, second, third = (new_user(partition=1) for _ in range(3))
    client.SubmitCommand(**register(first))
    by_key = Watch(client, aggregate_keys=[first, second])
    by_type = Watch(client, event_types=["UserNameChangedEvent"])
    by_both = Watch(client, aggregate_keys=[second], event_types=["UserNameChangedEvent"])
    registered, changed = "UserRegisteredEvent", "UserNameChangedEvent"
    with by_key, by_type, by_both:
        for command in (rename(first, "B"), register(third), register(second), rename(second, "C")):
            client.SubmitCommand(**command)
        shown = [kinds_until(watch, (second, changed)) for watch in (by_key, by_type, by_both)]
    assert shown[0] == [(first, changed), (second, registered), (second, changed)]
    assert shown[1] == [(first, changed), (second, changed)]
    assert shown[2] == [(second, changed)]


def kinds_until(watch, last):
    """Whose events of which type were shown, when the last one has come."""

    def kinds():
        return [(event.aggregate_key, event.type) for event in watch.events]

    watch.wait(lambda: last in kinds(), f"{last}")
    return kinds()


def test_a_filtered_watch_still_makes_progress(client, user):
    """Its token moves on over what it does not want, so that a resumed one need not read it all again."""
    neighbour = new_user(home_partition(user.encode(), 4))
    with Watch(client, aggregate_keys=[neighbour], heartbeat_interval={"seconds": 1}) as watch:
        token = watch.resume_token
        client.SubmitCommand(**rename(user, "B"))
        watch.wait(lambda: watch.resume_token != token, "another token")
        assert not watch.events
        token = watch.resume_token
    with Watch(client, resume_token=token) as resumed:
        client.SubmitCommand(**rename(user, "C"))
        (event,) = resumed.wait_events(1)
        assert json.loads(event.payload.json)["name"] == "C"


def test_a_token_of_a_filtered_watch_loses_nothing_for_a_wider_one(client):
    """What the first watch did not look at at all, the second one still has to see."""
    watched, other = new_user(partition=0), new_user(partition=3)
    with Watch(client, aggregate_keys=[watched]) as watch:
        client.SubmitCommand(**register(other))
        client.SubmitCommand(**register(watched))
        watch.wait_events(1)
        token = watch.resume_token
    with Watch(client, resume_token=token) as resumed:
        (event,) = resumed.wait_events(1)
        assert event.aggregate_key == other


def test_a_quiet_watch_gets_heartbeats(client):
    with Watch(client, heartbeat_interval={"seconds": 1}) as watch:
        watch.wait(lambda: len(watch.responses) >= 4, "three heartbeats", timeout_s=10)
        assert all(response.resume_token for response in watch.responses)
        assert not watch.events


def test_a_watch_in_protobuf(client, user):
    with Watch(client, aggregate_keys=[user], payload_format="PAYLOAD_FORMAT_PROTOBUF") as watch:
        client.SubmitCommand(**rename(user, "B"))
        (event,) = watch.wait_events(1)
        assert wire.read_fields(event.payload.protobuf) == [(1, 2, user.encode()), (2, 2, b"B"), (3, 0, 1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"domain": "nobody"}, "UNKNOWN_DOMAIN"),
        ({"resume_token": "made up"}, "INVALID_POSITION"),
        ({"positions": {"next": [{"partition": 4, "offset": 0}]}}, "INVALID_POSITION"),
        ({"positions": {"next": [{"partition": -1, "offset": 0}]}}, "INVALID_POSITION"),
        ({"positions": {"next": [{"partition": 0, "offset": -1}]}}, "INVALID_POSITION"),
        ({"positions": {"next": [{"partition": 0, "offset": 0}] * 2}}, "INVALID_POSITION"),
        ({"aggregate_keys": [f"user{number}@example.org" for number in range(101)]}, "BATCH_SIZE"),
        ({"aggregate_keys": [""]}, "KEY_MISSING"),
        ({"event_types": ["RegisterUserCommand"]}, "UNKNOWN_TYPE"),
        ({"heartbeat_interval": {"nanos": 1}}, "INVALID_HEARTBEAT"),
        ({"heartbeat_interval": {"seconds": 3601}}, "INVALID_HEARTBEAT"),
        ({"heartbeat_interval": {"seconds": -1}}, "INVALID_HEARTBEAT"),
    ],
    ids=str,
)
def test_watches_refuse_what_they_cannot_give(client, fields, reason):
    request = {"domain": "security", **fields}
    refused("INVALID_ARGUMENT", reason, lambda: first_response(client, **request))


def test_a_position_that_the_topic_no_longer_has_is_gone(make_domain, broker, connect):
    domain = make_domain(broker).create_topics(1)
    engine = domain.engine().start_ready()
    client = connect(engine).wait_serving()
    with Watch(client, beginning={}) as watch:
        for _ in range(5):
            client.SubmitCommand(**register(new_user()))
        events = list(watch.wait_events(5))
        token = watch.responses[0].resume_token  # behind none of them
    domain.delete_records("event", 0, events[3].position.offset)
    gone = {"positions": {"next": [{"partition": 0, "offset": events[0].position.offset}]}}
    refused("OUT_OF_RANGE", "POSITION_GONE", lambda: first_response(client, domain="security", **gone))
    refused("OUT_OF_RANGE", "POSITION_GONE", lambda: first_response(client, domain="security", resume_token=token))
    with Watch(client, beginning={}) as watch:
        assert [event.id for event in watch.wait_events(2)] == [events[3].id, events[4].id]


def test_a_watch_shows_nothing_of_a_transaction_that_is_open_or_aborted(make_domain, broker, connect):
    domain = make_domain(broker).create_topics(1)
    client = connect(domain.engine().start_ready()).wait_serving()
    with Watch(client, beginning={}) as watch:
        with domain.foreign_transaction("event", b"nobody@example.org", b"never happened"):
            outcome = client.SubmitCommand(**register(new_user())).outcome
            # Behind the open transaction, so no careful reader is shown it yet.
            assert not watch.events
        assert [event.id for event in watch.wait_events(1)] == [outcome.events[0].id]


def test_a_watch_over_restarts_of_the_server_sees_each_event_once(make_domain, broker, connect):
    domain = make_domain(broker).create_topics(4)
    engine = domain.engine().start_ready()
    seen, start = [], {"beginning": {}}
    for stop_it in (engine.stop, engine.kill, engine.stop, engine.kill):
        client = connect(engine).wait_serving()
        with Watch(client, **start) as watch:
            for _ in range(20):
                client.SubmitCommand(**register(new_user()))
            watch.wait_events(10)
            domain.writer().send_all(commands.register(new_user()) for _ in range(500))
            stop_it()
            error = watch.wait_end()
            assert error.code == "UNAVAILABLE"
            seen += watch.events
            start = {"resume_token": watch.resume_token}
        engine.start_ready()
    domain.wait_drained()
    records = domain.records("event")
    with Watch(connect(engine).wait_serving(), **start) as watch:
        watch.wait(lambda: len(seen) + len(watch.events) >= len(records), "all the rest")
        seen += watch.events
    assert len(records) == 4 * 520
    assert_in_order(seen)
    assert set(positions_of(seen)) == records.keys()
