"""Commands of the security domain, and a producer that puts them where a test wants them."""

import dataclasses
import json
import random
import threading
import time

from confluent_kafka import Producer

import security_domain
from reference_model import home_partition

# Each command gets its own value of this header, so that the verifier tells a forwarded copy from an original.
UNIQUE_HEADER = "test-id"


@dataclasses.dataclass
class Command:
    key: bytes | None
    value: bytes | None
    headers: list = dataclasses.field(default_factory=list)

    def with_header(self, name, value):
        value = value.encode() if isinstance(value, str) else value
        return dataclasses.replace(self, headers=[*self.headers, (name, value)])

    def with_id(self, command_id):
        return self.with_header("ce_id", command_id)

    def expecting(self, version):
        return self.with_header("esd-expected-version", str(version))

    def with_key(self, key):
        return dataclasses.replace(self, key=key)

    def with_value(self, value):
        return dataclasses.replace(self, value=value)


def json_command(command_type, fields):
    value = json.dumps({"type": command_type, "command": fields}, separators=(",", ":"), ensure_ascii=False)
    return Command(fields["email"].encode(), value.encode())


def register(email, name="Alex"):
    return json_command("RegisterUserCommand", {"name": name, "email": email})


def rename(email, new_name):
    return json_command("ChangeUserNameCommand", {"email": email, "newName": new_name})


def in_protobuf(command):
    """The same command in protobuf's binary form."""
    document = json.loads(command.value)
    value = security_domain.encode_command(document["type"], document["command"])
    return command.with_value(value).with_header("Content-Type", "application/x-protobuf")


def line(command):
    """For console producers."""
    return f"{command.key.decode()}:{command.value.decode()}"


class CommandWriter:
    """Writes commands, to the partition that Kafka's Java client would choose unless told otherwise."""

    def __init__(self, bootstrap, topic, partition_count):
        self.topic, self.partition_count = topic, partition_count
        self.sent = 0
        self.failure = None
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.max.bytes": 4 << 20,
                "delivery.timeout.ms": 120_000,  # brokers are restarted in tests
                "log_level": 2,
            }
        )

    def send(self, command, partition=None, timestamp_ms=0):
        if partition is None:
            partition = 0 if command.key is None else home_partition(command.key, self.partition_count)
        self.sent += 1
        headers = [*command.headers, (UNIQUE_HEADER, str(self.sent).encode())]
        self.producer.produce(
            self.topic, command.value, command.key, partition, self.on_delivery, timestamp_ms, headers=headers
        )
        self.producer.poll(0)

    def send_all(self, commands):
        """Returns when the broker has them."""
        for command in commands:
            self.send(command)
        self.flush()

    def flush(self, timeout_s=120):
        left = self.producer.flush(timeout_s)
        assert left == 0, f"the broker did not take {left} commands"
        assert self.failure is None, f"the broker refused a command: {self.failure}"

    def on_delivery(self, error, _):
        self.failure = self.failure or error


class Mix:
    """An endless mix of all that producers do right and wrong, from a seed."""

    POISON = (
        Command(None, b"{}"),
        Command(b"user0@example.org", None),
        Command(b"user0@example.org", b'{"type":"RegisterUserCommand","command":{'),
        Command(b"user0@example.org", b'{"type":"DropAllUsersCommand","command":{}}'),
        rename("user0@example.org", "Nobody").with_header("content-type", "text/plain"),
        rename("user0@example.org", "Nobody").expecting("soon"),
        rename("user0@example.org", "Nobody").with_key(b"user1@example.org"),
    )

    def __init__(self, rng, partition_count, users=200):
        self.rng, self.partition_count, self.users = rng, partition_count, users
        self.made = 0
        self.with_id = []  # commands that were sent with an id

    def next(self):
        """A command, and the partition to put it into; None: its own."""
        self.made += 1
        choice = self.rng.random()
        if choice < 0.03:
            return self.rng.choice(self.POISON), self.any_partition()
        if choice < 0.10 and self.with_id:
            return self.repetition(), None
        command = self.good_command()
        if choice < 0.40:
            command = command.with_id(f"id-{self.made}")
            self.with_id.append(command)
        misplaced = self.rng.random() < 0.1
        return command, self.any_partition() if misplaced else None

    def any_partition(self):
        return self.rng.randrange(self.partition_count)

    def good_command(self):
        email = f"user{self.rng.randrange(self.users)}@example.org"
        if self.rng.random() < 0.15:
            command = register(email, f"Name {self.made}")
        else:
            command = rename(email, f"Name {self.rng.choice([self.made, self.made, 7])}")
        if self.rng.random() < 0.2:
            command = command.expecting(self.rng.randint(-1, 20))
        return in_protobuf(command) if self.rng.random() < 0.1 else command

    def repetition(self):
        """A command whose id was used before: mostly the same, at times another."""
        again = self.rng.choice(self.with_id[-2000:])
        if self.rng.random() < 0.1:
            other = rename(again.key.decode(), "Somebody else")
            return other.with_id(dict(again.headers)["ce_id"])
        return again


class Load:
    """A thread that keeps sending a mix of commands, about `per_second` of them, while the `with` block runs."""

    TICK_S = 0.01

    def __init__(self, writer, seed, per_second=1000):
        self.writer, self.per_tick = writer, max(1, round(per_second * self.TICK_S))
        self.mix = Mix(random.Random(seed), writer.partition_count)
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            due = time.monotonic()
            while not self.stopping.wait(max(0, due - time.monotonic())):
                for _ in range(self.per_tick):
                    self.writer.send(*self.mix.next())
                due = max(due + self.TICK_S, time.monotonic() - 1)  # a slow machine need not catch up
        except Exception as error:  # shown by the test, which waits in another thread
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, failed, *_):
        self.stopping.set()
        self.thread.join()
        if not failed:  # the test's own failure says more
            self.stop()

    def stop(self):
        """Ends the load; all of it is in the topic then."""
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise self.failure
        self.writer.flush()
