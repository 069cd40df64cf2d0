"""Fixtures: a broker per session and version, and for each test a domain with topics, group and data of its own."""

import itertools
import os
import random

import pytest

from broker import Broker
from domain_under_test import DomainUnderTest
from engine_process import BINARY

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
