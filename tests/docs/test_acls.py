"""The access rules of docs/operating.md are what `esd` needs, and it says what is wrong when it hasn't got them."""

import re
import subprocess
import time

import pytest

import annotations
from environment import BINARY, ROOT, Engine, World, clean_environment, free_address
from pages import Block, blocks
from secured_broker import SecuredBroker

TIMEOUT_S = 60
TOOL = "org.apache.kafka.tools.AclCommand"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = SecuredBroker(tmp_path_factory.mktemp("secured"))
    create = [BINARY, "topics", "create", "--bootstrap-servers", broker.open, "--domain", "security", "--partitions", "2"]
    subprocess.run(create, check=True, timeout=TIMEOUT_S, env=clean_environment())
    yield broker
    broker.stop()


def serve_arguments(broker):
    arguments = ["serve", "--bootstrap-servers", broker.secured, "--domain", "security", "--kafka-config", broker.client]
    return list(map(str, arguments))


def kafka_acls(broker, *arguments):
    command = [ROOT / "scripts/kafka", "tool", TOOL, "--bootstrap-server", broker.open, *arguments]
    return subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True, text=True).stdout


def rules_of_the_page():
    """The arguments of each call in the block."""
    [block] = [block for block in blocks(ROOT / "docs/operating.md") if (block.annotation or "").startswith("run: acl")]
    return [line.split()[1:] for line in block.text.splitlines() if line.startswith("acl -")]


def test_without_rules_it_refuses_and_says_why(broker, tmp_path):
    """Runs first: nothing has been allowed yet."""
    done = subprocess.run(
        [BINARY, *serve_arguments(broker), "--data-dir", tmp_path, "--http-listen", free_address(), "--grpc-listen",
         free_address()],
        capture_output=True, text=True, timeout=TIMEOUT_S, env=clean_environment(),
    )
    assert done.returncode == 1
    assert "may not be seen" in done.stderr


def test_with_the_rules_of_the_page_commands_become_events(broker, tmp_path):
    rules = rules_of_the_page()
    assert len(rules) == 4
    for rule in rules:
        kafka_acls(broker, "--add", "--allow-principal", "User:esd", *rule)
    engine = Engine(BINARY, serve_arguments(broker), tmp_path / "engine")
    try:
        send = ["kcat", "-P", "-b", broker.open, "-t", "security-command", "-K:", "-H", "ce_id=1"]
        command = 'acl@bar.com:{"type":"RegisterUserCommand","command":{"name":"Alex","email":"acl@bar.com"}}\n'
        subprocess.run(send, input=command + "acl@bar.com:no JSON\n", text=True, check=True, timeout=TIMEOUT_S)
        for topic, expected in [("event", "UserRegisteredEvent"), ("reply", "ACCEPTED"), ("dead-letter", "no JSON")]:
            read_until(broker, f"security-{topic}", expected)
    finally:
        engine.stop()
    log = engine.log_path.read_text()
    assert not re.search(r"(?i)authoriz|denied", log), log


def test_the_example_with_a_password_serves(broker, tmp_path):
    """Of `esd serve` in docs/cli.md; test_cli_examples.py runs the others. The rules are there by now."""
    example = "esd serve --bootstrap-servers broker:9093 --kafka-config sasl.properties\n"
    assert example in [block.text for block in blocks(ROOT / "docs/cli.md")]
    world = World(tmp_path, lambda: broker.secured)
    (world.home / "sasl.properties").write_text(broker.client.read_text())
    block = Block("cli.md", 0, "sh", None, example.replace("broker:9093", "localhost:9092"))
    world.run(block, annotations.parse_run('broker, until "serves:"'))


def read_until(broker, topic, expected):
    deadline = time.monotonic() + TIMEOUT_S
    read = ["kcat", "-C", "-b", broker.open, "-t", topic, "-e", "-q", "-o", "beginning", "-X", "isolation.level=read_committed"]
    while expected not in (found := subprocess.run(read, capture_output=True, text=True, timeout=TIMEOUT_S).stdout):
        assert time.monotonic() < deadline, f"{topic} holds {found!r}, not {expected}"
        time.sleep(0.05)


@pytest.mark.parametrize("rule", range(4))
def test_no_rule_can_be_left_out(broker, tmp_path, rule):
    """Without it the engine never comes to serve, and its log says that something isn't allowed."""
    arguments = rules_of_the_page()[rule]
    kafka_acls(broker, "--remove", "--force", "--allow-principal", "User:esd", *arguments)
    try:
        with pytest.raises(AssertionError, match=r"(?s)did not become ready.*(?:[Aa]uthoriz|may not be seen)"):
            Engine(BINARY, serve_arguments(broker), tmp_path / "engine", ready_timeout_s=8)
    finally:
        kafka_acls(broker, "--add", "--allow-principal", "User:esd", *arguments)
    Engine(BINARY, serve_arguments(broker), tmp_path / "again").stop()
