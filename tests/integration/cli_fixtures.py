"""Fixtures of the tests of the command line: import them where they are wanted."""

import pytest

from cli import Cli, register_json, start_engine
from grpc_client import new_user


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One for all tests of this file."""
    engine = start_engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.kill()


@pytest.fixture
def cli(engine):
    return Cli(engine.grpc)


@pytest.fixture
def user(cli):
    """A user who is registered, with version 0 and the name Alex."""
    email = new_user()
    cli.ok("command", "send", register_json(email))
    return email
