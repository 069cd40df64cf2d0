"""What clients are told under load: nothing old, nothing twice, nothing that isn't so."""

import concurrent.futures
import json
import os

import pytest

from commands import register
from grpc_client import CallError, check_refusal, key, rename
from grpc_client import register as register_request
from grpc_load import rename_and_read_back

LONG = os.environ.get("ESD_TEST_LONG") == "1"
USERS = [f"user{number}@example.org" for number in range(100)]
RENAMES = 100_000 if LONG else 10_000
CONNECTIONS = 64
PROCESSES = 2
RACERS = 50
ROUNDS = 200 if LONG else 20


@pytest.fixture
def users(domain):
    domain.writer().send_all(register(user) for user in USERS)
    return USERS


def assert_all_versions_once(renames, users):
    """Each user's renames were given the versions from 1 on, each once."""
    per_user = len(renames) // len(users)
    versions = {user: [] for user in range(len(users))}
    for user, _, version in renames:
        versions[user].append(version)
    for user, given in versions.items():
        assert sorted(given) == list(range(1, per_user + 1)), users[user]


def assert_last_names(client, renames, users):
    last = {}
    for user, name, version in renames:
        last[user] = max(last.get(user, (0, "")), (version, name))
    answer = client.BatchGetSnapshots(domain="security", aggregate_keys=users)
    assert len(answer.snapshots) == len(users)
    for user, snapshot in enumerate(answer.snapshots):
        assert (snapshot.version, json.loads(snapshot.state.json)["name"]) == last[user]


@pytest.mark.parametrize("instances", [1, 2])
def test_whatever_is_acknowledged_is_seen_by_everybody_at_once(domain, users, connect, seed, instances):
    """All renames are in flight at once."""
    engines = [domain.engine(name).start() for name in "ab"[:instances]]
    for engine in engines:
        engine.wait_ready()
        engine.wait_owns(4 // instances)
    domain.wait_drained()
    clients = [connect(engine).wait_serving() for engine in engines]
    addresses = [engine.grpc for engine in engines]
    renames = rename_and_read_back(addresses, users, RENAMES, CONNECTIONS, PROCESSES, seed, timeout_s=240)
    assert len(renames) == RENAMES
    assert_all_versions_once(renames, users)
    for client in clients:
        assert_last_names(client, renames, users)
    domain.drain_and_verify()


def test_of_many_commands_with_one_expected_version_exactly_one_is_accepted(domain, connect):
    engine = domain.engine().start_ready()
    clients = [connect(engine).wait_serving() for _ in range(RACERS)]

    def race(pool, user, version):
        def name(number):
            return f"Racer {number} of version {version + 1}"

        def submit(number):
            command = rename(user, name(number)) if version >= 0 else register_request(user, name(number))
            try:
                return clients[number].SubmitCommand(**command, expected_version=version).outcome
            except CallError as error:
                return error

        outcomes = list(pool.map(submit, range(RACERS)))
        winners = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, CallError)]
        assert len(winners) == 1, f"of {RACERS} commands for version {version} {len(winners)} were accepted"
        for number, outcome in enumerate(outcomes):
            if number != winners[0]:
                check_refusal(outcome, "ABORTED", "VERSION_MISMATCH", domain="security", retry=False)
                assert outcome.metadata["version"] == str(version + 1)
        snapshot = clients[0].GetSnapshot(**key(user)).snapshot
        assert (snapshot.version, json.loads(snapshot.state.json)["name"]) == (version + 1, name(winners[0]))

    with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
        for version in range(-1, ROUNDS - 1):
            race(pool, "racer@example.org", version)
    domain.drain_and_verify()
