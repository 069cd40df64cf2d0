"""What clients of the gRPC API are told when something breaks: never anything that isn't so, and always in time."""

import collections
import json
import os
import random
import threading
import time

import grpc
import pytest

import commands
from engine_process import READY_TIMEOUT_S
from grpc_client import (
    EITHER,
    NO_TIMEOUT,
    SERVICES,
    CallError,
    HealthWatch,
    Watch,
    check_refusal,
    key,
    name_of,
    refused,
    register,
    rename,
    result_of,
    until_answered,
)
from waiting import wait_until

LONG = os.environ.get("ESD_TEST_LONG") == "1"
KILLS = 100 if LONG else 10
SUBMITTERS = 16
# Watchers that read nothing, the events that they miss, and their size. Together they are a multiple of the memory that
# the server grows by under load anyway.
SLOW_WATCHERS, FLOOD_EVENTS, EVENT_BYTES = 8, 400_000 if LONG else 100_000, 1024


# --- retries


class Submitter(threading.Thread):
    """Submits commands with ids, one after the other, each until it is answered, at any of the servers."""

    def __init__(self, number, clients, rng):
        super().__init__(daemon=True)
        self.number, self.clients, self.rng = number, clients, rng
        self.answers = []  # (request, SubmitCommandResponse or CallError)
        self.stopping = threading.Event()
        self.replayed, self.errors = 0, collections.Counter()
        self.failure = None

    def run(self):
        try:
            for count in range(1_000_000):
                if self.stopping.is_set():
                    return
                request = self.next_request(count)
                self.answers.append((request, self.submit_until_answered(request)))
        except Exception as error:  # shown by the test, which waits in another thread
            self.failure = error

    def next_request(self, count):
        user = f"user{self.rng.randrange(50)}@example.org"
        make = register if self.rng.random() < 0.1 else rename
        return make(user, f"Name {self.number}/{count}", command_id=f"{self.number}/{count}")

    def submit_until_answered(self, request):
        attempts = 0

        def submit():
            nonlocal attempts
            attempts += 1
            return self.rng.choice(self.clients).SubmitCommand(**request, timeout=2, wait_for_ready=True)

        try:
            answer = until_answered(submit, READY_TIMEOUT_S, self.errors, self.stopping)
        except CallError as error:
            assert error.domain == "security", f"not a rejection: {error}"
            return error
        assert attempts > 1 or not answer.replayed, "the first attempt was taken for a repetition"
        self.replayed += answer.replayed
        return answer


def kill_at_random(engines, submitters, rng):
    """Kills one engine after the other, and starts it again, while all of them answer."""
    for number in range(KILLS):
        answered = sum(len(submitter.answers) for submitter in submitters)

        def progress(answered=answered):
            for submitter in submitters:
                if submitter.failure:
                    raise submitter.failure
            return sum(len(submitter.answers) for submitter in submitters) >= answered + 50

        wait_until(progress, READY_TIMEOUT_S, "50 more answers")
        time.sleep(rng.uniform(0, 0.2))
        engine = engines[number % len(engines)]
        address = engine.grpc
        engine.kill()
        engine.start(grpc=address)


def assert_repeated(client, answers):
    """Every command is submitted once more, and gets its first outcome."""
    for at in range(0, len(answers), 500):
        part = answers[at : at + 500]
        results = client.BatchSubmitCommands(commands=[request for request, _ in part], timeout=60).results
        for (request, first), result in zip(part, results, strict=True):
            again = result_of(result)
            if isinstance(first, CallError):
                assert (again.code, again.reason, again.message) == (first.code, first.reason, first.message)
                assert again.metadata == {**first.metadata, "replayed": "true"}, request
            else:
                assert again.replayed, f"{request} was processed twice: {first} {again}"
                assert again.outcome == first.outcome
                told = client.GetCommandOutcome(
                    **key(json.loads(request["payload"]["json"])["email"]), command_id=request["command_id"]
                )
                assert told.outcome == first.outcome


