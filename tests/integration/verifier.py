#!/usr/bin/env python3
"""Checks what an esd domain's topics say against the engine's invariants, with a reader and a model of its own.

    python verifier.py --bootstrap-servers 127.0.0.1:9092 [--topic-prefix P] [--group esd] --domain security

It may run while the engine does. Each violation is one line that names the invariant (see Checks) and the record. Exit
code: 0 none, 1 some, 2 wrong usage.
"""

import argparse
import collections
import datetime
import json
import sys
from dataclasses import dataclass, field

import security_domain
import topic_reader
import wire
from reference_model import ACCEPTED, DEAD_LETTER, DUPLICATE, FORWARDED, PartitionModel, home_partition

DOMAINS = {"security": security_domain}

INVARIANTS = {
    1: "each command below the committed offset has exactly one effect, none at or above it has any",
    2: "an aggregate's versions are 0, 1, 2, ... in offset order",
    3: "events, reply, snapshot and offset become visible together",
    4: "the fold of the events is the snapshot",
    7: "a repeated command id has one outcome",
    9: "bad input neither blocks a partition nor is lost",
    10: "of commands with the same expected version at most one is accepted",
    0: "each command comes to what the contract says",
}

EFFECT_KINDS = ("events", "reply", "dead letter")


@dataclass(frozen=True)
class Violation:
    invariant: int
    place: str
    text: str

    def __str__(self):
        return f"invariant {self.invariant}: {self.place}: {self.text}"


@dataclass
class Report:
    violations: list = field(default_factory=list)
    counts: collections.Counter = field(default_factory=collections.Counter)

    def __str__(self):
        return "\n".join([*self.explanations(), self.summary()])

    def explanations(self, limit=20):
        """The first violations of each invariant."""
        by_invariant = collections.defaultdict(list)
        for violation in self.violations:
            by_invariant[violation.invariant].append(violation)
        for invariant, violations in sorted(by_invariant.items()):
            yield f"VIOLATED {len(violations)} times, invariant {invariant}: {INVARIANTS[invariant]}"
            yield from (f"  {violation.place}: {violation.text}" for violation in violations[:limit])
            if len(violations) > limit:
                yield f"  … and {len(violations) - limit} more"

    def summary(self):
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{counts or 'nothing'}: {len(self.violations)} violations"


