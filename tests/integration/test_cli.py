"""The commands that talk to a running engine, in text and JSON, right and wrong."""

import json
import shutil
import subprocess

import pytest

from cli import FAILED, OK, USAGE, Cli, register_json, rename_json, start_engine
from cli_fixtures import cli, engine, user  # noqa: F401
from engine_process import free_address
from grpc_client import new_user
from test_grpc_tls import Authority


def rows(text):
    """A table as [{column: cell}]; cells have no two blanks in a row."""
    header, *lines = text.splitlines()
    names = header.split()
    starts = [header.index(name) for name in names]
    ends = [*starts[1:], None]
    return [
        {name: line[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)} for line in lines
    ]


# --- one command


def test_a_command_is_sent_and_its_events_are_shown(cli):
    email = new_user()
    text = cli.ok("command", "send", register_json(email))
    assert text.splitlines()[0] == f"accepted: {email} is at version 0"
    assert "UserRegisteredEvent" in text
    bare = json.dumps({"email": email, "newName": "B"})
    [result] = cli.json("command", "send", "--type", "ChangeUserNameCommand", bare)
    assert (result["status"], result["version"], result["replayed"]) == ("ACCEPTED", 1, False)
    [event] = result["events"]
    assert event["payload"] == {"email": email, "name": "B", "version": 1}


def test_a_command_with_an_id_has_its_effect_once(cli):
    email = new_user()
    send = ("command", "send", "--id", "1", register_json(email))
    [first], [second] = cli.json(*send), cli.json(*send)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["events"][0]["id"] == second["events"][0]["id"]
    assert "sent before" in cli.ok(*send)
    assert "COMMAND_ID_REUSED" in cli.fails("command", "send", "--id", "1", register_json(email, "Other"))


def test_a_rejection_says_code_reason_and_message_and_exits_with_1(cli):
    error = cli.fails("command", "send", rename_json(new_user(), "B"))
    assert error == "esd: NOT_FOUND USER_NOT_FOUND: The user is not registered.\n"
    done = cli.run("command", "send", rename_json(new_user(), "B"), "-o", "json")
    assert done.returncode == FAILED
    result = json.loads(done.stdout)
    assert (result["status"], result["code"], result["reason"]) == ("REJECTED", "NOT_FOUND", "USER_NOT_FOUND")


def test_a_version_conflict_names_the_current_version(cli, user):
    error = cli.fails("command", "send", rename_json(user, "B"), "--expected-version", "7")
    assert "VERSION_MISMATCH" in error and "it is at version 0" in error
    assert cli.json("command", "send", rename_json(user, "B"), "--expected-version", "0")[0]["version"] == 1
    error = cli.fails("command", "send", rename_json(new_user(), "B"), "--expected-version", "-1", "--id", "1")
    assert "USER_NOT_FOUND" in error


