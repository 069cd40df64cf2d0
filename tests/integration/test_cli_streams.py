"""Commands that run for a while: many lines in, events out, and engines that go and come."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from cli import FAILED, OK, Cli, register_json, rename_json, start_engine
from cli_fixtures import cli, engine, user  # noqa: F401
from grpc_client import new_user
from waiting import wait_until

END_TIMEOUT_S = 60


@pytest.fixture
def running(request):
    """Processes that are gone after the test."""
    processes = []
    yield lambda process: processes.append(process) or process
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def read_json(stream, count):
    return [json.loads(stream.readline()) for _ in range(count)]


# --- many lines


def test_each_line_gets_its_result_in_order_and_blank_lines_are_skipped(cli):
    email = new_user()
    rename = rename_json(email, "B", id="b", expectedVersion=0)
    lines = ["", register_json(email), "  ", rename, rename]
    results = cli.json("command", "send", "-", stdin="\r\n".join(lines))
    assert [(result["line"], result["version"], result["replayed"]) for result in results] == [
        (2, 0, False),
        (4, 1, False),
        (5, 1, True),
    ]
    assert cli.json("aggregate", "get", email)[0]["version"] == 1


def test_ten_thousand_lines_stop_at_the_one_that_fails_and_say_where_to_go_on(cli, tmp_path):
    emails = [new_user() for _ in range(10)]
    lines = [register_json(email) for email in emails]
    lines += [rename_json(emails[number % 10], f"name {number}") for number in range(9990)]
    lines[6000] = rename_json(new_user(), "nobody")
    source = tmp_path / "lines"
    source.write_text("\n".join(lines) + "\n")
    stopped = cli.run("command", "send", "-o", "json", stdin=source.read_text())
    assert stopped.returncode == FAILED
    results = [json.loads(line) for line in stopped.stdout.splitlines()]
    assert [result["line"] for result in results] == list(range(1, len(results) + 1))
    assert [result["line"] for result in results if result["status"] != "ACCEPTED"] == [6001]
    assert len(results) < 7100, "it went on"
    resume = f"tail -n +{len(results) + 1} FILE | esd command send -"
    assert resume in stopped.stderr and "6001" in stopped.stderr
    with source.open() as file:
        tail = subprocess.run(["tail", "-n", f"+{len(results) + 1}"], stdin=file, capture_output=True, text=True)
    rest = cli.json("command", "send", stdin=tail.stdout)
    assert len(results) + len(rest) == 10_000
    # The failed one was a rename of somebody else: every other one had its effect, once and in order.
    for position, email in enumerate(emails):
        history = cli.json("aggregate", "history", email)
        wanted = [f"name {number}" for number in range(position, 9990, 10) if number != 5990]
        assert [event["payload"]["name"] for event in history[1:]] == wanted


def test_keep_going_sends_every_line_and_still_exits_with_1(cli):
    email = new_user()
    lines = [register_json(email), "broken", rename_json(new_user(), "x"), rename_json(email, "B")]
    lines += ["x" * (8 << 20), "{}"]
    done = cli.run("command", "send", "--keep-going", "-", stdin="\n".join(lines))
    assert done.returncode == FAILED
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["1", "accepted"],
        ["2", "failed"],
        ["3", "rejected"],
        ["4", "accepted"],
        ["5", "failed"],
        ["6", "failed"],
    ]
    assert "6 commands: 2 accepted, 1 rejected, 3 failed" in done.stderr
    assert "the first line that failed is line 2" in done.stderr


def test_a_batch_of_one_stops_exactly_at_the_line_that_fails(cli):
    lines = [register_json(new_user()), rename_json(new_user(), "x"), register_json(new_user())]
    done = cli.run("command", "send", "--batch-size", "1", "-o", "json", stdin="\n".join(lines))
    assert (done.returncode, len(done.stdout.splitlines())) == (FAILED, 2)
    assert "tail -n +3 FILE" in done.stderr


def test_a_line_is_sent_when_it_is_there_not_when_a_batch_is_full(cli, running):
    process = running(cli.start("command", "send", "-o", "json", "-", stdin=subprocess.PIPE))
    for _ in range(3):
        process.stdin.write(register_json(new_user()) + "\n")
        process.stdin.flush()
        assert read_json(process.stdout, 1)[0]["status"] == "ACCEPTED"
    process.stdin.close()
    assert process.wait(END_TIMEOUT_S) == OK


def test_progress_is_shown_on_a_terminal_only(cli):
    lines = "".join(register_json(new_user()) + "\n" for _ in range(20))
    shown = cli.on_terminal("command", "send", "--batch-size", "1", stdout=False, stdin=lines)
    assert "\r\x1b[K" in shown and "20 commands: 20 accepted" in shown
    done = cli.run("command", "send", stdin=register_json(new_user()))
    assert "\r" not in done.stderr and "\x1b" not in done.stderr


# --- events


def test_events_come_as_they_are_committed_until_the_limit(cli, running):
    email, other = new_user(), new_user()
    tail = running(
        cli.start("events", "tail", "--key", email, "--type", "UserNameChangedEvent", "--limit", "2", "-o", "json")
    )
    assert tail.stderr.readline() == "watching security; Ctrl-C ends it\n"
    lines = [register_json(email), rename_json(email, "B"), register_json(other), rename_json(email, "C")]
    cli.ok("command", "send", stdin="\n".join(lines))
    events = read_json(tail.stdout, 2)
    assert [event["payload"]["name"] for event in events] == ["B", "C"]
    assert tail.wait(END_TIMEOUT_S) == OK


def test_a_tail_ends_with_0_on_sigint_and_says_where_to_go_on(cli, running, user):
    tail = running(cli.start("events", "tail", "--from", "beginning", "--key", user, "-o", "json"))
    [event] = read_json(tail.stdout, 1)
    assert event["type"] == "UserRegisteredEvent"
    tail.send_signal(signal.SIGINT)
    assert tail.wait(END_TIMEOUT_S) == OK
    token = tail.stderr.read().rsplit("--from ", 1)[1].strip()
    cli.ok("command", "send", rename_json(user, "B"))
    [event] = cli.json("events", "tail", "--from", token, "--key", user, "--limit", "1")
    assert event["version"] == 1
    position = event["position"]
    at = f"{position['partition']}:{position['offset']}"
    assert cli.json("events", "tail", "--from", at, "--limit", "1")[0]["id"] == event["id"]


def test_a_tail_ends_quietly_when_nobody_reads_it_any_more(cli, running, user):
    read, write = os.pipe()
    tail = running(cli.start("events", "tail", "--from", "beginning", "--key", user, stdout=write))
    os.close(write)
    with os.fdopen(read) as reader:
        assert reader.readline().startswith("TIME")
    # It hears of it although no further event comes.
    assert tail.wait(END_TIMEOUT_S) == OK
    assert tail.stderr.read() == "watching security; Ctrl-C ends it\n"


def test_a_position_that_is_gone_or_wrong_is_an_error(cli):
    assert "INVALID_POSITION" in cli.fails("events", "tail", "--from", "9999:0")
    assert "INVALID_POSITION" in cli.fails("events", "tail", "--from", "nonsense")
    assert "UserRegisteredEvent" in cli.fails("events", "tail", "--type", "Unknown")


# --- engines that go and come


@pytest.fixture
def mortal_engine(tmp_path):
    """An engine that a test may stop, kill and start again on the same addresses."""
    engine = start_engine(tmp_path)
    yield engine
    engine.kill()


def again(engine):
    return engine.start(http=engine.http, grpc=engine.grpc)


def test_a_tail_goes_on_after_a_restart_with_each_event_once(mortal_engine, running):
    cli = Cli(mortal_engine.grpc)
    email = new_user()
    cli.ok("command", "send", register_json(email))
    tail = running(cli.start("events", "tail", "--from", "beginning", "-o", "json"))
    assert read_json(tail.stdout, 1)[0]["version"] == 0
    mortal_engine.stop()
    again(mortal_engine).wait_ready()
    cli.ok("command", "send", rename_json(email, "B"))
    assert read_json(tail.stdout, 1)[0]["version"] == 1
    mortal_engine.kill()
    again(mortal_engine).wait_ready()
    cli.ok("command", "send", rename_json(email, "C"))
    assert read_json(tail.stdout, 1)[0]["version"] == 2
    tail.send_signal(signal.SIGINT)
    assert tail.wait(END_TIMEOUT_S) == OK
    notes = tail.stderr.read()
    assert "connection lost, trying again" in notes and "connected again" in notes


def test_nothing_is_done_twice_when_the_engine_is_killed_amid_a_send_with_ids(mortal_engine, running, tmp_path):
    cli = Cli(mortal_engine.grpc)
    emails = [new_user() for _ in range(20)]
    lines = [register_json(email, id=f"r-{email}") for email in emails]
    lines += [rename_json(emails[number % 20], f"name {number}", id=f"n-{number}") for number in range(6000)]
    source, results = tmp_path / "lines", tmp_path / "results"
    source.write_text("\n".join(lines))
    with source.open() as stdin, results.open("w") as stdout:
        send = running(cli.start("command", "send", "-o", "json", "--batch-size", "100", stdin=stdin, stdout=stdout))
    for processed in (500, 3000):
        wait_until(
            lambda at=processed: results.read_text().count("\n") >= at, 60, lambda: f"progress: {send.poll()}"
        )
        mortal_engine.kill()
        again(mortal_engine)
    assert send.wait(END_TIMEOUT_S) == OK, send.stderr.read()
    done = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(result["line"], result["status"]) for result in done] == [(n + 1, "ACCEPTED") for n in range(len(lines))]
    mortal_engine.wait_ready()
    for position, email in enumerate(emails):
        history = cli.json("aggregate", "history", email)
        wanted = [f"name {number}" for number in range(position, 6000, 20)]
        assert [event["payload"]["name"] for event in history[1:]] == wanted


def test_commands_without_an_id_are_reported_as_unknown_when_the_engine_is_killed(mortal_engine, running):
    cli = Cli(mortal_engine.grpc)
    cli.ok("health")
    process = running(cli.start("command", "send", "-o", "json", "--timeout", "3s", "-", stdin=subprocess.PIPE))
    email = new_user()
    process.stdin.write(register_json(email) + "\n")
    process.stdin.flush()
    assert read_json(process.stdout, 1)[0]["status"] == "ACCEPTED"
    mortal_engine.suspend()
    process.stdin.write(rename_json(email, "B") + "\n")
    process.stdin.flush()
    [result] = read_json(process.stdout, 1)
    mortal_engine.resume()
    assert result["status"] == "UNKNOWN"
    assert process.wait(END_TIMEOUT_S) == FAILED


# --- many lines, ended early


def interrupted(process, number=signal.SIGINT):
    """stderr after the signal, which must end it with 128 and its number."""
    process.send_signal(number)
    assert process.wait(END_TIMEOUT_S) == 128 + number
    return process.stderr.read()


def unread_bytes(address):
    """What the kernel holds for the server that listens there, because it doesn't read."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    tables = (pathlib.Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
    rows = [line.split() for table in tables for line in table]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(port) and row[3] == "01")


