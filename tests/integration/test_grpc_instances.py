"""The gRPC API of several instances: any of them answers, and none of them what isn't so any more."""

import collections
import itertools
import json
import os
import random
import threading
import time

import pytest

import commands
from engine_process import SESSION_TIMEOUT_S
from grpc_client import (
    EITHER,
    TIMEOUT_S,
    TRACEPARENT,
    CallError,
    PendingCall,
    Watch,
    check_refusal,
    key,
    refused,
    register,
    rename,
    result_of,
    until_answered,
)
from reference_model import home_partition
from waiting import wait_until

LONG = os.environ.get("ESD_TEST_LONG") == "1"
# Until partitions of an instance that is not heard of are served by another.
TAKE_OVER_TIMEOUT_S = SESSION_TIMEOUT_S + 30
PARTITIONS = 4
MOVES = 20 if LONG else 3
MOVING = ("PARTITION_MOVING", "OWNER_UNREACHABLE", "DRAINING")


class Pair:
    """Two instances with two of the four partitions each, and a client of each."""

    def __init__(self, domain, connect, extra_args=()):
        self.domain = domain
        self.engines = [
            domain.engine(name, extra_args=["--instance-id", name, *extra_args]).start_ready() for name in "ab"
        ]
        for engine in self.engines:
            engine.wait_owns(2, TAKE_OVER_TIMEOUT_S)
        self.clients = [connect(engine).wait_serving() for engine in self.engines]
        wait_until(lambda: len(set(self.owners())) == 2, TAKE_OVER_TIMEOUT_S, lambda: f"two owners: {self.owners()}")

    def owners(self):
        """The engines' names by partition, when both agree and every partition is served."""
        answers = [client.ListPartitions().partitions for client in self.clients]
        owners = [
            [p.instance_id if p.State.Name(p.state) == "STATE_SERVING" else "" for p in partitions]
            for partitions in answers
        ]
        return owners[0] if owners[0] == owners[1] and all(owners[0]) else []

    def users_of(self, name, count):
        """Users in partitions that this instance owns."""
        owners = self.owners()
        emails = (f"user{number}@example.org" for number in itertools.count())
        return list(
            itertools.islice((e for e in emails if owners[home_partition(e.encode(), PARTITIONS)] == name), count)
        )


@pytest.fixture
def pair(domain, connect):
    return Pair(domain, connect)


# --- the wrong instance


