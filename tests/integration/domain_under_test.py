"""A security domain of a test's own: its topics, the engines that serve it, and the verifier's word on it."""

import contextlib

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

import topic_reader
import verifier
from commands import UNIQUE_HEADER, CommandWriter
from engine_process import QUICK_SESSION, Esd, run_esd
from waiting import wait_until

DRAIN_TIMEOUT_S = 90
KINDS = ("command", "event", "snapshot", "reply", "dead-letter")
ADMIN_TIMEOUT_S = 30


class DomainUnderTest:
    def __init__(self, broker, name, directory):
        """`name` makes the topics' prefix and the group, so it must be new to the broker."""
        self.broker, self.directory, self.name = broker, directory, name
        self.prefix, self.group = f"{name}.", f"group-{name}"
        self.engines = []
        self.partition_count = 0
        self.admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 2})

    def topic(self, kind):
        return f"{self.prefix}security-{kind}"

    # --- topics

    def create_topics(self, partition_count):
        done = self.esd_topics_create(partition_count)
        assert done.returncode == 0, f"esd topics create failed: {done.stderr}"
        self.partition_count = partition_count
        return self

    def esd_topics_create(self, partition_count):
        return run_esd("topics", "create", *self.connection(), "--partitions", partition_count)

    def connection(self):
        """Flags that every command takes."""
        where = ["--bootstrap-servers", self.broker.address, "--topic-prefix", self.prefix]
        return [*where, "--group", self.group, "--domain", "security"]

    def create_topics_by_hand(self, counts):
        """`counts`: kind -> number of partitions. As somebody might who doesn't use `esd topics create`."""
        self.partition_count = counts["command"]
        self.wait_all(
            self.admin.create_topics([NewTopic(self.topic(kind), count, 1) for kind, count in counts.items()])
        )

    def delete_topic(self, kind):
        self.wait_all(self.admin.delete_topics([self.topic(kind)]))
        # The controller has answered; the broker that is asked next may not have heard of it yet.
        wait_until(
            lambda: self.topic(kind) not in self.admin.list_topics(timeout=10).topics, 10, "the topic to be gone"
        )

    def add_partitions(self, kind, count):
        self.wait_all(self.admin.create_partitions([NewPartitions(self.topic(kind), count)]))
        wait_until(
            lambda: len(self.admin.list_topics(timeout=10).topics[self.topic(kind)].partitions) == count,
            10,
            "the partitions to be there",
        )

    def alter_topic(self, kind, config, value):
        entry = ConfigEntry(config, str(value), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.topic(kind), incremental_configs=[entry])
        self.wait_all(self.admin.incremental_alter_configs([resource]))

    def delete_records(self, kind, partition, before):
        """As retention does it."""
        self.wait_all(self.admin.delete_records([TopicPartition(self.topic(kind), partition, before)]))

    @contextlib.contextmanager
    def foreign_transaction(self, kind, key, value):
        """In the block another producer's transaction is open in every partition of a topic; then it is aborted.

        Until then nobody who reads committed records gets past where it began.
        """
        producer = Producer(
            {"bootstrap.servers": self.broker.address, "transactional.id": f"foreign-{self.name}", "log_level": 2}
        )
        producer.init_transactions(ADMIN_TIMEOUT_S)
        producer.begin_transaction()
        for partition in range(self.partition_counts()[kind]):
            producer.produce(self.topic(kind), value, key, partition)
        assert producer.flush(ADMIN_TIMEOUT_S) == 0
        try:
            yield
        finally:
            producer.abort_transaction(ADMIN_TIMEOUT_S)

    def partition_counts(self):
        topics = self.admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        return {kind: len(topics[self.topic(kind)].partitions) for kind in KINDS if self.topic(kind) in topics}

    def topic_configs(self, kind):
        resource = ConfigResource(ResourceType.TOPIC, self.topic(kind))
        configs = self.admin.describe_configs([resource])[resource].result(ADMIN_TIMEOUT_S)
        return {name: entry.value for name, entry in configs.items()}

    @staticmethod
    def wait_all(futures):
        for future in futures.values():
            future.result(ADMIN_TIMEOUT_S)

    def writer(self):
        return CommandWriter(self.broker.address, self.topic("command"), self.partition_count)

    # --- engines

    def engine(self, name="a", data_dir=None, extra_args=()):
        """An engine, not started; with a data folder of its own unless told."""
        args = [*self.connection(), *QUICK_SESSION, *extra_args]
        engine = Esd(args, data_dir or self.directory / f"data-{name}", self.directory / f"esd-{name}.log")
        self.engines.append(engine)
        return engine

    def kill_engines(self):
        for engine in self.engines:
            if engine.running():
                engine.kill()

    # --- what came of it

    def committed_offsets(self):
        """Per partition, right now: doesn't wait for a transaction that is being committed."""
        consumer = topic_reader.make_consumer(self.broker.address, self.group, "read_uncommitted")
        try:
            return topic_reader.committed_offsets(consumer, self.topic("command"))
        finally:
            consumer.close()

    def end_offsets(self, kind):
        """Per partition, where the next record will stand."""
        consumer = topic_reader.make_consumer(self.broker.address, self.group, "read_uncommitted")
        try:
            partitions = topic_reader.partitions_of(consumer, self.topic(kind))
            return [consumer.get_watermark_offsets(tp, ADMIN_TIMEOUT_S, cached=False)[1] for tp in partitions]
        finally:
            consumer.close()

    def records(self, kind):
        """{(partition, offset): record} of all that is committed."""
        with topic_reader.TopicReader(self.broker.address, [self.topic(kind)], self.group) as reader:
            partitions = reader.read_to_end()[self.topic(kind)]
        return {(record.partition, record.offset): record for records in partitions for record in records}

    def wait_drained(self, timeout_s=DRAIN_TIMEOUT_S):
        """Until every command that is in the topic, forwarded ones included, is below the committed offsets."""
        with topic_reader.TopicReader(self.broker.address, [self.topic("command")], self.group) as reader:

            def waiting():
                """The partitions with a command that is not processed; or why that can't be told yet."""
                try:
                    committed = topic_reader.committed_offsets(reader.committed, self.topic("command"))
                except KafkaException as error:
                    # The broker was silent, or a transaction was under way at each of its tries.
                    if error.args[0].code() not in topic_reader.PASSING_ERRORS:
                        raise
                    return {"the committed offsets": str(error)}
                partitions = reader.read_to_end()[self.topic("command")]
                ends = [records[-1].offset + 1 if records else 0 for records in partitions]
                return {
                    p: f"{at} of {end}" for p, (at, end) in enumerate(zip(committed, ends, strict=True)) if at < end
                }

            wait_until(lambda: not waiting(), timeout_s, lambda: f"the end of the commands: {waiting()}")

    def wait_progress(self, processed, timeout_s=60):
        """Until that many more commands are committed than now, whatever happens to the broker meanwhile."""

        def total():
            try:
                return sum(self.committed_offsets())
            except KafkaException:
                return 0

        begin = total()
        wait_until(lambda: total() >= begin + processed, timeout_s, f"{processed} more commands to be processed")

    def read(self):
        return topic_reader.read_domain(self.broker.address, self.prefix, self.group, "security")

    def report(self):
        return verifier.verify(self.read(), "security", UNIQUE_HEADER)

    def verify(self):
        """Checks every invariant; returns the report, whose counts tell what was there."""
        report = self.report()
        print(report)
        assert not report.violations, f"{report}"
        return report

    def drain_and_verify(self):
        with self.explained():
            self.wait_drained()
        return self.verify()

    @contextlib.contextmanager
    def explained(self):
        """Adds the verifier's word to a failure in the block: why an engine stands still may show in the topics."""
        try:
            yield
        except (AssertionError, TimeoutError) as failure:
            raise AssertionError(f"{failure}\n{self.report()}") from failure