def shorten(value, limit=300):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class Checks:
    """The checks, one method per question; violations go into `report`."""

    def __init__(self, log, domain, unique_header=None):
        """`unique_header`: the producers gave every command its own value of it, so that copies can be told apart."""
        self.log, self.domain, self.unique_header = log, domain, unique_header
        self.report = Report()
        self.partition_count = len(log.commands)
        # position of the command -> records
        self.events, self.replies, self.dead_letters = (collections.defaultdict(list) for _ in range(3))
        self.forwards = collections.Counter()  # (home, content) -> commands that must have been copied there
        self.processed = [[] for _ in log.commands]  # (command, expectation)
        self.stopped_in = set()  # partitions with commands that the model doesn't know the fate of

    def run(self):
        self.count()
        self.index_effects()
        for partition in range(self.partition_count):
            self.check_commands(partition)
        self.check_forwarded_copies()
        self.check_orphans()
        self.check_versions()
        self.check_snapshots()
        self.check_repeated_ids()
        self.check_expected_versions()
        return self.report

    def violated(self, invariant, record, text):
        place = record if isinstance(record, str) else record.place
        self.report.violations.append(Violation(invariant, place, text))

    def count(self):
        for name in ("commands", "events", "snapshots", "replies", "dead_letters"):
            self.report.counts[name.replace("_", " ")] = sum(map(len, getattr(self.log, name)))

    # --- which command caused what

    def index_effects(self):
        for record in flat(self.log.events):
            position, _, index = (record.header("ce_id") or "").rpartition(":")
            if not position or not index.isdigit():
                self.violated(1, record, f"ce_id {record.header('ce_id')!r} isn't <partition>:<offset>:<index>")
            self.events[position].append(record)
        for record in flat(self.log.replies):
            self.replies[record.header("esd-source-position")].append(record)
        for record in flat(self.log.dead_letters):
            if record.header("esd-source-topic") != self.log.command_topic:
                self.violated(9, record, f"esd-source-topic is {record.header('esd-source-topic')!r}")
            position = f"{record.header('esd-source-partition')}:{record.header('esd-source-offset')}"
            self.dead_letters[position].append(record)

    def effects_of(self, command):
        """The kinds of effect that a command has in the topics, a forwarded copy left out."""
        indices = (self.events, self.replies, self.dead_letters)
        return [kind for kind, index in zip(EFFECT_KINDS, indices, strict=True) if index.get(command.position)]

    # --- each command against the model

    def check_commands(self, partition):
        model = PartitionModel(self.domain, partition, self.partition_count)
        for command in self.log.commands[partition]:
            if command.offset >= self.log.committed_after[partition]:
                if effects := self.effects_of(command):
                    after = self.log.committed_after[partition]
                    self.violated(1, command, f"has {effects}, but the committed offset is {after}")
            elif command.offset >= self.log.committed_before[partition]:
                self.stopped_in.add(partition)  # it was committed while we read: we may have seen its effect or not
            else:
                expected = model.apply(command)
                self.report.counts[expected.kind] += 1
                self.processed[partition].append((command, expected))
                self.check_command(command, expected)

    def check_command(self, command, expected):
        if expected.kind == FORWARDED:
            self.forwards[expected.home, content_of(command)] += 1
            if effects := self.effects_of(command):
                self.violated(1, command, f"belongs to partition {expected.home}, yet it has {effects} here")
            return
        if not self.effects_of(command):
            self.violated(1, command, f"has no effect; expected: {expected.kind} {expected.reason}")
            return
        self.check_events(command, expected)
        self.check_reply(command, expected)
        self.check_dead_letter(command, expected)

    def check_events(self, command, expected):
        events = self.events.get(command.position, [])
        if [event.value for event in events] != [value for _, value in expected.events]:
            wanted, found = [value for _, value in expected.events], [event.value for event in events]
            invariant = 1 if len(found) != len(wanted) else 0
            places = ", ".join(event.place for event in events)
            self.violated(
                invariant,
                command,
                f"expected the events {shorten(wanted)}, found {shorten(found)} ({places or 'none'})",
            )
            return
        for index, (event, (event_type, _)) in enumerate(zip(events, expected.events, strict=True)):
            headers = {
                "ce_specversion": "1.0",
                "ce_id": f"{command.position}:{index}",
                "ce_type": event_type,
                "ce_source": f"/esd/{self.log.command_topic}",
                "ce_subject": command.key.decode(),
                "content-type": "application/json",
                "esd-version": str(expected.first_version + index),
                "esd-causation-id": expected.command.command_id or command.position,
                "traceparent": expected.command.traceparent.decode("utf-8", "replace") or None,
            }
            self.check_headers(event, headers)
            self.check_home(event, command)
            if not is_rfc3339(event.header("ce_time") or ""):
                self.violated(0, event, f"ce_time {event.header('ce_time')!r} is no RFC 3339 time")

    def check_reply(self, command, expected):
        replies = self.replies.get(command.position, [])
        wanted = int(expected.reply is not None or expected.kind == DUPLICATE)
        if len(replies) != wanted:
            places = ", ".join(f"{reply.place} {reply.value}" for reply in replies)
            self.violated(
                1,
                command,
                f"expected {wanted} replies ({expected.kind} {expected.reason}), found {len(replies)} ({places})",
            )
            return
        if not replies:
            return
        reply = replies[0]
        self.check_home(reply, command)
        self.check_headers(reply, {"esd-replayed": "true" if expected.kind == DUPLICATE else None})
        if expected.kind == DUPLICATE:
            self.check_repetition(reply, expected.outcome_of)
        elif not same_reply(reply.value, expected):
            self.violated(0, reply, f"answers {command.place}; expected {expected.reply}, found {shorten(reply.value)}")

    def check_repetition(self, reply, first_position):
        for first in self.replies.get(first_position, []):
            if first.value != reply.value:
                self.violated(
                    7, reply, f"repeats {first.place}, but says {shorten(reply.value)}, not {shorten(first.value)}"
                )

    def check_dead_letter(self, command, expected):
        letters = self.dead_letters.get(command.position, [])
        wanted = int(expected.kind == DEAD_LETTER)
        if len(letters) != wanted:
            places = ", ".join(letter.place for letter in letters)
            self.violated(
                9,
                command,
                f"expected {wanted} dead letters ({expected.kind} {expected.reason}), found {len(letters)} ({places})",
            )
            return
        for letter in letters:
            self.check_headers(letter, {"esd-error-reason": expected.reason})
            if not letter.header("esd-error-message"):
                self.violated(9, letter, "has no esd-error-message")
            if (letter.key, letter.value) != (command.key, command.value):
                self.violated(9, letter, f"isn't the command {command.place}: key or value differ")
            if letter.headers[: len(command.headers)] != command.headers:
                self.violated(9, letter, f"lacks headers of {command.place}: {shorten(letter.headers)}")
            if len(self.log.dead_letters) == self.partition_count and letter.partition != command.partition:
                self.violated(9, letter, f"isn't in the partition of {command.place}")

    def check_headers(self, record, wanted):
        for name, value in wanted.items():
            if record.header(name) != value:
                self.violated(0, record, f"header {name} is {shorten(record.header(name))}, expected {shorten(value)}")

    def check_home(self, record, command):
        if (record.partition, record.key) != (command.partition, command.key):
            self.violated(0, record, f"has another partition or key than its command {command.place}")

    def check_forwarded_copies(self):
        """Only the unique header tells a copy from a producer's own command; without it, none may be missing."""
        content_of_partition = [collections.Counter(map(content_of, records)) for records in self.log.commands]
        for (home, content), wanted in self.forwards.items():
            found = content_of_partition[home][content]
            exact = self.unique_header is not None and any(name == self.unique_header for name, _ in content[2])
            if found < wanted or (exact and found > wanted):
                self.violated(
                    1,
                    f"{self.log.command_topic}/{home}",
                    f"{wanted} copies of a misplaced command were expected, {found} are there: {shorten(content)}",
                )

    def check_orphans(self):
        """Effects of commands that nobody sent, or that are counted as not processed."""
        known = {command.position for command in flat(self.log.commands)}
        for index in (self.events, self.replies, self.dead_letters):
            for position, records in index.items():
                if position not in known:
                    for record in records:
                        self.violated(1, record, f"is the effect of a command at {position}, where there is none")

    # --- the topics by themselves

    def check_versions(self):
        next_version = collections.Counter()
        for record in flat(self.log.events):
            version = int(record.header("esd-version") or -1)
            if version != next_version[record.key]:
                self.violated(2, record, f"version {version} of {record.key} where {next_version[record.key]} was due")
            next_version[record.key] = version + 1
            try:
                if json.loads(record.value)["event"]["version"] != version:
                    self.violated(2, record, f"esd-version is {version}, but the event is {shorten(record.value)}")
            except (ValueError, KeyError, TypeError):
                self.violated(0, record, f"isn't an event: {shorten(record.value)}")
            if record.partition != home_partition(record.key, self.partition_count):
                self.violated(2, record, f"isn't in the partition of its key {record.key}")
        self.report.counts["aggregates"] = len(next_version)

    def fold_events(self):
        """(key, version) -> state."""
        states = {}
        for record in flat(self.log.events):
            try:
                document = json.loads(record.value)
                event, version = document["event"], int(record.header("esd-version"))
                before = states.get((record.key, version - 1))
                states[record.key, version] = self.domain.evolve(before, document["type"], event)
            except (ValueError, KeyError, TypeError):
                self.violated(4, record, f"can't be folded: {shorten(record.value)}")
        return states

    def check_snapshots(self):
        states = self.fold_events()
        last_version = {}
        for record in flat(self.log.snapshots):
            try:
                version, state = decode_snapshot(record.value, self.domain)
            except (ValueError, TypeError):
                self.violated(4, record, f"isn't a snapshot: {shorten(record.value)}")
                continue
            if version <= last_version.get(record.key, -1):
                self.violated(
                    4, record, f"version {version} of {record.key} follows version {last_version[record.key]}"
                )
            last_version[record.key] = version
            if record.partition in self.stopped_in:
                continue  # we may have read its events too early
            if state != states.get((record.key, version)):
                folded = states.get((record.key, version))
                self.violated(4, record, f"{record.key} at version {version} is {state}; its events make it {folded}")
        self.check_last_snapshots(states, last_version)

    def check_last_snapshots(self, states, snapshot_version):
        last_event = {}
        for key, version in states:
            last_event[key] = max(version, last_event.get(key, -1))
        for key in last_event.keys() | snapshot_version.keys():
            partition = home_partition(key, self.partition_count)
            if partition not in self.stopped_in and last_event.get(key, -1) != snapshot_version.get(key, -1):
                text = f"its last event has version {last_event.get(key)}, its snapshot {snapshot_version.get(key)}"
                self.violated(3, f"{self.log.command_topic}/{partition}, aggregate {key}", text)

    def check_repeated_ids(self):
        first_effective = {}
        for command, expected in flat(self.processed):
            if expected.command is None or not expected.command.command_id or expected.kind == FORWARDED:
                continue
            identity = command.key, expected.command.command_id
            if self.events.get(command.position):
                first = first_effective.setdefault(identity, command)
                if first is not command:
                    self.violated(7, command, f"has events although {first.place} with the same key and id has some")

    def check_expected_versions(self):
        accepted = {}
        for command, expected in flat(self.processed):
            if expected.command is None or expected.command.expected_version is None:
                continue
            if self.events.get(command.position):
                claim = command.key, expected.command.expected_version
                first = accepted.setdefault(claim, command)
                if first is not command:
                    self.violated(10, command, f"was accepted as was {first.place}, both expecting version {claim[1]}")


