"""/metrics, /livez and /readyz."""

import pytest
from confluent_kafka import Producer

from commands import register, rename
from waiting import wait_until

FAMILIES = {
    "esd_commands_total": {"domain", "type", "outcome"},
    "esd_dead_letters_total": {"domain", "reason"},
    "esd_transactions_total": {"result"},
    "esd_transaction_commands_count": set(),
    "esd_commit_seconds_count": set(),
    "esd_end_to_end_seconds_count": set(),
    "esd_partition_lag": {"domain", "partition"},
    "esd_partition_restored": {"domain", "partition"},
    "esd_restore_remaining_records": {"domain", "partition"},
    "esd_history_remaining_records": {"domain", "partition"},
    "esd_api_commands_in_flight": set(),
    "esd_api_watchers": set(),
}
# Also documented, but only there once the event has happened.
LATER_FAMILIES = {"esd_producer_reopens_total", "esd_restore_records_total"}


def test_metrics_count_commands_by_type_and_outcome(domain):
    engine = domain.engine().start_ready()
    writer = domain.writer()
    email = "secret.person@example.org"
    writer.send_all([register(email, "Secret Name"), rename(email, "Secret Name 2").with_id("secret-id")])
    writer.send_all([rename(email, "Secret Name 2").with_id("secret-id"), register(email)])
    writer.send_all([rename(email, "x").with_value(b'{"type":"SecretType","command":{}}')])
    domain.drain_and_verify()

    commands = "esd_commands_total"
    engine.wait_metric(1, commands, type="RegisterUserCommand", outcome="accepted")
    engine.wait_metric(1, commands, type="RegisterUserCommand", outcome="rejected")
    engine.wait_metric(1, commands, type="ChangeUserNameCommand", outcome="accepted")
    engine.wait_metric(1, commands, type="ChangeUserNameCommand", outcome="duplicate")
    engine.wait_metric(1, commands, type="unknown", outcome="dead_letter")
    engine.wait_metric(1, "esd_dead_letters_total", reason="UNKNOWN_TYPE")
    wait_until(lambda: "esd_partition_lag" in {name for name, _, _ in engine.metrics()}, 10, "the lag to be measured")
    engine.wait_metric(0, "esd_partition_lag")
    assert engine.metric("esd_transactions_total", result="committed") >= 1
    labels_of = {name: set(labels) for name, labels, _ in engine.metrics()}
    for name, labels in FAMILIES.items():
        assert labels_of[name] == labels, name
    _, text = engine.get("/metrics")
    for secret in ("secret", "Secret", "@"):
        assert secret not in text


def test_every_family_that_is_shown_is_documented(domain):
    engine = domain.engine().start_ready()
    shown = {name for name, _, _ in engine.metrics() if name.startswith("esd_")}
    undocumented = {
        name
        for name in shown - FAMILIES.keys() - LATER_FAMILIES
        if not name.endswith(("_bucket", "_sum", "_build_info"))
    }
    assert not undocumented


@pytest.mark.both_versions
def test_it_is_alive_but_not_ready_until_its_partitions_are_restored(domain):
    """A restore can't end before the transactions in its changelog do."""
    slow = Producer({"bootstrap.servers": domain.broker.address, "transactional.id": domain.group})
    slow.init_transactions(30)
    slow.begin_transaction()
    for partition in range(4):
        slow.produce(domain.topic("snapshot"), None, b"nobody@example.org", partition)
    slow.flush(30)

    engine = domain.engine().start()

    def restoring():
        return [number for name, _, number in engine.metrics() if name == "esd_partition_restored"]

    wait_until(lambda: engine.get("/livez")[0] == 200, 10, "an answer from /livez")
    wait_until(lambda: restoring() == [0] * 4, 30, "four partitions to be restored")
    status, text = engine.get("/readyz")
    assert status == 503
    assert text.strip()

    slow.abort_transaction(30)
    engine.wait_ready()
    assert engine.restored_partitions() == 4
    domain.writer().send_all([register("foo@bar.com")])
    domain.drain_and_verify()


def test_it_is_ready_without_a_partition_when_others_have_them_all(bare_domain):
    domain = bare_domain.create_topics(1)
    first = domain.engine("a").start_ready()
    second = domain.engine("b").start_ready()
    wait_until(lambda: first.restored_partitions() + second.restored_partitions() == 1, 30, "one owner")
    assert first.get("/readyz")[0] == second.get("/readyz")[0] == 200


def test_other_paths_are_not_found(domain):
    engine = domain.engine().start_ready()
    assert engine.get("/no-such-path")[0] == 404