@pytest.mark.parametrize("asked", [0, 1], ids=["first", "second"])
def test_each_call_to_the_wrong_instance_is_answered_as_by_the_right_one(pair, domain, asked):
    client, owner = pair.clients[asked], pair.clients[1 - asked]
    foreign = pair.users_of("ba"[asked], 3)
    own = pair.users_of("ab"[asked], 2)
    email = foreign[0]

    answer = client.SubmitCommand(**register(email, "A"), command_id="one", headers=[("traceparent", TRACEPARENT)])
    assert (answer.outcome.version, answer.replayed) == (0, False)
    assert owner.SubmitCommand(**register(email, "A"), command_id="one").outcome == answer.outcome
    assert client.GetCommandOutcome(**key(email), command_id="one").outcome == answer.outcome
    refused("NOT_FOUND", "COMMAND_NOT_FOUND", lambda: client.GetCommandOutcome(**key(email), command_id="two"))

    error = refused(
        "ABORTED",
        "VERSION_MISMATCH",
        lambda: client.SubmitCommand(**rename(email, "B"), expected_version=5),
        domain="security",
        retry=False,
    )
    assert error.metadata["version"] == "0"

    mixed = [register(user, "A") for user in (*foreign[1:], *own)]
    mixed += [rename(user, "B") for user in (*foreign, *own)] + [rename("stranger@example.org", "B")]
    results = [result_of(result) for result in client.BatchSubmitCommands(commands=mixed).results]
    assert [r.outcome.version for r in results[:-1]] == [0] * 4 + [1] * 5
    check_refusal(results[-1], "NOT_FOUND", "USER_NOT_FOUND", domain="security", retry=False)

    for user in (*foreign, *own):
        snapshot = client.GetSnapshot(**key(user)).snapshot
        assert (snapshot.version, json.loads(snapshot.state.json)["name"]) == (1, "B")
        assert client.GetSnapshot(**key(user)).snapshot == owner.GetSnapshot(**key(user)).snapshot
    assert client.GetSnapshot(**key(email), at_version=0).snapshot.version == 0
    waiting = client.GetSnapshot.later(**key(email), min_version=2)
    client.SubmitCommand(**rename(email, "C"))
    assert waiting.result().snapshot.version == 2
    refused(
        "DEADLINE_EXCEEDED",
        "VERSION_NOT_REACHED",
        lambda: client.GetSnapshot(**key(email), min_version=9, timeout=1),
        retry=EITHER,
    )
    nobody = [user for user in pair.users_of("ba"[asked], 9)[3:]]
    refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", lambda: client.GetSnapshot(**key(nobody[0])))

    asked_for = [foreign[2], nobody[0], own[0], foreign[1], nobody[1], own[1], foreign[0]]
    batch = client.BatchGetSnapshots(domain="security", aggregate_keys=asked_for)
    assert [snapshot.aggregate_key for snapshot in batch.snapshots] == [u for u in asked_for if u not in nobody]
    assert list(batch.not_found) == nobody[:2]
    assert batch == owner.BatchGetSnapshots(domain="security", aggregate_keys=asked_for)

    everybody = sorted((*foreign, *own), key=lambda user: (home_partition(user.encode(), PARTITIONS), user))
    assert listed_keys(client, page_size=2) == listed_keys(owner, page_size=1000) == everybody

    events = client.ListEvents(**key(email)).events
    assert [event.version for event in events] == [0, 1, 2]
    assert events[0].traceparent == TRACEPARENT
    page = client.ListEvents(**key(email), page_size=2)
    rest = owner.ListEvents(**key(email), page_size=2, page_token=page.next_page_token)
    assert [event.version for event in (*page.events, *rest.events)] == [0, 1, 2]

    with Watch(client, beginning={}) as watch:
        seen = watch.wait_events(11)
        assert {event.aggregate_key for event in seen} == set(everybody)
    domain.drain_and_verify()


def listed_keys(client, page_size):
    token, found = "", []
    while True:
        page = client.ListSnapshots(domain="security", page_size=page_size, page_token=token)
        found += [snapshot.aggregate_key for snapshot in page.snapshots]
        token = page.next_page_token
        if not token:
            return found


def test_a_call_that_was_forwarded_already_goes_no_further(pair):
    foreign = pair.users_of("b", 1)[0]
    client, forwarded = pair.clients[0], [("esd-forwarded", "1")]
    refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", lambda: client.GetSnapshot(**key(foreign)))
    for call in (
        lambda: client.GetSnapshot(**key(foreign), headers=forwarded),
        lambda: client.SubmitCommand(**register(foreign, "A"), headers=forwarded),
        lambda: client.ListEvents(**key(foreign), headers=forwarded),
        lambda: client.GetCommandOutcome(**key(foreign), command_id="one", headers=forwarded),
    ):
        refused("UNAVAILABLE", "PARTITION_MOVING", call)


def test_both_instances_tell_the_same_about_the_group(pair):
    for number, client in enumerate(pair.clients):
        instances = client.ListInstances().instances
        assert [(instance.instance_id, instance.address) for instance in instances] == [
            (name, engine.grpc) for name, engine in zip("ab", pair.engines, strict=True)
        ]
        assert [instance.self for instance in instances] == [number == 0, number == 1]
        assert [instance.partition_count for instance in instances] == [2, 2]
    first, second = ([pair_of(p) for p in client.ListPartitions().partitions] for client in pair.clients)
    assert first == second
    assert collections.Counter(address for _, _, address, _ in first) == {engine.grpc: 2 for engine in pair.engines}


def pair_of(partition):
    return partition.partition, partition.instance_id, partition.address, partition.generation


def test_an_owner_that_does_not_answer_is_named_and_holds_up_nobody_else(pair):
    pair.engines[1].suspend()
    states = [(p.instance_id, p.State.Name(p.state)) for p in pair.clients[0].ListPartitions(timeout=5).partitions]
    assert collections.Counter(states) == {("a", "STATE_SERVING"): 2, ("b", "STATE_UNREACHABLE"): 2}
    pair.engines[1].resume()


