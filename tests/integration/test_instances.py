"""Several instances of one group: partitions move between them in mid-load, whatever way an instance goes."""

import pytest

from commands import Load
from engine_process import SESSION_TIMEOUT_S

# Until partitions of an instance that is not heard of are served by another.
TAKE_OVER_TIMEOUT_S = SESSION_TIMEOUT_S + 30


@pytest.fixture
def loaded(domain, seed):
    """The domain, while commands are written to it."""
    with Load(domain.writer(), seed, per_second=500) as load:
        domain.load = load
        yield domain


def finish(domain):
    domain.load.stop()
    return domain.drain_and_verify()


def start_two(domain):
    """Two instances with two of the four partitions each."""
    first, second = domain.engine("a").start_ready(), domain.engine("b").start_ready()
    for engine in (first, second):
        engine.wait_owns(2, TAKE_OVER_TIMEOUT_S)
    domain.wait_progress(300)
    return first, second


@pytest.mark.both_versions
def test_an_instance_that_joins_and_leaves_under_load(loaded):
    first, second = start_two(loaded)
    second.stop()
    first.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    second.start_ready()
    second.wait_owns(2, TAKE_OVER_TIMEOUT_S)
    first.stop()
    second.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    finish(loaded)


@pytest.mark.both_versions
def test_an_instance_takes_over_from_one_that_was_killed(loaded):
    first, second = start_two(loaded)
    second.kill()
    first.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    second.start_ready()
    loaded.wait_progress(300)
    finish(loaded)


@pytest.mark.both_versions
def test_an_instance_that_was_suspended_for_longer_than_its_session_commits_nothing_when_it_wakes(loaded):
    first, second = start_two(loaded)
    for _ in range(2):
        second.suspend()
        first.wait_owns(4, TAKE_OVER_TIMEOUT_S)
        loaded.wait_progress(300)
        second.resume()
        second.wait_owns(2, TAKE_OVER_TIMEOUT_S)
        loaded.wait_progress(300)
    finish(loaded)
    assert second.running()


def test_an_instance_that_was_suspended_alone_goes_on(loaded):
    """Nobody takes over, so the group is empty when it wakes."""
    engine = loaded.engine().start_ready()
    other = loaded.engine("b")
    loaded.wait_progress(300)
    engine.suspend()
    other.start_ready()
    other.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    other.stop()
    engine.resume()
    engine.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    finish(loaded)


def test_instances_with_fixed_ids_take_over_and_give_back(loaded):
    first = loaded.engine("a", extra_args=["--instance-id", "a"]).start_ready()
    second = loaded.engine("b", extra_args=["--instance-id", "b"]).start_ready()
    for engine in (first, second):
        engine.wait_owns(2, TAKE_OVER_TIMEOUT_S)
    second.kill()
    first.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    second.start_ready()
    second.wait_owns(2, TAKE_OVER_TIMEOUT_S)
    loaded.wait_progress(300)
    finish(loaded)


def test_of_two_instances_with_the_same_fixed_id_no_two_commit(loaded):
    """A mistake of an operator's: the group lets the later one in, and the earlier one must not do damage."""
    loaded.engine("a", extra_args=["--instance-id", "same"]).start_ready()
    loaded.wait_progress(300)
    second = loaded.engine("b", extra_args=["--instance-id", "same"]).start_ready()
    loaded.wait_progress(300)
    second.wait_owns(4, TAKE_OVER_TIMEOUT_S)
    finish(loaded)
