"""A real Kafka broker, through scripts/kafka."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "kafka"
# A broker must not outlive even a test run that was killed.
STOP_AFTER_S = 7200


class Broker:
    """Starts at once. Its port and data are the same after kill() and start()."""

    def __init__(self, version, data_dir):
        self.version, self.data_dir = version, pathlib.Path(data_dir)
        self.port = 0
        self.start()

    def start(self):
        self.address = self.script(
            *("start", "--port", str(self.port), "--in-memory"),
            *("--owner-pid", str(os.getpid()), "--stop-after", str(STOP_AFTER_S)),
        )
        self.port = int(self.address.rpartition(":")[2])

    def kill(self):
        """As kill -9 does it: nothing is flushed, no client is told."""
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.listens(), 10, "the broker to be gone")

    @contextlib.contextmanager
    def suspended(self):
        """In the block it takes what it is sent and answers nothing; afterwards it goes on."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)
            # Its controller may have fenced it meanwhile: until it is back, no topic can be made.
            wait_until(self.takes_topics, 30, "a broker that takes topics again")

    def takes_topics(self):
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 2})
        made = admin.create_topics([NewTopic("probe", 1, 1)], validate_only=True, request_timeout=5)
        try:
            made["probe"].result(10)
        except KafkaException:
            return False
        return True

    def signal(self, number):
        os.kill(int((self.data_dir / "pid").read_text()), number)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.script("stop", "--delete")

    def script(self, command, *args):
        done = subprocess.run(
            [SCRIPT, command, "--version", self.version, "--data", self.data_dir, *args],
            text=True,
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, f"scripts/kafka {command} failed:\n{done.stderr}"
        return done.stdout.strip()

    def console_producer(self, topic, lines):
        """Kafka's own console producer: `key:value` lines."""
        command = [SCRIPT, "console-producer", "--version", self.version, "--bootstrap-server", self.address]
        command += ["--topic", topic, "--property", "parse.key=true", "--property", "key.separator=:"]
        subprocess.run(command, input="".join(f"{line}\n" for line in lines), text=True, check=True, timeout=60)

    def kcat_producer(self, topic, lines):
        """kcat as it comes: its default partitioner puts keys elsewhere than Java's does."""
        command = ["kcat", "-P", "-b", self.address, "-t", topic, "-K", ":"]
        subprocess.run(command, input="".join(f"{line}\n" for line in lines), text=True, check=True, timeout=60)