@pytest.mark.parametrize("instances", [1, 2])
def test_a_command_with_an_id_has_one_effect_and_one_outcome_whenever_the_server_is_killed(
    domain, connect, seed, instances
):
    rng = random.Random(seed)
    engines = [domain.engine(name, extra_args=["--instance-id", name]).start() for name in "ab"[:instances]]
    for engine in engines:
        engine.wait_ready()
    clients = [connect(engine).wait_serving() for engine in engines]
    submitters = [Submitter(number, clients, random.Random(rng.random())) for number in range(SUBMITTERS)]
    for submitter in submitters:
        submitter.start()
    kill_at_random(engines, submitters, rng)
    for submitter in submitters:
        submitter.stopping.set()
    for submitter in submitters:
        submitter.join(READY_TIMEOUT_S)
        assert not submitter.is_alive(), "a call hangs"
        if submitter.failure:
            raise submitter.failure

    answers = [answer for submitter in submitters for answer in submitter.answers]
    replayed = sum(submitter.replayed for submitter in submitters)
    errors = sum((submitter.errors for submitter in submitters), collections.Counter())
    print(
        f"{KILLS} kills: {len(answers)} commands, {replayed} of them answered only after they were repeated; {errors}"
    )
    assert replayed >= KILLS / 2, "the kills came between too few commands and their answers to prove anything"
    assert_exactly_one_effect(domain, answers)
    sample = rng.sample(answers, min(1000, len(answers)))
    for client in clients:
        client.wait_serving()
        assert_repeated(client, sample)
    for engine in engines:
        engine.stop()
    stranger = domain.engine("stranger").start_ready()
    assert_repeated(connect(stranger).wait_serving(), sample)
    domain.drain_and_verify()


def assert_exactly_one_effect(domain, answers):
    effects = collections.defaultdict(list)
    for record in domain.records("event").values():
        effects[record.header("esd-causation-id")].append(record)
    for request, answer in answers:
        records = effects[request["command_id"]]
        if isinstance(answer, CallError):
            assert not records, f"{request} was rejected, but has {records}"
        else:
            assert [record.header("ce_id") for record in records] == [event.id for event in answer.outcome.events]


# --- the end of the wait


@pytest.fixture
def engine(domain):
    return domain.engine().start_ready()


@pytest.fixture
def client(engine, connect):
    return connect(engine).wait_serving()


@pytest.mark.parametrize("command_id", ["", "one"])
def test_a_deadline_ends_the_wait_and_not_the_command(domain, broker, client, command_id):
    client.SubmitCommand(**register("a@example.org"))
    command = rename("a@example.org", "B", command_id=command_id)
    with broker.suspended():
        error = refused(
            "DEADLINE_EXCEEDED", "OUTCOME_UNKNOWN", lambda: client.SubmitCommand(**command, timeout=1), retry=EITHER
        )
    if command_id:
        assert error.metadata["commandId"] == command_id
        assert "GetCommandOutcome" in error.message
    else:  # a command without an id has its position for one, when that is known
        assert ("commandId" in error.metadata) == ("offset" in error.metadata)
    assert name_of(client, "a@example.org", min_version=1) == "B"
    if command_id:
        answer = client.SubmitCommand(**command)
        assert answer.replayed
        assert client.GetCommandOutcome(**key("a@example.org"), command_id="one").outcome == answer.outcome
    domain.drain_and_verify()


def test_a_deadline_of_a_batch_leaves_none_of_its_results_out(domain, broker, client):
    client.SubmitCommand(**register("a@example.org"))
    batch = [rename("a@example.org", f"Name {number}", command_id=str(number)) for number in range(10)]
    batch.append({**batch[0], "domain": "nobody"})
    with broker.suspended():
        results = client.BatchSubmitCommands(commands=batch, timeout=1).results
    for number, result in enumerate(results[:-1]):
        error = result_of(result)
        check_refusal(error, "DEADLINE_EXCEEDED", "OUTCOME_UNKNOWN", retry=EITHER)
        assert error.metadata["commandId"] == str(number)
    check_refusal(result_of(results[-1]), "INVALID_ARGUMENT", "UNKNOWN_DOMAIN")
    assert name_of(client, "a@example.org", min_version=10) == "Name 9"


