"""Fixtures: a broker per session and version, and for each test a domain with topics, group and data of its own."""

import itertools
import os
import random

import pytest

import commands
from broker import Broker
from domain_under_test import DomainUnderTest
from engine_process import BINARY
from grpc_client import Client, new_user, register

NEWEST, OLDEST = "4.1.0", "3.9.1"

domain_numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "both_versions: runs on the newest and on the oldest broker that is supported")


def pytest_generate_tests(metafunc):
    if "kafka_version" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_versions")
        metafunc.parametrize("kafka_version", [NEWEST, OLDEST] if both else [NEWEST], scope="session")


@pytest.fixture(scope="session")
def broker(kafka_version, tmp_path_factory):
    broker = Broker(kafka_version, tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture
def mortal_broker(kafka_version, tmp_path):
    """A broker of the test's own, to be killed."""
    broker = Broker(kafka_version, tmp_path / "kafka")
    yield broker
    broker.stop()


@pytest.fixture
def make_domain(request, tmp_path):
    """Makes domains without topics; whatever engines they start are gone after the test."""
    domains = []

    def make(broker):
        directory = tmp_path / f"domain-{len(domains)}"
        directory.mkdir()
        domains.append(DomainUnderTest(broker, f"test-{os.getpid()}-{next(domain_numbers)}", directory))
        return domains[-1]

    assert BINARY.exists(), f"there is no {BINARY}: build it, or set ESD_BINARY"
    request.node.domains = domains
    yield make
    for domain in domains:
        domain.kill_engines()


@pytest.fixture(scope="module")
def shared_domain(broker, tmp_path_factory):
    """A domain of four partitions for all tests of a file that only add to it, with one engine that serves it."""
    assert BINARY.exists(), f"there is no {BINARY}: build it, or set ESD_BINARY"
    domain = DomainUnderTest(
        broker, f"test-{os.getpid()}-{next(domain_numbers)}", tmp_path_factory.mktemp("shared-domain")
    )
    try:
        domain.create_topics(4).engine().start_ready()
        yield domain
        report = domain.drain_and_verify()
        assert not report.counts["dead letter"], "the API let something through that can't be processed"
    finally:
        domain.kill_engines()


@pytest.fixture
def client(shared_domain, connect, request):
    """Of the engine that a file's tests share, which must survive each of them."""
    request.node.domains = [shared_domain]
    client = connect(shared_domain.engines[0]).wait_serving()
    yield client
    assert shared_domain.engines[0].running(), "the server did not live"
    assert client.health() == "SERVING"


@pytest.fixture
def user(client):
    """A user who is registered, with version 0 and the name Alex."""
    email = new_user()
    client.SubmitCommand(**register(email, "Alex"))
    return email


@pytest.fixture
def nothing_written(shared_domain):
    """The test must leave the command topic as it was."""
    before = shared_domain.end_offsets("command")
    yield
    assert shared_domain.end_offsets("command") == before, "something was written"


@pytest.fixture(scope="module")
def crowd(shared_domain):
    """250 users whose addresses begin with `crowd-`."""
    emails = [f"crowd-{number}@example.org" for number in range(250)]
    shared_domain.writer().send_all(commands.register(email, email) for email in emails)
    shared_domain.wait_drained()
    return emails


@pytest.fixture
def connect():
    """Makes gRPC clients: of an engine, or of an address; they are closed after the test."""
    clients = []

    def connect(server, **options):
        clients.append(Client(getattr(server, "grpc", server), **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def bare_domain(make_domain, broker):
    """A domain without topics."""
    return make_domain(broker)


@pytest.fixture
def domain(bare_domain):
    """A domain of four partitions."""
    return bare_domain.create_topics(4)


@pytest.fixture
def seed():
    """What a test draws its random numbers from; ESD_TEST_SEED repeats a run."""
    seed = int(os.environ.get("ESD_TEST_SEED") or random.randrange(1 << 32))
    print(f"ESD_TEST_SEED={seed}")
    return seed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the engines' logs with a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for domain in getattr(item, "domains", []):
            for engine in domain.engines:
                report.sections.append((f"{engine.log_path.name}, its end", engine.log()[-6000:]))
    return report
