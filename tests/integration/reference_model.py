"""What each command of a partition must come to: the engine's contract as a sequential program.

The commands of a partition go through PartitionModel.apply() in offset order; the answer says exactly which events,
which reply, which dead letter or which forwarded copy the topics must hold for it.
"""

import json
import re
from dataclasses import dataclass, field

import wire

MAX_COMMAND_BYTES = 1 << 20
MAX_COMMAND_ID_CHARACTERS = 256
MAX_JSON_DEPTH = 64

# Kinds of Expectation.
ACCEPTED, REJECTED, DUPLICATE, DEAD_LETTER, FORWARDED = "accepted", "rejected", "duplicate", "dead letter", "forwarded"


def murmur2(data):
    """The hash of Kafka's Java client."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def home_partition(key, partition_count):
    """Where Kafka's Java client sends the key."""
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def to_json(value):
    """JSON as the engine writes it: no white space, all characters as they are but for what must be escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Undecodable(Exception):
    """The record belongs into the dead-letter topic."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


@dataclass
class Command:
    type: str
    fields: dict
    command_id: str = ""
    expected_version: int | None = None
    traceparent: bytes = b""


def decode(record, domain):
    """The Command in a record; raises Undecodable."""
    if record.key is None:
        raise Undecodable("NULL_KEY")
    if record.value is None:
        raise Undecodable("NULL_VALUE")
    if len(record.value) > MAX_COMMAND_BYTES:
        raise Undecodable("COMMAND_TOO_LARGE")
    command = Command("", {})
    decode_payload = decode_json
    for name, value in record.headers:
        value = value or b""
        if name == "ce_id":
            command.command_id = decode_command_id(value)
        elif name == "esd-expected-version":
            command.expected_version = decode_expected_version(value)
        elif name == "traceparent":
            command.traceparent = value
        elif name.lower() == "content-type":
            decode_payload = decoder_of(value)
    command.type, command.fields = decode_payload(record.value, domain)
    return command


def decode_command_id(value):
    if not 0 < len(value) <= MAX_COMMAND_ID_CHARACTERS or any(not 0x20 <= byte <= 0x7E for byte in value):
        raise Undecodable("INVALID_HEADER")
    return value.decode("ascii")


def decode_expected_version(value):
    if not re.fullmatch(rb"-?[0-9]+", value) or not -1 <= int(value) < 1 << 63:
        raise Undecodable("INVALID_HEADER")
    return int(value)


def decoder_of(content_type):
    essence = content_type.split(b";")[0].strip().lower()
    decoders = {
        b"application/json": decode_json,
        b"application/x-protobuf": decode_protobuf,
        b"application/protobuf": decode_protobuf,
    }
    if essence not in decoders:
        raise Undecodable("UNSUPPORTED_CONTENT_TYPE")
    return decoders[essence]


def refuse(*_):
    raise ValueError