def test_a_client_that_cancels_or_goes_away_does_not_stop_its_command(domain, broker, engine, client, connect):
    users = [f"user{number}@example.org" for number in range(20)]
    domain.writer().send_all(commands.register(user) for user in users)
    domain.wait_drained()
    leaving = connect(engine).wait_serving()
    offsets = sum(domain.end_offsets("command"))
    with broker.suspended():
        calls = [client.SubmitCommand.later(**rename(user, "B", command_id="one")) for user in users[:10]]
        calls += [leaving.SubmitCommand.later(**rename(user, "B", command_id="one")) for user in users[10:]]
        wait_until(lambda: in_flight(engine) == 20, 10, lambda: f"20 commands in flight, {in_flight(engine)} are")
        for call in calls[:10]:
            call.cancel()
        leaving.close()
        wait_until(lambda: in_flight(engine) == 0, 10, lambda: f"nobody to wait, {in_flight(engine)} do")
    for user in users:
        assert name_of(client, user, min_version=1) == "B"
        assert client.SubmitCommand(**rename(user, "B", command_id="one")).replayed
    assert sum(domain.end_offsets("command")) == offsets + 40
    domain.drain_and_verify()


def in_flight(engine):
    return engine.metric("esd_api_commands_in_flight")


def test_without_a_broker_each_call_ends_and_afterwards_all_goes_on(make_domain, mortal_broker, connect):
    domain = make_domain(mortal_broker).create_topics(4)
    client = connect(domain.engine().start_ready()).wait_serving()
    client.SubmitCommand(**register("a@example.org"))
    mortal_broker.kill()
    calls = [client.SubmitCommand.later(**rename("a@example.org", f"Name {n}", command_id=str(n))) for n in range(10)]
    for call in calls:
        error = call.outcome(35)
        assert isinstance(error, CallError), f"acknowledged without a broker: {error}"
        assert error.code == "UNAVAILABLE", error
        assert error.reason in ("OUTCOME_UNKNOWN", "LOG_UNAVAILABLE", "PARTITION_MOVING"), error
        assert error.retry_delay_s
    mortal_broker.start()
    for number in range(10):
        request = rename("a@example.org", f"Name {number}", command_id=str(number))
        until_answered(lambda request=request: client.SubmitCommand(**request), READY_TIMEOUT_S)
    domain.drain_and_verify()


# --- too much at once


def submit_many(client, users):
    return [client.SubmitCommand.later(**register(user)) for user in users]


def refusals(calls):
    """The calls among them that have been refused so far."""
    return [call for call in calls if call.done() and isinstance(call.outcome(), CallError)]


def test_what_is_too_much_for_the_server_is_refused_before_it_is_written(domain, broker, connect):
    engine = domain.engine(extra_args=["--max-in-flight", "10"]).start_ready()
    clients = [connect(engine).wait_serving() for _ in range(3)]
    with broker.suspended():
        calls = [call for n, client in enumerate(clients) for call in submit_many(client, users_of(n, 5))]
        wait_until(lambda: len(refusals(calls)) == 5, 10, lambda: f"5 refusals, there are {len(refusals(calls))}")
        for call in refusals(calls):
            check_refusal(call.outcome(), "RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT")
            assert "--max-in-flight" in call.outcome().message
        batch = [register("batch@example.org")] * 2
        refused("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT", lambda: clients[0].BatchSubmitCommands(commands=batch))
        # Who only asks is not kept out.
        refused("NOT_FOUND", "AGGREGATE_NOT_FOUND", lambda: clients[0].GetSnapshot(**key("batch@example.org")))
    answers = [call.outcome() for call in calls]
    assert sum(not isinstance(answer, CallError) for answer in answers) == 10
    assert sum(domain.end_offsets("command")) == 10
    assert clients[0].SubmitCommand(**register("afterwards@example.org")).outcome.version == 0
    domain.drain_and_verify()


