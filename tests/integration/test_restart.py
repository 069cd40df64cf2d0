"""What an instance does after it was stopped: with its store, without it, and with one that can't be trusted."""

import pytest

from commands import Load, register, rename
from domain_under_test import DomainUnderTest
from waiting import wait_until

USERS = [f"user{number}@example.org" for number in range(100)]


def renames(name):
    return [rename(user, name) for user in USERS]


@pytest.fixture
def stopped(domain):
    """An engine with some history and a store that has table files, stopped cleanly."""
    engine = domain.engine()
    writer = domain.writer()
    writer.send_all(register(user).with_id(f"register {user}") for user in USERS)
    for name in ("Alex1", "Alex2"):
        engine.start_ready()
        writer.send_all(renames(name))
        domain.wait_drained()
        engine.stop()
    return engine


def assert_continues(domain, engine):
    """Every user is renamed once more, and an id from before the stop is still known."""
    before = domain.verify()
    writer = domain.writer()
    writer.send_all(renames("After"))
    writer.send_all(register(user).with_id(f"register {user}") for user in USERS)
    domain.wait_drained()
    after = domain.verify()
    assert after.counts["events"] == before.counts["events"] + len(USERS)
    assert after.counts["duplicate"] == before.counts["duplicate"] + len(USERS)
    engine.stop()


@pytest.mark.both_versions
def test_a_restart_with_its_store_reads_no_changelog_again(domain, stopped):
    stopped.start_ready()
    assert stopped.metric("esd_restore_records_total") == 0
    assert_continues(domain, stopped)


@pytest.mark.both_versions
def test_a_restart_without_its_store_rebuilds_it(domain, stopped):
    stopped.delete_store()
    stopped.start_ready()
    assert stopped.metric("esd_restore_records_total") >= 2 * len(USERS)  # snapshots and outcomes
    assert_continues(domain, stopped)


def test_a_restart_after_a_kill_keeps_its_store(domain, stopped):
    stopped.start_ready()
    domain.writer().send_all(renames("Before the kill"))
    domain.wait_drained()
    stopped.kill()
    stopped.start_ready()
    # What was written between the last commit and the kill may have to be read once more, the rest not.
    assert stopped.metric("esd_restore_records_total") <= 4 * len(USERS)
    assert_continues(domain, stopped)


def files_of(engine, pattern):
    files = [file for file in sorted((engine.data_dir / "store").rglob(pattern)) if file.stat().st_size > 0]
    assert files, f"the store has no {pattern}"
    return files


def overwrite(file):
    """Turns over every bit in the middle half."""
    data = bytearray(file.read_bytes())
    for at in range(len(data) // 4, len(data) - len(data) // 4):
        data[at] ^= 0xFF
    file.write_bytes(data)


def truncate(file):
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        (overwrite, "*.sst"),
        (truncate, "*.sst"),
        (overwrite, "MANIFEST-*"),
        (overwrite, "CURRENT"),
        (overwrite, "*.log"),
        (lambda file: file.unlink(), "CURRENT"),
        (lambda file: file.unlink(), "*.sst"),
    ],
    ids=["tables", "short tables", "manifest", "current", "write-ahead log", "no current", "no tables"],
)
def test_a_corrupted_store_is_rebuilt(domain, stopped, damage, pattern):
    if pattern == "*.log":  # a clean stop leaves nothing in it
        stopped.start_ready()
        domain.writer().send_all(renames("Before the kill"))
        domain.wait_drained()
        stopped.kill()
    for file in files_of(stopped, pattern):
        damage(file)
    start_supervised(stopped)
    assert_continues_supervised(domain, stopped)
    # The end of the log may be missing after any crash; then what is missing is read again, and nobody need be told.
    assert pattern == "*.log" or "rebuilt" in stopped.log()


def start_supervised(engine):
    """As a supervisor does: an instance that finds its store broken may end, and is started again."""
    engine.start()
    try:
        engine.wait_ready()
    except AssertionError:
        assert engine.process.returncode == 1
        engine.start_ready()


def assert_continues_supervised(domain, engine):
    """The damage may show only when the users are read: then the instance ends and is started once more."""
    domain.writer().send_all(renames("Meets the damage"))
    try:
        domain.wait_drained(timeout_s=10)
    except TimeoutError:
        assert not engine.running(), "it neither processes nor ends"
        assert engine.process.returncode == 1
        engine.start_ready()
        domain.wait_drained()
    assert_continues(domain, engine)


def test_the_store_of_another_topic_prefix_is_not_used(make_domain, broker, stopped):
    """The same users live in the other domain, with the same command ids, but are not registered yet."""
    other = make_domain(broker).create_topics(4)
    other.writer().send_all(register(user).with_id(f"register {user}") for user in USERS)
    engine = other.engine(data_dir=stopped.data_dir).start_ready()
    other.wait_drained()
    assert_continues(other, engine)


def test_the_store_of_another_cluster_is_not_used(domain, stopped, mortal_broker, tmp_path):
    """The same topics, group and data folder, but another broker."""
    other = DomainUnderTest(mortal_broker, domain.name, tmp_path)
    other.create_topics(4)
    other.writer().send_all(register(user).with_id(f"register {user}") for user in USERS)
    engine = other.engine("other", data_dir=stopped.data_dir).start_ready()
    try:
        other.wait_drained()
        assert_continues(other, engine)
    finally:
        other.kill_engines()


@pytest.mark.both_versions
def test_a_clean_stop_under_load_ends_in_time_and_a_restart_continues(domain, seed):
    engine = domain.engine().start_ready()
    with Load(domain.writer(), seed):
        for _ in range(3):
            domain.wait_progress(500)
            print(f"stopped within {engine.stop():.2f} s")
            engine.start_ready()
        domain.wait_progress(500)
    domain.drain_and_verify()
    engine.stop()


def test_an_instance_that_is_stopped_before_it_is_ready_ends_cleanly(domain, seed):
    with Load(domain.writer(), seed):
        engine = domain.engine().start_ready()
        domain.wait_progress(2000)
        engine.stop()
        for _ in range(5):
            engine.start()
            # It handles the signal from the moment on at which it answers.
            wait_until(lambda: engine.get("/livez")[0], 10, "an answer from /livez")
            engine.stop()
        engine.start_ready()
    domain.drain_and_verify()


def test_a_restart_with_a_fixed_instance_id_does_not_wait_for_the_session_to_end(domain):
    """Its session lasts half a minute, so a member that had to wait for it would not be ready in time."""
    engine = domain.engine(extra_args=["--instance-id", "fixed", "--kafka", "session.timeout.ms=30000"])
    engine.start_ready()
    domain.writer().send_all(register(user) for user in USERS)
    domain.wait_drained()
    for end in (engine.stop, engine.kill):
        end()
        engine.start().wait_ready(timeout_s=15)
        domain.writer().send_all(renames(end.__name__))
        domain.wait_drained()
    domain.verify()
