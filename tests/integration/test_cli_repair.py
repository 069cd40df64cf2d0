"""The commands that find and mend what went wrong: dead letters, and snapshots that differ from the events."""

import json

import pytest

import commands
from cli import FAILED, OK, Cli, rename_json
from grpc_client import new_user
from reference_model import home_partition


@pytest.fixture
def running_domain(domain):
    domain.engine().start_ready()
    return domain


@pytest.fixture
def cli(running_domain):
    return Cli(running_domain.engines[0].grpc)


def test_dead_letters_are_listed_and_replayed_with_their_id(running_domain, cli):
    nothing = cli.run("dead-letters", "list")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (OK, "", "no dead letters\n")
    writer = running_domain.writer()
    unknown = commands.json_command("DropUserCommand", {"email": "a@example.org"}).with_id("77")
    writer.send_all([unknown, commands.Command(b"\x1b[31m\xff", b"broken")])
    running_domain.wait_drained()

    text = cli.ok("dead-letters", "list")
    assert "UNKNOWN_TYPE" in text and "MALFORMED_JSON" in text and "\\x1b[31m\\xff" in text and "\x1b" not in text
    letters = {letter["reason"]: letter for letter in cli.json("dead-letters", "list")}
    letter = letters["UNKNOWN_TYPE"]
    assert (letter["key"], json.loads(letter["value"])["type"]) == ("a@example.org", "DropUserCommand")
    assert {"name": "ce_id", "value": "77"} in letter["headers"]
    assert letters["MALFORMED_JSON"]["keyBase64"] == "G1szMW3/"
    assert cli.json("dead-letters", "list", "--reason", "UNKNOWN_TYPE") == [letter]
    assert cli.json("dead-letters", "list", "--partition", letter["partition"], "--limit", "1") == [letter]

    at = f"{letter['partition']}:{letter['offset']}"
    assert cli.ok("dead-letters", "replay", at).startswith(f"replayed {at}: it is the command at ")
    running_domain.wait_drained()
    again = cli.json("dead-letters", "list", "--reason", "UNKNOWN_TYPE")
    assert [one["headers"][0] for one in again] == [letter["headers"][0]] * 2, "it came back, with its id"
    replayed = cli.json("dead-letters", "replay", "--all", "--reason", "UNKNOWN_TYPE")
    assert [one["deadLetter"] for one in replayed] == [
        {"partition": one["partition"], "offset": one["offset"]} for one in again
    ]


def test_a_replay_goes_on_behind_what_is_not_there(running_domain, cli):
    running_domain.writer().send_all([commands.Command(b"k", b"broken")])
    running_domain.wait_drained()
    [letter] = cli.json("dead-letters", "list")
    at = f"{letter['partition']}:{letter['offset']}"
    done = cli.run("dead-letters", "replay", "0:99", at)
    assert (done.returncode, done.stdout.split(":")[0]) == (FAILED, f"replayed {letter['partition']}")
    assert "0:99: NOT_FOUND DEAD_LETTER_NOT_FOUND" in done.stderr and "1 of 2 could not be replayed" in done.stderr


def test_a_snapshot_that_differs_is_reported_until_it_is_repaired(running_domain, cli):
    email = new_user()
    running_domain.writer().send_all([commands.register(email), commands.rename(email, "B")])
    running_domain.wait_drained()
    done = cli.run("snapshot", "verify")
    assert (done.returncode, done.stdout) == (OK, "")
    assert "compared 1 aggregates with 2 events: 0 differ" in done.stderr

    # Version 5 of an empty state, as only somebody else could have written it.
    partition = home_partition(email.encode(), 4)
    writer = commands.CommandWriter(running_domain.broker.address, running_domain.topic("snapshot"), 4)
    writer.send_all([commands.Command(email.encode(), b"\x08\x05\x12\x00")])
    done = cli.run("snapshot", "verify")
    assert done.returncode == FAILED and "--repair" in done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == [str(partition), email, "changelog", "version"]
    done = cli.run("snapshot", "verify", "--partition", partition, "-o", "json")
    [answer] = [json.loads(line) for line in done.stdout.splitlines()]
    [difference] = answer["differences"]
    assert (difference["kind"], difference["expectedVersion"], difference["foundVersion"]) == ("KIND_VERSION", 1, 5)
    assert difference["expectedState"] == {"email": email, "name": "B"}

    assert "1 differ, 1 repaired" in cli.run("snapshot", "verify", "--repair").stderr
    cli.ok("snapshot", "verify")
    assert cli.json("command", "send", rename_json(email, "C"))[0]["version"] == 2
    assert "INVALID_PARTITION" in cli.fails("snapshot", "verify", "--partition", "9")