def test_ctrl_c_amid_many_lines_says_where_to_go_on_and_nothing_is_lost_or_done_twice(cli, running, tmp_path):
    emails = [new_user() for _ in range(10)]
    lines = [register_json(email, id=f"r-{email}") for email in emails]
    lines += [rename_json(emails[number % 10], f"name {number}", id=f"n-{number}") for number in range(30_000)]
    source, results = tmp_path / "lines", tmp_path / "results"
    source.write_text("\n".join(lines) + "\n")
    with source.open() as stdin, results.open("w") as stdout:
        send = running(cli.start("command", "send", "-o", "json", "--batch-size", "50", stdin=stdin, stdout=stdout))
    wait_until(lambda: results.read_text().count("\n") >= 500, 60, lambda: f"results: {send.poll()}")
    errors = interrupted(send)
    answered = [json.loads(line)["line"] for line in results.read_text().splitlines()]
    assert answered == list(range(1, len(answered) + 1)) and len(answered) < len(lines)
    assert f"interrupted: {len(answered)} lines were answered" in errors
    assert f"tail -n +{len(answered) + 1} FILE | esd command send -" in errors
    end = len(answered) + 500  # further than what was under way
    rest = cli.json("command", "send", "-", stdin="\n".join(lines[len(answered) : end]))
    assert {result["status"] for result in rest} == {"ACCEPTED"}
    names = [event["payload"]["name"] for event in cli.json("aggregate", "history", emails[0])[1:]]
    assert names == [f"name {number}" for number in range(0, end - 10, 10)]