def test_what_is_too_much_on_one_connection_leaves_the_others_alone(domain, broker, connect):
    engine = domain.engine(extra_args=["--max-in-flight-per-connection", "5"]).start_ready()
    greedy, modest = connect(engine).wait_serving(), connect(engine).wait_serving()
    with broker.suspended():
        greedy_calls = submit_many(greedy, users_of(0, 8))
        wait_until(lambda: len(refusals(greedy_calls)) == 3, 10, "3 refusals")
        modest_calls = submit_many(modest, users_of(1, 3))
        batch = [register("batch@example.org")] * 3
        refused("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT", lambda: greedy.BatchSubmitCommands(commands=batch))
        # Three are under way on this connection: three more are too many, and none of them is let in.
        wait_until(lambda: in_flight(engine) == 8, 10, lambda: f"8 in flight, {in_flight(engine)} are")
        refused("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT", lambda: modest.BatchSubmitCommands(commands=batch))
        modest_calls += submit_many(modest, users_of(2, 2))
    assert all(not isinstance(call.outcome(), CallError) for call in modest_calls)
    assert sum(not isinstance(call.outcome(), CallError) for call in greedy_calls) == 5
    assert sum(domain.end_offsets("command")) == 10
    domain.drain_and_verify()


def users_of(number, count):
    return [f"user{number}-{n}@example.org" for n in range(count)]


# --- drain