def test_generations_rise_when_partitions_move(pair):
    before = {p.partition: p.generation for p in pair.clients[0].ListPartitions().partitions if p.instance_id == "b"}
    pair.engines[1].stop()
    pair.engines[0].wait_owns(PARTITIONS, TAKE_OVER_TIMEOUT_S)

    assert len(before) == 2

    def generations():
        partitions = pair.clients[0].ListPartitions().partitions
        return {p.partition: p.generation for p in partitions if p.instance_id == "a" and p.partition in before}

    def all_have_risen():
        now = generations()
        return all(now.get(partition, -1) > generation for partition, generation in before.items())

    wait_until(all_have_risen, 10, lambda: f"more than {before}, not {generations()}")


# --- partitions that move


class Mover(threading.Thread):
    """Renames one user at random instances, and reads the name back at another; each answer must fit what it knows."""

    def __init__(self, number, clients, rng):
        super().__init__(daemon=True)
        self.user = f"mover{number}@example.org"
        self.clients, self.rng = clients, rng
        self.version, self.name = -1, ""
        self.stopping = threading.Event()
        self.errors = collections.Counter()
        self.failure = None

    def run(self):
        try:
            for count in range(1_000_000):
                if self.stopping.is_set():
                    return
                self.submit(count)
                self.read()
        except Exception as error:  # shown by the test, which waits in another thread
            self.failure = error

    def submit(self, count):
        make = rename if self.version >= 0 else register
        request = make(self.user, f"Name {count}", command_id=str(count))
        outcome = self.ask(lambda client: client.SubmitCommand(**request, timeout=3)).outcome
        assert outcome.version == self.version + 1, f"{self.user}: version {outcome.version} follows {self.version}"
        self.version, self.name = outcome.version, f"Name {count}"

    def read(self):
        snapshot = self.ask(lambda client: client.GetSnapshot(**key(self.user), timeout=3)).snapshot
        found = snapshot.version, json.loads(snapshot.state.json)["name"]
        assert found == (self.version, self.name), f"{self.user} was read as {found}, not {(self.version, self.name)}"

    def ask(self, call):
        """At any instance of those that are there."""
        return until_answered(
            lambda: call(self.rng.choice(self.clients())),
            TAKE_OVER_TIMEOUT_S + TIMEOUT_S,
            self.errors,
            self.stopping,
        )


@pytest.mark.parametrize("way", ["stop", "kill", "suspend"])
def test_while_partitions_move_calls_fail_in_a_way_that_can_be_repeated_and_never_show_the_past(
    pair, connect, seed, way
):
    awake = list(pair.clients)
    movers = [Mover(number, lambda: list(awake), random.Random(seed + number)) for number in range(8)]
    for mover in movers:
        mover.start()

    def progress(count=5):
        targets = [mover.version + count for mover in movers]

        def reached():
            for mover in movers:
                if mover.failure:
                    raise mover.failure
            return all(mover.version >= target for mover, target in zip(movers, targets, strict=True))

        wait_until(reached, TAKE_OVER_TIMEOUT_S + TIMEOUT_S, lambda: f"{targets}, at {[m.version for m in movers]}")

    second = pair.engines[1]
    for _ in range(MOVES):
        progress()
        getattr(second, way)()
        del awake[1:]  # some calls are on their way to it all the same
        pair.engines[0].wait_owns(PARTITIONS, TAKE_OVER_TIMEOUT_S)
        progress()
        if way == "suspend":
            awake.append(pair.clients[1])  # so that calls wait for it when it wakes
            second.resume()
        else:
            second.start_ready()
            awake.append(connect(second))
        second.wait_owns(2, TAKE_OVER_TIMEOUT_S)
    progress()
    for mover in movers:
        mover.stopping.set()
    for mover in movers:
        mover.join(TIMEOUT_S)
        assert not mover.is_alive(), "a call hangs"
        if mover.failure:
            raise mover.failure
    print(sum((mover.errors for mover in movers), collections.Counter()))
    pair.domain.drain_and_verify()


