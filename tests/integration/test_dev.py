"""`esd dev` and `esd serve --log embedded`: the engine without a broker."""

import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import pytest

from engine_process import BINARY, DIE_WITH_PARENT, Esd, run_esd
from grpc_client import CallError, Client, key, new_user, refused, register, rename
from small_disk import SmallDisk
from waiting import wait_until

ANY_PORT = ("--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
KILLS = 200 if os.environ.get("ESD_TEST_LONG") else 8


class Terminal:
    """A command on a terminal of its own, as a person sees it."""

    def __init__(self, *command, env=None):
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*DIE_WITH_PARENT, *map(str, command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # Its terminal is the controlling one, so that Ctrl-C is a signal.
            preexec_fn=lambda: (os.setsid(), os.close(os.open(os.ttyname(0), os.O_RDWR))),
            env={**os.environ, **(env or {})},
        )
        os.close(theirs)
        self.fd, self.text = ours, ""

    def read_until(self, pattern, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.text):
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], self.text
            try:
                piece = os.read(self.fd, 4096)
            except OSError:  # how the end of a terminal shows
                piece = b""
            assert piece, f"it ended, without {pattern}:\n{self.text}"
            self.text += piece.decode().replace("\r\n", "\n")
        return self.text

    def type(self, keys):
        os.write(self.fd, keys)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def terminal():
    terminals = []

    def run(*command, env=None):
        terminals.append(Terminal(*command, env=env))
        return terminals[-1]

    yield run
    for each in terminals:
        each.close()


@pytest.fixture
def embedded(tmp_path):
    """A node with the embedded log. Not running until start()."""
    engine = Esd(["--log", "embedded"], tmp_path / "data", tmp_path / "esd.log")
    yield engine
    if engine.running():
        engine.kill()


@pytest.fixture
def small_disk(tmp_path, embedded):
    """What the node's data is on."""
    try:
        disk = SmallDisk(tmp_path / "disk", mebibytes=512)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted here; the log's own tests fill a simulated one: {error}")
    embedded.data_dir, embedded.runner = disk.path / "data", disk.runner
    yield disk
    if embedded.running():
        embedded.kill()
    disk.close()


def accepts_again(client):
    """Commands are accepted, after there was no room."""

    def accepted():
        try:
            client.SubmitCommand(**register(new_user()))
        except CallError as error:
            assert error.reason == "LOG_FULL", error
            return False
        return True

    wait_until(accepted, 30, "commands to be accepted again")


def versions_on(screen, key):
    return [int(v) for v in re.findall(rf"event +{re.escape(key)} +version (\d+)", screen)]


def test_the_demonstration_shows_both_scenarios_on_a_terminal(terminal, tmp_path):
    dev = terminal(BINARY, "dev", "--demo", *ANY_PORT, env={"TMPDIR": str(tmp_path)})
    screen = dev.read_until("Ctrl-C ends it")
    assert versions_on(screen, "foo@bar.com") == [0, 1]
    assert versions_on(screen, "bar@foo.com") == [0, 1, 2, 3]
    assert re.findall(r'"(?:name|newName)": *"(Alex\d)"', screen.split("Three renames")[1])[-3:] == [
        "Alex1",
        "Alex2",
        "Alex3",
    ]
    assert re.search(r"gRPC +127\.0\.0\.1:\d+", screen) and re.search(r"HTTP +http://127\.0\.0\.1:\d+", screen)
    assert screen.count(f" {BINARY} ") == 3, "three commands to try, as they must be typed"
    assert len(list(tmp_path.iterdir())) == 1
    dev.type(b"\x03")
    assert dev.process.wait(30) == 0
    assert not list(tmp_path.iterdir()), "the temporary folder is left"