def flat(partitions):
    return (item for partition in partitions for item in partition)


def content_of(command):
    return command.key, command.value, command.headers


def is_rfc3339(text):
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None and "T" in text
    except ValueError:
        return False


def same_reply(value, expected):
    """Compares all but the sentence for people, which a rejection must have."""
    try:
        found = json.loads(value)
    except ValueError:
        return False
    rejected = expected.kind != ACCEPTED
    if rejected and not found.pop("message", ""):
        return False
    wanted = dict(expected.reply)
    if expected.reason == "COMMAND_ID_REUSED":
        # The engine needn't load the aggregate to know that this command is none, so it may leave the version out.
        found.pop("version", None), wanted.pop("version", None)
    return list(found.items()) == list(wanted.items())


def decode_snapshot(value, domain):
    """An esd.v1.StoredSnapshot: its version and the state in it."""
    version, state = 0, b""
    for number, kind, content in wire.read_fields(value):
        if (number, kind) == (1, wire.VARINT):
            version = wire.to_signed(content)
        elif (number, kind) == (2, wire.LENGTH_DELIMITED):
            state = content
        else:
            raise wire.WireError(f"field {number} of a StoredSnapshot")
    return version, domain.decode_state(state)


def verify(log, domain="security", unique_header=None):
    return Checks(log, DOMAINS[domain], unique_header).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic-prefix", default="")
    parser.add_argument("--group", default="esd")
    parser.add_argument("--domain", choices=DOMAINS, required=True)
    parser.add_argument("--unique-header", help="a header whose value no two commands share")
    args = parser.parse_args()
    try:
        log = topic_reader.read_domain(args.bootstrap_servers, args.topic_prefix, args.group, args.domain)
    except topic_reader.HangingTransaction as hanging:
        print(f"VIOLATED, invariant 3: {INVARIANTS[3]}\n  {hanging}")
        return 1
    report = verify(log, args.domain, args.unique_header)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
