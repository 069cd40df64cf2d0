"""docs/asyncapi.yaml is what the domain's types and the engine say, and is an AsyncAPI 3.0 document."""

import re
import subprocess

import jsonschema
import pytest
import yaml
from google.protobuf import descriptor_pb2

from environment import ROOT

DOCUMENT = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
MESSAGES = DOCUMENT["components"]["messages"]
SCHEMAS = DOCUMENT["components"]["schemas"]
FIELD = descriptor_pb2.FieldDescriptorProto
JSON_TYPES = {FIELD.TYPE_STRING: "string", FIELD.TYPE_INT64: "integer", FIELD.TYPE_BOOL: "boolean"}


def look_up(reference):
    """What `#/a/b` points to."""
    value = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(value):
    return look_up(value["$ref"]) if "$ref" in value else value


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    """The descriptors of security/v1, by message name."""
    out = tmp_path_factory.mktemp("descriptors") / "set"
    files = ["security/v1/security.proto", "esd/v1/stored.proto"]
    command = ["protoc", f"--proto_path={ROOT}/proto", f"--descriptor_set_out={out}", *files]
    subprocess.run(command, check=True, timeout=60)
    found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return {f"{file.package}.{message.name}": message for file in found.file for message in file.message_type}


def cases(domain, oneof):
    return [field.type_name.rpartition(".")[2] for field in domain[f"security.v1.{oneof}"].field]


def messages_of(channel):
    return list(DOCUMENT["channels"][channel]["messages"])


# --- the domain's types


@pytest.mark.parametrize(("channel", "oneof", "member"), [("command", "Command", "command"), ("event", "Event", "event")])
def test_every_message_of_the_domain_is_there(domain, channel, oneof, member):
    assert sorted(messages_of(channel)) == sorted(cases(domain, oneof))
    for name in cases(domain, oneof):
        payload = resolved(MESSAGES[name]["payload"])
        assert payload["properties"]["type"] == {"const": name}
        assert payload["properties"][member] == {"$ref": f"#/components/schemas/{name}"}
        assert sorted(payload["required"]) == sorted(["type", member])


@pytest.mark.parametrize("oneof", ["Command", "Event"])
def test_every_field_has_its_json_name_and_type(domain, oneof):
    for name in cases(domain, oneof):
        fields = {field.json_name: JSON_TYPES[field.type] for field in domain[f"security.v1.{name}"].field}
        assert {field: schema["type"] for field, schema in SCHEMAS[name]["properties"].items()} == fields, name
        if oneof == "Event":
            assert sorted(SCHEMAS[name]["required"]) == sorted(fields), "events have every field"


def test_a_reply_may_hold_every_event(domain):
    items = MESSAGES["Accepted"]["payload"]["properties"]["events"]["items"]["oneOf"]
    assert sorted(resolved(item)["properties"]["type"]["const"] for item in items) == sorted(cases(domain, "Event"))


def test_the_snapshot_is_the_stored_one(domain):
    kinds = {FIELD.TYPE_INT64: "int64", FIELD.TYPE_BYTES: "bytes"}
    fields = [f"{kinds[f.type]} {f.name} = {f.number};" for f in domain["esd.v1.StoredSnapshot"].field]
    schema = MESSAGES["Snapshot"]["payload"]["schema"]
    assert [line.strip() for line in schema.splitlines() if "=" in line and "syntax" not in line] == fields


# --- the engine's


def test_every_header_is_one_of_the_engines():
    sources = "".join(path.read_text() for path in (ROOT / "engine/worker").glob("*.[ch]*") if "_test" not in path.name)
    in_code = set(re.findall(r'"((?:ce_|esd-)[a-z-]+|traceparent|content-type)"', sources))
    in_code.discard("esd-request-id")  # between instances, of no use to others
    in_document = {name for schema, value in SCHEMAS.items() if schema.endswith("Headers") for name in value["properties"]}
    assert in_document == in_code


def test_every_code_is_one_of_the_engines():
    source = (ROOT / "engine/aggregate/aggregate_type.cc").read_text()
    names = set(re.findall(r'return "([A-Z_]+)";', source)) - {"OK"}
    assert set(MESSAGES["Rejected"]["payload"]["properties"]["code"]["enum"]) == names


def test_the_topics_are_the_engines():
    source = (ROOT / "engine/log/topic_names.h").read_text()
    suffixes = set(re.findall(r'return "([a-z-]+)";', source))
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {f"security-{s}" for s in suffixes}


# --- examples and structure


def with_components(schema):
    return {**schema, "components": {"schemas": SCHEMAS}}


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if "examples" in message])
def test_examples_are_valid(name):
    for example in MESSAGES[name]["examples"]:
        jsonschema.validate(example["payload"], with_components(MESSAGES[name]["payload"]))
        if "headers" in example:
            jsonschema.validate(example["headers"], with_components(MESSAGES[name]["headers"]))


def test_schemas_refuse_what_is_wrong():
    payload = with_components(MESSAGES["UserRegisteredEvent"]["payload"])
    for wrong in (
        {"type": "UserRegisteredEvent"},
        {"type": "Other", "event": {"email": "a@b", "name": "A", "version": 0}},
        {"type": "UserRegisteredEvent", "event": {"email": "a@b", "name": "A", "version": "0"}},
        {"type": "UserRegisteredEvent", "event": {"email": "a@b", "name": "A"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, payload)


def test_every_reference_leads_somewhere():
    for reference in references(DOCUMENT):
        assert look_up(reference) is not None


def test_it_is_an_asyncapi_3_document():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert set(DOCUMENT) <= {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= server.keys()
    for channel in DOCUMENT["channels"].values():
        assert {"address", "messages"} <= channel.keys()
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].startswith("#/channels/")
    used = {value["$ref"].rpartition("/")[2] for c in DOCUMENT["channels"].values() for value in c["messages"].values()}
    assert used == set(MESSAGES), "a message in no channel"
    for name, message in MESSAGES.items():
        assert "payload" in message, name
        if "headers" in message:
            assert resolved(message["headers"])["type"] == "object", name
