import os
import pathlib
import subprocess

import pytest

from environment import BINARY, ROOT, World

# A broker must not outlive even a test run that was killed.
STOP_AFTER_S = "900"


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """Gives the address of a broker with the topics of `security`; starts it at the first call."""
    folder = tmp_path_factory.mktemp("broker")
    address = []

    def kafka(command, *args):
        script = [ROOT / "scripts/kafka", command, "--data", folder, *args]
        return subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout.strip()

    def get():
        if not address:
            owner = ["--owner-pid", str(os.getpid()), "--stop-after", STOP_AFTER_S]
            address.append(kafka("start", "--port", "0", *owner))
            create = [BINARY, "topics", "create", "--bootstrap-servers", address[0], "--partitions", "8"]
            subprocess.run([*create, "--domain", "security"], check=True, timeout=60)
        return address[0]

    yield get
    if address:
        kafka("stop", "--delete")


@pytest.fixture
def world(tmp_path, broker):
    """For the blocks of one page."""
    assert BINARY.exists(), f"there is no {BINARY}: build it, or set ESD_BINARY"
    world = World(pathlib.Path(tmp_path), broker)
    yield world
    world.close()