def test_the_demonstration_can_end_by_itself(tmp_path):
    done = run_esd("dev", "--demo", "--exit-after-demo", *ANY_PORT, env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert versions_on(done.stdout, "bar@foo.com") == [0, 1, 2, 3]
    assert not list(tmp_path.iterdir())


def test_the_demonstration_refuses_a_directory_in_which_it_has_run(tmp_path):
    run = ["dev", "--demo", "--exit-after-demo", "--data-dir", tmp_path / "data", *ANY_PORT]
    assert run_esd(*run).returncode == 0
    again = run_esd(*run)
    assert again.returncode == 1
    assert "empty directory" in again.stderr


def test_what_is_in_the_data_directory_is_there_again(embedded, connect):
    embedded.start_ready()
    email = new_user()
    with Client(embedded.grpc) as client:
        client.SubmitCommand(**register(email, "Alex", command_id="1"))
        client.SubmitCommand(**rename(email, "Alex1"))
    embedded.stop()
    embedded.start_ready()
    client = connect(embedded)
    assert client.GetSnapshot(**key(email)).snapshot.version == 1
    assert client.SubmitCommand(**register(email, "Alex", command_id="1")).replayed
    assert [event.version for event in client.ListEvents(**key(email)).events] == [0, 1]


def test_nothing_acknowledged_is_lost_when_the_node_is_killed(embedded):
    versions = {}
    for number in range(KILLS):
        embedded.start_ready()
        with Client(embedded.grpc) as client:
            for email, version in versions.items():
                assert client.GetSnapshot(**key(email)).snapshot.version == version
            email = new_user()
            versions[email] = client.SubmitCommand(**register(email, "Alex")).outcome.version
            for rename_number in range(number % 4):
                answer = client.SubmitCommand(**rename(email, f"Alex{rename_number}"))
                versions[email] = answer.outcome.version
        embedded.kill()


def test_a_directory_that_is_in_use_is_refused(embedded, tmp_path):
    embedded.start_ready()
    other = Esd(["--log", "embedded"], embedded.data_dir, tmp_path / "other.log")
    code, line = other.fail_to_start()
    assert code == 1
    assert str(embedded.data_dir) in line and "another" in line


def test_a_node_whose_store_is_lost_rebuilds_it_from_its_log(embedded, connect):
    embedded.start_ready()
    email = new_user()
    with Client(embedded.grpc) as client:
        client.SubmitCommand(**register(email, "Alex"))
    embedded.stop()
    for path in embedded.data_dir.iterdir():
        if path.name != "log":
            subprocess.run(["rm", "-r", path], check=True)
    embedded.start_ready()
    assert connect(embedded).GetSnapshot(**key(email)).snapshot.version == 0


def test_a_stop_under_way_is_ended_by_a_second_signal(embedded):
    embedded.start_ready()
    embedded.process.send_signal(signal.SIGTERM)
    embedded.process.send_signal(signal.SIGTERM)
    assert embedded.wait_exit(30) in (0, 1)  # whichever signal was seen first


def test_commands_are_refused_while_the_disk_is_nearly_full(embedded, small_disk, connect):
    client = connect(embedded.start_ready())
    email = new_user()
    client.SubmitCommand(**register(email))
    small_disk.fill(leave_bytes=32 << 20)
    wait_until(lambda: not_accepted(client), 30, "a refusal")
    refused(
        "RESOURCE_EXHAUSTED", "LOG_FULL", lambda: client.SubmitCommand(**rename(email, "Alex1")), retry=True
    )
    assert client.GetSnapshot(**key(email)).snapshot.version == 0
    small_disk.make_room()
    accepts_again(client)
    assert client.SubmitCommand(**rename(email, "Alex1")).outcome.version == 1


def not_accepted(client):
    try:
        client.SubmitCommand(**register(new_user()))
    except CallError:
        return True
    return False


def test_a_disk_that_is_full_amid_commands_loses_nothing_and_the_node_goes_on(embedded, small_disk, connect):
    client = connect(embedded.start_ready())
    registered, stop = [], threading.Event()

    def send():
        while not stop.is_set():
            email = new_user()
            try:
                client.SubmitCommand(**register(email))
                registered.append(email)
            except CallError as error:
                assert error.reason in ("LOG_FULL", "OUTCOME_UNKNOWN"), error

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(3):
            before = len(registered)
            wait_until(lambda: len(registered) > before + 100, 30, "commands to be accepted")
            small_disk.fill(leave_bytes=0)
            wait_until(lambda: not_accepted(client), 30, "a refusal")
            small_disk.make_room()
            accepts_again(client)
    finally:
        stop.set()
        sender.join(60)
    assert not sender.is_alive() and embedded.running()
    for _ in range(2):  # and after a restart
        for email in registered:
            assert client.GetSnapshot(**key(email)).snapshot.version == 0
        embedded.stop()
        client = connect(embedded.start_ready())
