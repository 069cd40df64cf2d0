"""Reads topics to their end, the way a careful consumer of the engine's output does: committed records only."""

import time
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

REQUEST_TIMEOUT_S = 10
READ_TIMEOUT_S = 60


class HangingTransaction(Exception):
    """A topic can't be read to its end: a transaction stays open."""


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple  # of (name, bytes or None)

    @property
    def position(self):
        return f"{self.partition}:{self.offset}"

    @property
    def place(self):
        """For people."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    def header(self, name):
        """The last header of that name as text; None when there is none."""
        for header, value in reversed(self.headers):
            if header == name:
                return (value or b"").decode("utf-8", "replace")
        return None


def make_consumer(bootstrap, group, isolation):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,  # only to ask for its offsets: it is never joined
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,
            "fetch.message.max.bytes": 16 << 20,
            "log_level": 2,  # a broker that is restarted on purpose is no news
        }
    )


def partitions_of(consumer, topic):
    metadata = consumer.list_topics(topic, timeout=REQUEST_TIMEOUT_S).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return [TopicPartition(topic, partition) for partition in sorted(metadata.partitions)]


class TopicReader:
    """Follows topics from their beginning; `records[topic][partition]` has what was read so far, in offset order."""

    def __init__(self, bootstrap, topics, group="esd-test-reader"):
        self.committed = make_consumer(bootstrap, group, "read_committed")
        self.uncommitted = make_consumer(bootstrap, group, "read_uncommitted")
        self.partitions = [tp for topic in topics for tp in partitions_of(self.committed, topic)]
        self.records = {topic: [] for topic in topics}
        for tp in self.partitions:
            self.records[tp.topic].append([])
        self.ends = {(tp.topic, tp.partition): 0 for tp in self.partitions}  # read up to there
        self.committed.assign([TopicPartition(tp.topic, tp.partition, OFFSET_BEGINNING) for tp in self.partitions])

    def close(self):
        self.committed.close()
        self.uncommitted.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read_to_end(self, timeout_s=READ_TIMEOUT_S):
        """Reads all that was written before the call, be it committed, aborted or still open then."""
        deadline = time.monotonic() + timeout_s
        targets = {}
        for tp in self.partitions:
            _, end = self.uncommitted.get_watermark_offsets(tp, timeout=REQUEST_TIMEOUT_S, cached=False)
            targets[tp.topic, tp.partition] = end
        while behind := [at for at, target in targets.items() if self.ends[at] < target]:
            if time.monotonic() > deadline:
                topic, partition = behind[0]
                raise HangingTransaction(
                    f"{topic}/{partition} can be read to {self.ends[behind[0]]} only, of {targets[behind[0]]}, "
                    f"after {timeout_s} s: a transaction stays open"
                )
            self.read_some()
        return self.records

    def read_some(self, wait_s=0.1):
        """Takes what is there; returns the new records."""
        new = []
        for message in self.committed.consume(10_000, wait_s):
            at = message.topic(), message.partition()
            if message.error() is None:
                record = Record(*at, message.offset(), message.key(), message.value(), tuple(message.headers() or ()))
                self.records[at[0]][at[1]].append(record)
                self.ends[at] = record.offset + 1
                new.append(record)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                # Also behind markers and aborted records, which are never handed over.
                self.ends[at] = message.offset()
            elif not message.error().retriable() and message.error().code() not in PASSING_ERRORS:
                raise KafkaException(message.error())
        return new


# A broker that is restarted while it is read.
PASSING_ERRORS = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


def committed_offsets(consumer, topic):
    """Next offset of each partition of `topic` that the consumer's group will process; 0 when it never committed."""
    found = consumer.committed(partitions_of(consumer, topic), timeout=REQUEST_TIMEOUT_S)
    for tp in found:
        if tp.error is not None:
            raise KafkaException(tp.error)
    return [max(0, tp.offset) for tp in found]


@dataclass
class DomainLog:
    """A domain's topics, per partition in offset order, and the group's offsets before and after they were read."""

    command_topic: str
    commands: list
    events: list
    snapshots: list
    replies: list
    dead_letters: list
    committed_before: list = field(default_factory=list)
    committed_after: list = field(default_factory=list)


def read_domain(bootstrap, prefix, group, domain, timeout_s=READ_TIMEOUT_S):
    topics = [f"{prefix}{domain}-{kind}" for kind in ("command", "event", "snapshot", "reply", "dead-letter")]
    with TopicReader(bootstrap, topics, group) as reader:
        # Offsets first and last: commands below the first ones must have their effects in what is read in between,
        # commands from the last ones on can't have any, even while the engine runs. The consumer that reads committed
        # records waits for the offsets of a transaction that is being committed.
        before = committed_offsets(reader.committed, topics[0])
        records = reader.read_to_end(timeout_s)
        after = committed_offsets(reader.committed, topics[0])
    return DomainLog(topics[0], *(records[topic] for topic in topics), before, after)
