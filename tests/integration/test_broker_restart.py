"""The broker dies in mid-load and comes back with the same data and address."""

import pytest

from commands import Load


@pytest.mark.both_versions
def test_the_engine_survives_a_broker_that_is_killed_and_restarted(make_domain, mortal_broker, seed):
    domain = make_domain(mortal_broker).create_topics(4)
    engine = domain.engine().start_ready()
    with Load(domain.writer(), seed, per_second=500):
        for _ in range(2):
            domain.wait_progress(300)
            mortal_broker.kill()
            mortal_broker.start()
        domain.wait_progress(300)
    domain.drain_and_verify()
    assert engine.running()
    engine.wait_ready()
    engine.stop()


def test_a_clean_stop_without_a_broker_ends_in_time(make_domain, mortal_broker, seed):
    domain = make_domain(mortal_broker).create_topics(4)
    engine = domain.engine().start_ready()
    with Load(domain.writer(), seed, per_second=500):
        domain.wait_progress(300)
        mortal_broker.kill()
        print(f"stopped within {engine.stop():.2f} s")
        mortal_broker.start()
        engine.start_ready()
        domain.wait_progress(300)
    domain.drain_and_verify()
