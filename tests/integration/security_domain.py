"""The domain `security`, written down a second time, from its description and not from the engine's code.

A user is registered by e-mail address and has a name that can be changed. State: {"email", "name"}, or None.
"""

import wire

MAX_NAME_CODE_POINTS = 256
MAX_EMAIL_BYTES = 254

# Command type -> (its number in the oneof of security.v1.Command, {field number: JSON name}, {other name: JSON name}).
# All fields are strings.
COMMANDS = {
    "RegisterUserCommand": (1, {1: "name", 2: "email"}, {}),
    "ChangeUserNameCommand": (2, {1: "email", 2: "newName"}, {"new_name": "newName"}),
}


class Rejection(Exception):
    """The domain's no: a gRPC status code and a reason."""

    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


def key_of(command):
    return command["email"]


def check_arguments(email, name):
    local, at, host = email.partition("@")
    well_formed = local and at and host and "@" not in host
    if not well_formed or len(email.encode()) > MAX_EMAIL_BYTES or any(c <= " " or c == "\x7f" for c in email):
        raise Rejection("INVALID_ARGUMENT", "INVALID_EMAIL")
    if not 0 < len(name) <= MAX_NAME_CODE_POINTS:
        raise Rejection("INVALID_ARGUMENT", "INVALID_NAME")


def decide(state, command_type, command, next_version):
    """The events that the command causes, as (type, fields in the order of the JSON); or raises Rejection."""
    if command_type == "RegisterUserCommand":
        check_arguments(command["email"], command["name"])
        if state is not None:
            raise Rejection("ALREADY_EXISTS", "USER_ALREADY_EXISTS")
        event_type, name = "UserRegisteredEvent", command["name"]
    else:
        check_arguments(command["email"], command["newName"])
        if state is None:
            raise Rejection("NOT_FOUND", "USER_NOT_FOUND")
        if state["name"] == command["newName"]:
            return []
        event_type, name = "UserNameChangedEvent", command["newName"]
    return [(event_type, {"email": command["email"], "name": name, "version": next_version})]


def evolve(state, event_type, event):
    if event_type == "UserRegisteredEvent":
        return {"email": event["email"], "name": event["name"]}
    return {**state, "name": event["name"]}


def decode_state(data):
    """A security.v1.User."""
    state = {"email": "", "name": ""}
    names = {1: "email", 2: "name"}
    for number, kind, value in wire.read_fields(data):
        if number not in names or kind != wire.LENGTH_DELIMITED:
            raise wire.WireError(f"field {number} of a User")
        state[names[number]] = value.decode()
    return state


def encode_command(command_type, fields):
    """A security.v1.Command in protobuf's binary form."""
    number, names, _ = COMMANDS[command_type]
    body = b"".join(wire.write_bytes(n, fields[name]) for n, name in names.items() if fields.get(name))
    return wire.write_bytes(number, body)