def test_an_owner_that_slept_through_its_session_never_answers_with_what_it_knew(pair, seed):
    """The calls wait in its socket while it sleeps, so they are the first thing that it sees when it wakes."""
    users = pair.users_of("b", 20)
    sleeper, awake = pair.clients[1], pair.clients[0]
    for result in awake.BatchSubmitCommands(
        commands=[register(user, "Old", command_id="old") for user in users]
    ).results:
        result_of(result)
    for user in users:  # the sleeper has answered for these users before: whatever it keeps, it has it now
        assert sleeper.GetSnapshot(**key(user)).snapshot.version == 0
        assert len(sleeper.ListEvents(**key(user)).events) == 1
    for round_number in range(1, 4):
        sleep_and_be_replaced(pair, users, round_number)
    pair.domain.drain_and_verify()


def sleep_and_be_replaced(pair, users, version):
    sleeper, awake = pair.clients[1], pair.clients[0]
    name, command_id = f"New {version}", f"new {version}"
    pair.engines[1].suspend()
    pair.engines[0].wait_owns(PARTITIONS, TAKE_OVER_TIMEOUT_S)
    for user in users:
        request = rename(user, name, command_id=command_id)
        renamed = until_answered(lambda request=request: awake.SubmitCommand(**request), TAKE_OVER_TIMEOUT_S)
        assert renamed.outcome.version == version

    def ask_all():
        """Calls of every kind that a stale store could answer, and what their answers must say."""
        for user in users:
            yield sleeper.GetSnapshot.later(**key(user)), lambda answer: [answer.snapshot.version]
            yield sleeper.ListEvents.later(**key(user)), lambda answer: [len(answer.events) - 1]
            yield (
                sleeper.GetCommandOutcome.later(**key(user), command_id=command_id),
                lambda answer: [answer.outcome.version],
            )
        yield (
            sleeper.BatchGetSnapshots.later(domain="security", aggregate_keys=users),
            lambda answer: [snapshot.version for snapshot in answer.snapshots],
        )
        yield (
            sleeper.ListSnapshots.later(domain="security"),
            lambda answer: [snapshot.version for snapshot in answer.snapshots],
        )

    queued = list(ask_all())
    pair.engines[1].resume()
    answered, deadline = 0, time.monotonic() + TAKE_OVER_TIMEOUT_S
    while True:
        answers = [assert_not_old(call, versions_of, version) for call, versions_of in queued]
        answered += sum(answers)
        if all(answers):  # all of them, from the new owner or as the owner again
            break
        assert time.monotonic() < deadline, f"{answered} answers only, {len(answers) - sum(answers)} calls are refused"
        queued = list(ask_all())
    pair.engines[1].wait_owns(2, TAKE_OVER_TIMEOUT_S)
    pair.engines[0].wait_owns(2, TAKE_OVER_TIMEOUT_S)


def assert_not_old(call: PendingCall, versions_of, version):
    """Whether it was answered; that the command was not found is an answer too, and an old one."""
    answer = call.outcome()
    if isinstance(answer, CallError):
        check_refusal(answer, "UNAVAILABLE", answer.reason)
        assert answer.reason in (*MOVING, "HISTORY_INCOMPLETE"), answer
        return False
    versions = versions_of(answer)
    assert versions and set(versions) == {version}, f"the past was shown: versions {versions} instead of {version}"
    return True


# --- the history


def history_states(client):
    partitions = client.ListPartitions().partitions
    return [partition.history.State.Name(partition.history.state) for partition in partitions]


def wait_history(client, state, timeout_s=60):
    wait_until(
        lambda: set(history_states(client)) == {state}, timeout_s, lambda: f"{state}, it is {history_states(client)}"
    )


