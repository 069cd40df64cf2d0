"""A broker with access rules: everybody may do everything at one port, and at another `esd` only what it was allowed."""

import contextlib
import pathlib
import socket
import subprocess
import time

from environment import DIE_WITH_PARENT, ROOT, free_address, stop

START_TIMEOUT_S = 60
JVM = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
PASSWORD = "for-a-test"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{open},SASL_PLAINTEXT://{secured},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{open},SASL_PLAINTEXT://{secured}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_esd="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={folder}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
"""


class SecuredBroker:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.open, self.secured, controller = free_address(), free_address(), free_address()
        properties = self.folder / "server.properties"
        properties.write_text(
            PROPERTIES.format(
                open=self.open, secured=self.secured, controller=controller, folder=self.folder, password=PASSWORD
            )
        )
        jars = subprocess.run([ROOT / "scripts/kafka", "jars"], check=True, stdout=subprocess.PIPE, text=True, timeout=600)
        java = ["java", *JVM, "-cp", f"{jars.stdout.strip()}/*"]
        format_log = [*java, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", properties]
        subprocess.run(format_log, check=True, capture_output=True, timeout=START_TIMEOUT_S)
        self.log_path = self.folder / "broker.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*DIE_WITH_PARENT, *java, "kafka.Kafka", properties], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = self.folder / "client.properties"
        self.client.write_text(
            f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=esd\nsasl.password={PASSWORD}\n"
        )
        self.await_answer()

    def await_answer(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while f"broker 1 at {self.open}" not in self.metadata():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the broker did not start:\n{self.log_path.read_text()[-4000:]}")
            time.sleep(0.1)

    def metadata(self):
        with contextlib.suppress(OSError), socket.create_connection(self.open.split(":"), 1):
            return subprocess.run(["kcat", "-L", "-b", self.open, "-m", "2"], capture_output=True, text=True).stdout
        return ""

    def stop(self):
        stop(self.process)