def object_without_repeated_names(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def decode_json(value, domain):
    try:
        text = value.decode("utf-8")
        document = json.loads(text, object_pairs_hook=object_without_repeated_names, parse_constant=refuse)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
        if depth(document) > MAX_JSON_DEPTH or document.keys() != {"type", "command"}:
            raise ValueError
        command_type = document["type"]
        if not isinstance(command_type, str):
            raise ValueError
        if command_type not in domain.COMMANDS:
            raise Undecodable("UNKNOWN_TYPE")
        return command_type, json_fields(document["command"], *domain.COMMANDS[command_type][1:])
    except (ValueError, AttributeError, RecursionError):
        raise Undecodable("MALFORMED_JSON") from None


def json_fields(body, names, aliases):
    fields = dict.fromkeys(names.values(), "")
    seen = set()
    for name, value in body.items():
        name = aliases.get(name, name)
        if name not in fields or name in seen or not isinstance(value, str | None):
            raise ValueError
        seen.add(name)
        fields[name] = value or ""  # null is as good as absent
    return fields


def decode_protobuf(value, domain):
    try:
        parts = wire.read_fields(value)
        by_number = {number: command_type for command_type, (number, _, _) in domain.COMMANDS.items()}
        known = [part for part in parts if part[0] in by_number and part[1] == wire.LENGTH_DELIMITED]
        if parts and not known:
            raise Undecodable("UNKNOWN_TYPE")
        if not parts or len(known) < len(parts):
            raise wire.WireError("no command, or more than one")
        command_type = by_number[parts[-1][0]]
        names = domain.COMMANDS[command_type][1]
        fields = dict.fromkeys(names.values(), "")
        for number, kind, text in wire.read_fields(parts[-1][2]):
            if number not in names or kind != wire.LENGTH_DELIMITED:
                raise wire.WireError("unknown field")
            fields[names[number]] = text.decode("utf-8")
        return command_type, fields
    except ValueError:
        raise Undecodable("MALFORMED_PROTOBUF") from None


@dataclass
class Aggregate:
    version: int = -1
    state: dict | None = None


@dataclass
class Expectation:
    """What a command must come to."""

    kind: str
    command: Command | None = None
    reason: str = ""
    first_version: int = -1  # of the events
    events: list = field(default_factory=list)  # (type, value)
    reply: dict | None = None  # as in the topic, without "message"; None: no reply
    outcome_of: str = ""  # position of the command whose reply is repeated
    home: int = -1  # of a forwarded command


class PartitionModel:
    """The commands of one partition, one after the other."""

    def __init__(self, domain, partition, partition_count):
        self.domain, self.partition, self.partition_count = domain, partition, partition_count
        self.aggregates = {}  # key -> Aggregate
        self.outcomes = {}  # (key, command id) -> (payload, position)

    def apply(self, record):
        try:
            command = decode(record, self.domain)
        except Undecodable as error:
            return Expectation(DEAD_LETTER, reason=error.reason)
        home = home_partition(record.key, self.partition_count)
        if home != self.partition:
            return Expectation(FORWARDED, command, home=home)
        if not command.command_id:
            return self.handle(command, record)
        identity = record.key, command.command_id
        payload = command.type, command.fields
        if identity not in self.outcomes:
            self.outcomes[identity] = payload, record.position
            return self.handle(command, record)
        first_payload, first = self.outcomes[identity]
        if first_payload == payload:
            return Expectation(DUPLICATE, command, outcome_of=first)
        return self.rejected(command, record, "INVALID_ARGUMENT", "COMMAND_ID_REUSED")

    def handle(self, command, record):
        aggregate = self.aggregates.get(record.key, Aggregate())
        if self.domain.key_of(command.fields).encode() != record.key:
            return self.rejected(command, record, "INVALID_ARGUMENT", "KEY_MISMATCH")
        if command.expected_version not in (None, aggregate.version):
            return self.rejected(command, record, "ABORTED", "VERSION_MISMATCH")
        try:
            events = self.domain.decide(aggregate.state, command.type, command.fields, aggregate.version + 1)
        except self.domain.Rejection as no:
            return self.rejected(command, record, no.code, no.reason)
        return self.accepted(command, record, aggregate, events)

    def accepted(self, command, record, aggregate, events):
        expected = Expectation(ACCEPTED, command, first_version=aggregate.version + 1)
        state = aggregate.state
        for event_type, event in events:
            state = self.domain.evolve(state, event_type, event)
            expected.events.append((event_type, to_json({"type": event_type, "event": event})))
        if events:
            self.aggregates[record.key] = Aggregate(aggregate.version + len(events), state)
        if command.command_id or not events:
            envelopes = [{"type": event_type, "event": event} for event_type, event in events]
            expected.reply = {"commandId": command.command_id or record.position, "status": "ACCEPTED"}
            expected.reply |= self.version_of(record.key) | {"events": envelopes}
        return expected

    def rejected(self, command, record, code, reason):
        reply = {
            "commandId": command.command_id or record.position,
            "status": "REJECTED",
            "code": code,
            "reason": reason,
        }
        return Expectation(REJECTED, command, reason, reply=reply | self.version_of(record.key))

    def version_of(self, key):
        """The reply's field; left out when the aggregate has no event."""
        return {"version": self.aggregates[key].version} if key in self.aggregates else {}