def test_a_history_is_rebuilt_in_the_background_and_delays_nothing(domain, connect):
    users = [f"user{number}@example.org" for number in range(100)]
    renames = 500 if LONG else 50
    engine = domain.engine().start_ready()
    client = connect(engine).wait_serving()
    writer = domain.writer()
    writer.send_all(commands.register(user) for user in users)
    domain.wait_drained()
    # Whoever reads the events again gets no further than this, as long as it is open.
    with domain.foreign_transaction("event", b"nobody@example.org", b"never happened"):
        writer.send_all(commands.rename(user, f"Name {n}") for n in range(renames) for user in users)
        domain.wait_drained()
        wait_until(lambda: len(client.ListEvents(**key(users[0]), page_size=1000).events) == renames + 1, 10, "events")
        engine.stop()
        engine.delete_store()
        engine.start_ready()
        client = connect(engine).wait_serving()
        assert history_states(client) == ["STATE_REBUILDING"] * PARTITIONS
        remaining = [partition.history.remaining_events for partition in client.ListPartitions().partitions]
        assert sum(remaining) >= len(users) * renames
        for user in users:
            # What needs no history goes on.
            assert client.GetSnapshot(**key(user)).snapshot.version == renames
            assert client.SubmitCommand(**rename(user, "Meanwhile")).outcome.version == renames + 1
            error = refused("UNAVAILABLE", "HISTORY_INCOMPLETE", lambda user=user: client.ListEvents(**key(user)))
            assert 0 < int(error.metadata["remaining"]) <= sum(remaining) + len(users)
            refused(
                "UNAVAILABLE",
                "HISTORY_INCOMPLETE",
                lambda user=user: client.GetSnapshot(**key(user), at_version=0),
            )
        assert engine.metric("esd_history_remaining_records") > 0
    wait_history(client, "STATE_COMPLETE")
    assert_whole_history(client, users, renames + 2)
    assert engine.metric("esd_history_remaining_records") == 0


def assert_whole_history(client, users, count):
    for user in users:
        token, versions = "", []
        while True:
            page = client.ListEvents(**key(user), page_size=1000, page_token=token)
            versions += [event.version for event in page.events]
            token = page.next_page_token
            if not token:
                break
        assert versions == list(range(count)), user
        assert client.GetSnapshot(**key(user), at_version=count // 2).snapshot.version == count // 2


def test_without_a_history_the_calls_that_need_it_name_the_flag_and_with_it_again_it_is_rebuilt(domain, connect):
    users = [f"user{number}@example.org" for number in range(50)]
    engine = domain.engine().start_ready()
    client = connect(engine).wait_serving()
    writer = domain.writer()
    writer.send_all(commands.register(user) for user in users)
    domain.wait_drained()
    assert_whole_history(client, users, 1)
    engine.stop()

    without = domain.engine("without", data_dir=engine.data_dir, extra_args=["--history", "off"]).start_ready()
    client = connect(without).wait_serving()
    for call in (
        lambda: client.ListEvents(**key(users[0])),
        lambda: client.GetSnapshot(**key(users[0]), at_version=0),
    ):
        assert "--history" in refused("FAILED_PRECONDITION", "HISTORY_OFF", call).message
    assert history_states(client) == ["STATE_OFF"] * PARTITIONS
    assert client.GetSnapshot(**key(users[0])).snapshot.version == 0
    writer.send_all(commands.rename(user, "B") for user in users)
    domain.wait_drained()
    without.stop()

    engine.start_ready()
    client = connect(engine).wait_serving()
    wait_history(client, "STATE_COMPLETE")
    assert_whole_history(client, users, 2)
    domain.drain_and_verify()


def test_a_history_that_was_cut_short_by_a_kill_is_completed(domain, connect, seed):
    """Kills in mid-rebuild, with commands coming in all the while."""
    rng = random.Random(seed)
    users = [f"user{number}@example.org" for number in range(100)]
    engine = domain.engine(extra_args=["--instance-id", "killed"]).start_ready()
    writer = domain.writer()
    writer.send_all(commands.register(user) for user in users)
    writer.send_all(commands.rename(user, f"Name {n}") for n in range(200) for user in users)
    domain.wait_drained()
    engine.kill()
    engine.delete_store()
    rounds = 20 if LONG else 4
    for number in range(rounds):
        engine.start_ready()
        writer.send_all(commands.rename(user, f"Round {number}") for user in users)
        domain.wait_drained()
        time.sleep(rng.uniform(0, 0.2))  # the moment of the kill
        engine.kill()
    engine.start_ready()
    client = connect(engine).wait_serving()
    wait_history(client, "STATE_COMPLETE")
    assert_whole_history(client, users, 201 + rounds)
    domain.drain_and_verify()