class Caller(threading.Thread):
    """Makes calls until the server says, or shows, that it goes."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.answers, self.end = call, [], None

    def run(self):
        for number in range(1_000_000):
            try:
                self.answers.append(self.call(number))
            except CallError as error:
                self.end = error
                return


def test_a_drain_under_load_loses_nothing_and_leaves_no_call_hanging(domain, engine, client, connect):
    def single(thread, client):
        return lambda number: [client.SubmitCommand(**register(f"{thread}-{number}@example.org")).outcome]

    def batch(client):
        def call(number):
            requests = [register(f"batch-{number}-{n}@example.org") for n in range(50)]
            answers = [result_of(result) for result in client.BatchSubmitCommands(commands=requests).results]
            failures = [answer for answer in answers if isinstance(answer, CallError)]
            if failures:
                acknowledged.extend(a.outcome for a in answers if not isinstance(a, CallError))
                raise failures[0]
            return [answer.outcome for answer in answers]

        return call

    acknowledged = []
    waiting = [client.GetSnapshot.later(**key("nobody@example.org"), min_version=0) for _ in range(5)]
    callers = [Caller(single(n, connect(engine).wait_serving())) for n in range(16)] + [Caller(batch(client))]
    with Watch(client, beginning={}) as watch:
        for caller in callers:
            caller.start()
        watch.wait(lambda: len(watch.events) > 2000, "a load")
        took = engine.stop()  # exit code 0, in time
        for caller in callers:
            caller.join(5)
            assert not caller.is_alive(), "a call hangs"
            assert_about_the_drain(caller.end)
        for call in waiting:
            assert_about_the_drain(call.outcome(5))
        check_refusal(watch.wait_end(5), "UNAVAILABLE", "DRAINING")
    ends = collections.Counter(caller.end.reason or "the connection ended" for caller in callers)
    print(f"drained within {took:.2f} s; the callers ended with {dict(ends)}")

    acknowledged += [outcome for caller in callers for answer in caller.answers for outcome in answer]
    happened = {record.header("ce_id") for record in domain.records("event").values()}
    lost = [outcome for outcome in acknowledged if outcome.events[0].id not in happened]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged commands are lost"
    domain.engine("after").start_ready()
    domain.drain_and_verify()


def assert_about_the_drain(error):
    assert isinstance(error, CallError), error
    assert error.code == "UNAVAILABLE", error
    if error.reason:  # a connection that is closed already says less
        assert error.reason in ("DRAINING", "PARTITION_MOVING", "OUTCOME_UNKNOWN"), error
        assert error.retry_delay_s is not None


def test_health_says_so_when_the_server_drains(engine, client):
    healths = [HealthWatch(client, service) for service in ("", *SERVICES)]
    wait_until(lambda: all(health.seen for health in healths), 10, "the first answers")
    engine.stop()
    for health in healths:
        assert health.seen[:2] == ["SERVING", "NOT_SERVING"]
        assert "SERVING" not in health.seen[1:]  # gRPC's own health service repeats the last word when it ends


def test_a_stop_without_load_ends_at_once_whoever_is_connected(engine, client):
    """Idle connections and watchers, which would stay for ever, are sent away."""
    client.SubmitCommand(**register("a@example.org"))
    with Watch(client, heartbeat_interval={"seconds": 3600}) as watch:
        assert engine.stop() < 5
        check_refusal(watch.wait_end(5), "UNAVAILABLE", "DRAINING")


# --- a slow watcher


def flood(domain, users, begin, count):
    """Renames whose events have more than 1 KiB each, as fast as the engine takes them."""
    writer = domain.writer()
    long_name = "\U0001f99c" * 240
    for number in range(begin, begin + count):
        writer.send(commands.rename(users[number % len(users)], f"{long_name} {number}"))
    writer.flush()


def test_a_watcher_that_reads_nothing_holds_up_neither_the_server_nor_others(domain, engine, client, connect):
    users = [f"user{number}@example.org" for number in range(1000)]
    domain.writer().send_all(commands.register(user) for user in users)
    flood(domain, users, 0, FLOOD_EVENTS)  # so that caches have the size that they will have
    domain.wait_drained()
    begin, memory = sum(domain.committed_offsets()), engine.resident_bytes()

    slow = [connect(engine).WatchEvents(domain="security", timeout=NO_TIMEOUT) for _ in range(SLOW_WATCHERS)]
    for call in slow:
        next(call)  # from now on; and then it reads nothing
    highest = memory
    with Watch(client, keep=position_of) as watch:
        flood(domain, users, FLOOD_EVENTS, FLOOD_EVENTS)

        def all_seen():
            nonlocal highest
            highest = max(highest, engine.resident_bytes())
            return len(watch.events) >= FLOOD_EVENTS or watch.error

        wait_until(all_seen, 120, lambda: f"{FLOOD_EVENTS} events, {len(watch.events)} came")
        assert len(watch.events) == FLOOD_EVENTS, watch.error
        seen_by_fast = watch.events
    print(f"memory: {memory >> 20} MiB, {highest >> 20} MiB with {SLOW_WATCHERS} watchers {FLOOD_EVENTS} events behind")
    assert sum(domain.committed_offsets()) == begin + FLOOD_EVENTS
    owed = SLOW_WATCHERS * FLOOD_EVENTS * EVENT_BYTES
    assert highest - memory < owed // 2, f"the server keeps what the watchers don't take, {owed >> 20} MiB"

    seen_by_slow = []
    for response in slow[0]:
        seen_by_slow += map(position_of, response.events)
        if len(seen_by_slow) >= FLOOD_EVENTS:
            break
    for call in slow:
        call.cancel()
    assert len(set(seen_by_slow)) == len(seen_by_slow) == FLOOD_EVENTS
    assert set(seen_by_slow) == set(seen_by_fast)
    for partition in range(4):
        in_partition = [offset for p, offset in seen_by_slow if p == partition]
        assert in_partition == sorted(in_partition)


def position_of(event):
    return event.position.partition, event.position.offset


def test_watchers_that_go_away_leave_nothing_behind(domain, engine, client, connect):
    """Cancelled, closed or never read: the server must not keep feeding them."""
    for _ in range(20):
        leaving = connect(engine)
        calls = [leaving.WatchEvents(domain="security", timeout=NO_TIMEOUT, beginning={}) for _ in range(10)]
        for call in calls[:5]:
            next(call)
            call.cancel()
        leaving.close()
    wait_until(lambda: engine.metric("esd_api_watchers") == 0, 20, "no watchers")
    with Watch(client) as watch:
        client.SubmitCommand(**register("a@example.org"))
        watch.wait_events(1)


def test_a_watch_with_a_deadline_ends_with_it(client):
    call = client.WatchEvents(domain="security", timeout=1)
    with pytest.raises(grpc.RpcError) as raised:
        for _ in call:
            pass
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