@pytest.mark.parametrize(
    "wrong",
    [
        ("command", "send", "{"),
        ("command", "send", "[]"),
        ("command", "send", '{"type":"RegisterUserCommand"}'),
        ("command", "send", '{"type":"RegisterUserCommand","command":{},"to":1}'),
        ("command", "send", "-", "--id", "1"),
        ("command", "send", "-", "--expected-version", "1"),
        ("command", "send", "{}", "--expected-version", "-2"),
        ("command", "send", "-", "--batch-size", "1001"),
        ("aggregate", "get"),
        ("aggregate", "get", "k", "--at-version", "1", "--min-version", "1"),
        ("aggregate", "list", "--limit", "0"),
        ("events", "tail", "--from", "0:x"),
        ("dead-letters", "replay"),
        ("dead-letters", "replay", "1:1", "--all"),
        ("dead-letters", "replay", "1:1", "--reason", "R"),
        ("dead-letters", "replay", "1"),
        ("partitions", "--address", "nowhere"),
        ("partitions", "--timeout", "soon"),
        ("partitions", "--timeout", "0s"),
        ("partitions", "--tls-ca", "/nowhere"),
        ("partitions", "-o", "yaml"),
        ("health", "--tls-client-cert", "/dev/null"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_help(cli, wrong):
    assert "--help" in cli.fails(*wrong, code=USAGE)


# --- aggregates


def test_an_aggregate_is_shown_as_it_is_and_as_it_was(cli, user):
    cli.ok("command", "send", rename_json(user, "B"))
    assert rows(cli.ok("aggregate", "get", user)) == [
        {"KEY": user, "VERSION": "1", "STATE": json.dumps({"email": user, "name": "B"}, separators=(",", ":"))}
    ]
    [now], [then] = cli.json("aggregate", "get", user), cli.json("aggregate", "get", user, "--at-version", "0")
    assert (now["version"], now["state"]["name"]) == (1, "B")
    assert (then["version"], then["state"]["name"]) == (0, "Alex")
    assert cli.json("aggregate", "get", user, "--min-version", "1") == [now]
    assert "VERSION_NOT_REACHED" in cli.fails("aggregate", "get", user, "--min-version", "9", "--timeout", "200ms")


def test_aggregates_are_listed_by_prefix_and_up_to_a_limit(cli):
    crowd = [f"crowd-{number}@example.org" for number in range(1200)]
    cli.ok("command", "send", stdin="\n".join(map(register_json, crowd)))
    listed = cli.json("aggregate", "list", "--prefix", "crowd-")
    assert sorted(snapshot["aggregateKey"] for snapshot in listed) == sorted(crowd)
    assert len(rows(cli.ok("aggregate", "list", "--prefix", "crowd-", "--limit", "7"))) == 7
    nothing = cli.run("aggregate", "list", "--prefix", "nobody-")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (OK, "", "no aggregates\n")


def test_the_history_of_an_aggregate_is_complete_over_many_pages(cli, user):
    lines = "\n".join(rename_json(user, f"name {number}") for number in range(2500))
    cli.ok("command", "send", stdin=lines)
    assert [event["version"] for event in cli.json("aggregate", "history", user)] == list(range(2501))
    tail = rows(cli.ok("aggregate", "history", user, "--from-version", "2499"))
    assert [row["VERSION"] for row in tail] == ["2499", "2500"]
    assert tail[0]["TYPE"] == "UserNameChangedEvent"


def test_an_unknown_aggregate_is_a_failure_that_says_what_to_do(cli):
    for command in ("get", "history"):
        error = cli.fails("aggregate", command, new_user())
        assert "AGGREGATE_NOT_FOUND" in error and "esd aggregate list" in error


def test_control_characters_never_reach_the_terminal(cli, user):
    cli.ok("command", "send", rename_json(user, "\x1b[31m\x7f\u009b\u202e\n"))
    for shown in (cli.ok("aggregate", "get", user), cli.on_terminal("aggregate", "history", user)):
        text = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\r\n", "\n")
        assert not [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e")]
    [snapshot] = cli.json("aggregate", "get", user)
    assert snapshot["state"]["name"] == "\x1b[31m\x7f\u009b\u202e\n", "JSON has the name as it is"


# --- the group


def test_partitions_and_instances_are_listed(cli, engine):
    table = rows(cli.ok("partitions"))
    assert [(row["DOMAIN"], row["PARTITION"], row["STATE"]) for row in table] == [
        ("security", str(number), "serving") for number in range(4)
    ]
    listed = cli.json("partitions", "--domain", "security")
    assert {partition["address"] for partition in listed} == {engine.grpc}
    assert all(isinstance(partition["checkpoint"]["commandOffset"], int) for partition in listed)
    [instance] = cli.json("instances")
    assert (instance["self"], instance["partitionCount"]) == (True, 4)
    assert rows(cli.ok("instances"))[0]["ANSWERS"] == "*"


def test_health_is_the_exit_code(cli):
    assert cli.ok("health") == "SERVING\n"
    assert cli.json("health") == [{"status": "SERVING"}]
    assert "is esd running" in Cli(free_address()).fails("health")


# --- what goes wrong on the way


def test_an_address_where_nothing_listens_is_named_with_what_to_do(cli):
    address = free_address()
    for command in (["partitions"], ["aggregate", "get", "k"], ["command", "send", "{}"], ["events", "tail"]):
        error = cli.fails(*command, "--address", address)
        assert f"nothing listens at {address}" in error and "esd dev" in error and "--address" in error


def test_tls_where_there_is_none_says_so(cli):
    assert "doesn't talk TLS" in cli.fails("partitions", "--tls")


def test_an_unknown_domain_is_told_which_there_are(cli):
    assert "security" in cli.fails("aggregate", "list", "--domain", "orders")


def test_settings_come_from_a_file_too(cli, engine, tmp_path):
    config = tmp_path / "esd.toml"
    config.write_text(f'address = "{engine.grpc}"\ndomain = ["security"]\ntimeout = "20s"\n')
    assert cli.with_env(ESD_ADDRESS="", ESD_CONFIG=str(config)).ok("health") == "SERVING\n"


def test_stdout_that_takes_nothing_is_a_failure(cli):
    with open("/dev/full", "w") as full:
        process = cli.start("partitions", stdout=full)
        assert process.wait(30) == FAILED
        assert "can't write to stdout" in process.stderr.read()


# --- colour


def test_colour_is_for_terminals_that_want_it(cli):
    assert "\x1b[32mserving\x1b[0m" in cli.on_terminal("partitions")
    assert "\x1b" not in cli.with_env(NO_COLOR="1").on_terminal("partitions")
    assert "\x1b" not in cli.with_env(TERM="dumb").on_terminal("partitions")
    assert "\x1b" not in cli.ok("partitions")
    assert "\x1b" not in cli.on_terminal("partitions", "-o", "json")


# --- TLS


def test_tls_and_a_client_certificate_are_spoken_and_what_is_missing_is_named(tmp_path):
    authority, stranger = Authority("cli"), Authority("stranger")
    files = {"ca": authority.pem, "stranger": stranger.pem}
    server, someone = authority.issue("server"), authority.issue("client")
    files |= {"server": server.certificate, "server-key": server.key}
    files |= {"client": someone.certificate, "client-key": someone.key}
    for name, pem in files.items():
        (tmp_path / name).write_bytes(pem)
    tls = ("--tls-cert", tmp_path / "server", "--tls-key", tmp_path / "server-key", "--tls-client-ca", tmp_path / "ca")
    engine = start_engine(tmp_path, *tls)
    try:
        cli = Cli(engine.grpc)
        known = ("--tls-ca", tmp_path / "ca")
        certificate = ("--tls-client-cert", tmp_path / "client", "--tls-client-key", tmp_path / "client-key")
        assert cli.ok("health", *known, *certificate) == "SERVING\n"
        assert "add --tls" in cli.fails("health")
        assert "--tls-ca" in cli.fails("health", "--tls-ca", tmp_path / "stranger", *certificate)
        assert "--tls-ca" in cli.fails("health", "--tls", *certificate), "the system's CAs don't know it"
        assert "--tls-client-cert" in cli.fails("health", *known)
        assert "give both" in cli.fails("health", *certificate[:2], code=USAGE)
    finally:
        engine.kill()


# --- the manual


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man here")
def test_the_manual_is_a_man_page_without_warnings(cli, tmp_path):
    page = tmp_path / "esd.1"
    page.write_text(cli.ok("man"))
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", page],
        capture_output=True,
        text=True,
        env={**cli.env, "MANWIDTH": "100"},
    )
    assert (shown.returncode, shown.stderr) == (OK, "")
    for heading in ("NAME", "SYNOPSIS", "COMMANDS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"):
        assert f"\n{heading}\n" in shown.stdout
    assert "esd command send --keep-going - < commands.jsonl" in shown.stdout
