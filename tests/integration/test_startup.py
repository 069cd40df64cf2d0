"""What `esd` refuses, and how: an exit code, and one sentence that says what to do."""

import concurrent.futures

import pytest

from commands import register, rename
from domain_under_test import KINDS
from engine_process import run_esd

FAILED, WRONG_USAGE = 1, 2


def equal_counts(count):
    return dict.fromkeys(KINDS, count)


def assert_refuses(engine, *words):
    """It ends with exit code 1, and its last line has these words."""
    code, sentence = engine.fail_to_start()
    assert code == FAILED
    for word in words:
        assert str(word) in sentence
    return sentence


def test_missing_topics_are_named_with_the_command_that_makes_them(bare_domain):
    assert_refuses(bare_domain.engine(), bare_domain.topic("command"), bare_domain.topic("reply"), "esd topics create")


def test_one_missing_topic_is_named(domain):
    domain.delete_topic("reply")
    sentence = assert_refuses(domain.engine(), domain.topic("reply"), "esd topics create")
    assert domain.topic("event") not in sentence


def test_topics_with_different_numbers_of_partitions_are_named_with_their_numbers(bare_domain):
    bare_domain.create_topics(2)
    bare_domain.add_partitions("event", 3)
    event, snapshot = bare_domain.topic("event"), bare_domain.topic("snapshot")
    assert_refuses(bare_domain.engine(), f"{event} has 3", f"{snapshot} has 2")


def test_a_number_of_partitions_that_changed_in_a_live_domain_is_refused(bare_domain):
    """All topics agree, but its users live where the old number put them."""
    domain = bare_domain.create_topics(2)
    engine = domain.engine().start_ready()
    domain.writer().send_all([register("foo@bar.com")])
    domain.wait_drained()
    engine.stop()
    for kind in KINDS:
        domain.add_partitions(kind, 4)
    assert_refuses(engine, "2", "4", "partitions")


def test_a_dead_letter_topic_with_fewer_partitions_will_do(bare_domain):
    domain = bare_domain
    domain.create_topics_by_hand({**equal_counts(4), "dead-letter": 1})
    domain.alter_topic("dead-letter", "max.message.bytes", 2 << 20)
    domain.engine(extra_args=["--create-topics", "--partitions", "4"]).start_ready()
    writer = domain.writer()
    poison = rename("foo@bar.com", "A").with_value(b"?")
    for partition in range(4):
        writer.send(poison, partition)
    writer.flush()
    report = domain.drain_and_verify()
    assert report.counts["dead letter"] == 4


def test_a_broker_that_does_not_answer_is_named(tmp_path):
    serve = ["serve", "--bootstrap-servers", "127.0.0.1:1", "--data-dir", tmp_path]
    create = ["topics", "create", "--bootstrap-servers", "127.0.0.1:1", "--partitions", "1"]
    with concurrent.futures.ThreadPoolExecutor() as both:  # each waits for the broker for some seconds
        for done in both.map(lambda args: run_esd(*args), [serve, create]):
            assert done.returncode == FAILED
            assert "127.0.0.1:1" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["serve", "--no-such-flag"], "--no-such-flag"),
        (["no-such-command"], "no-such-command"),
        (["serve"], "--bootstrap-servers"),
        (["serve", "--bootstrap-servers", "127.0.0.1:1", "--workers", "many"], "--workers"),
        (["serve", "--bootstrap-servers", "127.0.0.1:1", "--domain", "none"], "none"),
        (["serve", "--bootstrap-servers", "127.0.0.1:1", "--http-listen", "nowhere"], "--http-listen"),
        (
            ["serve", "--bootstrap-servers", "127.0.0.1:1", "--kafka", "isolation.level=read_uncommitted"],
            "isolation.level",
        ),
        (["serve", "--bootstrap-servers", "127.0.0.1:1", "--kafka", "no.such.property=1"], "no.such.property"),
        (["topics", "create", "--bootstrap-servers", "127.0.0.1:1"], "--partitions"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_wrong_usage_has_exit_code_2_and_names_what_is_wrong(args, word, tmp_path):
    done = run_esd(*args, env={"ESD_DATA_DIR": str(tmp_path)})
    assert done.returncode == WRONG_USAGE
    assert word in done.stderr
    assert not done.stdout


def test_a_data_folder_that_another_instance_holds_is_named(domain):
    first = domain.engine().start_ready()
    assert_refuses(domain.engine("b", data_dir=first.data_dir), first.data_dir)
    assert first.running()
    domain.writer().send_all([register("foo@bar.com")])
    domain.drain_and_verify()


def test_an_address_that_is_taken_is_named(domain):
    first = domain.engine().start_ready()
    second = domain.engine("b", extra_args=["--workers", "1"])
    second.start(http=first.http)
    assert second.wait_exit(30) == FAILED
    assert first.http in second.log().splitlines()[-1]


def test_topics_are_created_on_request_at_the_start(bare_domain):
    domain = bare_domain
    domain.engine(extra_args=["--create-topics", "--partitions", "3"]).start_ready()
    assert domain.partition_counts() == equal_counts(3)
    domain.partition_count = 3
    domain.writer().send_all([register("foo@bar.com")])
    domain.drain_and_verify()


def test_it_starts_right_behind_the_creation_of_its_topics(make_domain, broker):
    """A broker may tell a topic's leader to one client before it knows itself."""
    for _ in range(10):
        domain = make_domain(broker).create_topics(4)
        domain.engine().start_ready().stop()


def test_topics_create_can_be_repeated_and_refuses_another_number(bare_domain):
    assert bare_domain.esd_topics_create(3).returncode == 0
    assert bare_domain.esd_topics_create(3).returncode == 0
    done = bare_domain.esd_topics_create(4)
    assert done.returncode == FAILED
    assert f"{bare_domain.topic('command')} has 3" in done.stderr
    assert bare_domain.partition_counts() == equal_counts(3)


def test_topics_create_makes_nothing_when_one_topic_has_another_number(bare_domain):
    bare_domain.create_topics_by_hand({"command": 2})
    assert bare_domain.esd_topics_create(4).returncode == FAILED
    assert bare_domain.partition_counts() == {"command": 2}


@pytest.mark.both_versions
def test_topics_are_kept_as_long_as_promised(domain):
    day_ms = 24 * 3_600_000
    configs = {kind: domain.topic_configs(kind) for kind in KINDS}
    assert configs["event"]["retention.ms"] == "-1"
    assert configs["event"]["cleanup.policy"] == "delete"
    assert configs["snapshot"]["cleanup.policy"] == "compact"
    assert int(configs["command"]["retention.ms"]) == 7 * day_ms
    assert int(configs["reply"]["retention.ms"]) >= day_ms
    assert int(configs["dead-letter"]["retention.ms"]) == 14 * day_ms


def test_the_version_goes_to_stdout():
    done = run_esd("version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
