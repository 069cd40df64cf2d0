"""Protobuf's wire format, as much of it as the messages here need, by hand: nothing is shared with the engine."""

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def read_varint(data, at):
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise WireError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise WireError("a number has more than ten bytes")


def read_fields(data):
    """The fields of a message in order: (number, wire type, value). Values are integers or bytes."""
    fields, at = [], 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0")
        if kind == VARINT:
            value, at = read_varint(data, at)
        elif kind in (FIXED64, FIXED32, LENGTH_DELIMITED):
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if size is None:
                size, at = read_varint(data, at)
            if at + size > len(data):
                raise WireError("a field is cut off")
            value, at = data[at : at + size], at + size
        else:
            raise WireError(f"wire type {kind}")
        fields.append((number, kind, value))
    return fields


def write_varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_bytes(number, value):
    """A length-delimited field: bytes, text or an embedded message."""
    value = value.encode() if isinstance(value, str) else value
    return write_varint(number << 3 | LENGTH_DELIMITED) + write_varint(len(value)) + value


def to_signed(value):
    """An int64 as protobuf's varints hold it."""
    return value - (1 << 64) if value >= 1 << 63 else value