def test_ctrl_c_while_an_answer_is_awaited_says_which_lines_are_unknown(mortal_engine, running):
    cli = Cli(mortal_engine.grpc)
    send = running(cli.start("command", "send", "-o", "json", "-", stdin=subprocess.PIPE))
    email = new_user()
    send.stdin.write(register_json(email) + "\n")
    send.stdin.flush()
    assert read_json(send.stdout, 1)[0]["status"] == "ACCEPTED"
    mortal_engine.suspend()
    send.stdin.write(rename_json(email, "B") + "\n")
    send.stdin.flush()
    wait_until(lambda: unread_bytes(mortal_engine.grpc) > 0, 30, lambda: "the line was not sent")
    errors = interrupted(send)
    mortal_engine.resume()
    assert send.stdout.read() == ""
    assert "interrupted: 1 lines were answered, of lines 2 to 2, those without a result may" in errors
    assert "tail -n +2 FILE" in errors


def test_sigterm_while_the_next_line_is_awaited_ends_it_and_nothing_is_unknown(cli, running):
    send = running(cli.start("command", "send", "-o", "json", "-", stdin=subprocess.PIPE))
    send.stdin.write("\n".join(["", register_json(new_user()), register_json(new_user()), ""]))
    send.stdin.flush()
    assert [result["line"] for result in read_json(send.stdout, 2)] == [2, 3]
    errors = interrupted(send, signal.SIGTERM)
    assert "interrupted: 2 lines were answered, nothing behind them was sent" in errors
    assert "tail -n +4 FILE" in errors


def test_a_send_ends_when_nobody_reads_its_results_any_more(cli, running):
    send = running(cli.start("command", "send", "-", stdin=subprocess.PIPE))
    send.stdin.write(register_json(new_user()) + "\n")
    send.stdin.flush()
    assert send.stdout.readline().startswith("LINE")
    send.stdout.close()
    assert send.wait(END_TIMEOUT_S) == 128 + signal.SIGPIPE
    assert "nobody reads stdout any more: 1 lines were answered" in send.stderr.read()
