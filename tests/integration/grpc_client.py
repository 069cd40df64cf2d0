"""A client of the gRPC API that knows it only from the server's reflection, and errors only from Google's definitions.

    client = Client("127.0.0.1:7070")
    client.SubmitCommand(domain="security", command_type="RegisterUserCommand", payload={"json": "{…}"}).outcome

Fields are given as they stand in the protos: messages as dicts, enums by name. Calls fail with CallError.
"""

import functools
import itertools
import json
import threading
import time
from dataclasses import dataclass, field

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import security_domain
import wire
from reference_model import home_partition
from waiting import wait_until

SERVICES = ("esd.v1.CommandService", "esd.v1.QueryService", "esd.v1.AdminService")
# No call of a test may hang: each gets a deadline, this one unless told.
TIMEOUT_S = 30
NO_TIMEOUT = object()
# Errors after which a call is made again, if the command has an id of its own; and when, if the server doesn't say.
REPEATABLE = {
    "UNAVAILABLE": {
        "STARTING",
        "PARTITION_MOVING",
        "OWNER_UNREACHABLE",
        "DRAINING",
        "LOG_UNAVAILABLE",
        "OUTCOME_UNKNOWN",
    },
    "DEADLINE_EXCEEDED": {"OUTCOME_UNKNOWN"},
    "CANCELLED": {"OUTCOME_UNKNOWN"},
}
RETRY_DELAY_S = 0.05
# Of refused(): RetryInfo may be there or not.
EITHER = object()
# Each channel is a connection of its own; and one that failed is tried again at once, not after up to two minutes.
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATUS_DETAILS = "grpc-status-details-bin"


@dataclass
class CallError(Exception):
    """How a call, or one command of a batch, failed."""

    code: str  # `NOT_FOUND`
    message: str
    reason: str = ""  # ErrorInfo's, as are these two
    domain: str = ""
    metadata: dict = field(default_factory=dict)
    retry_delay_s: float | None = None  # RetryInfo's

    def __str__(self):
        return (
            f"{self.code} {self.domain}/{self.reason} {self.metadata}, retry after {self.retry_delay_s}: {self.message}"
        )

    @property
    def outcome_unknown(self):
        """The command may have been written."""
        return self.reason == "OUTCOME_UNKNOWN" or not self.reason


def decode_status(serialized, code=None):
    """A serialized google.rpc.Status as CallError."""
    status = status_pb2.Status.FromString(serialized)
    error = CallError(code_pb2.Code.Name(status.code), status.message)
    if code is not None:
        assert error.code == code, f"the call ended with {code}, its details say {error.code}"
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert not error.reason, f"more than one ErrorInfo: {status}"
            error.reason, error.domain, error.metadata = info.reason, info.domain, dict(info.metadata)
        elif detail.Unpack(retry):
            error.retry_delay_s = retry.retry_delay.ToTimedelta().total_seconds()
        else:
            raise AssertionError(f"an unexpected detail: {detail.type_url}")
    return error


def to_call_error(rpc_error):
    """Of a grpc.RpcError, be it grpc's or grpc.aio's."""
    code = rpc_error.code().name
    for key, value in rpc_error.trailing_metadata() or ():
        if key == STATUS_DETAILS:
            error = decode_status(value, code)
            assert error.message == rpc_error.details()
            return error
    return CallError(code, rpc_error.details() or "")


def result_of(command_result):
    """SubmitCommandResponse or CallError of a batch's CommandResult."""
    which = command_result.WhichOneof("result")
    if which == "error":
        return decode_status(command_result.error.SerializeToString())
    assert which == "response", f"a result without content: {command_result}"
    return command_result.response


class Schema:
    """The services and messages, as a server's reflection tells them."""

    def __init__(self, channel):
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.services = sorted(self.database.get_services())
        self.pool = DescriptorPool(self.database)
        self.methods = {}
        for service in SERVICES:
            for method in self.pool.FindServiceByName(service).methods:
                self.methods[method.name] = Method(
                    method.name,
                    f"/{service}/{method.name}",
                    GetMessageClass(method.input_type),
                    GetMessageClass(method.output_type),
                    method.server_streaming,
                )

    def message(self, name):
        return GetMessageClass(self.pool.FindMessageTypeByName(name))


@dataclass(frozen=True)
class Method:
    name: str
    path: str
    request: type
    response: type
    streaming: bool

    def stub(self, channel):
        make = channel.unary_stream if self.streaming else channel.unary_unary
        return make(self.path, self.request.SerializeToString, self.response.FromString)


# All servers of a test run are the same program.
schema_lock = threading.Lock()
known_schema = None


def schema_from(channel):
    global known_schema
    with schema_lock:
        known_schema = known_schema or Schema(channel)
        return known_schema


class Client:
    """One connection. Every method of the three services is a method of it; for many threads."""

    def __init__(self, address, credentials=None, options=()):
        self.address = address
        options = (*CHANNEL_OPTIONS, *options)
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self.health_stub = health_pb2_grpc.HealthStub(self.channel)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @functools.cached_property
    def schema(self):
        return schema_from(self.channel)

    def __getattr__(self, name):
        """client.GetSnapshot(domain=…, timeout=…, headers=[("traceparent", …)], wait_for_ready=True)

        The answer of a stream is grpc's own call object. client.GetSnapshot.later(…) is a PendingCall.
        """
        if not name[0].isupper():
            raise AttributeError(name)
        method = self.schema.methods[name]
        stub = method.stub(self.channel)

        def start(function, fields, timeout=TIMEOUT_S, headers=None, wait_for_ready=None):
            timeout = None if timeout is NO_TIMEOUT else timeout
            return function(method.request(**fields), timeout, headers, wait_for_ready=wait_for_ready)

        def call(**fields):
            try:
                return start(stub, fields, **take_options(fields))
            except grpc.RpcError as error:
                raise to_call_error(error) from None

        def later(**fields):
            return PendingCall(start(stub.future, fields, **take_options(fields)))

        call.later = later
        setattr(self, name, call)
        return call

    def health(self, service=""):
        """`SERVING` and so on; the code of the error when the call fails."""
        try:
            answer = self.health_stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        except grpc.RpcError as error:
            return error.code().name

    def wait_serving(self, timeout_s=30):
        wait_until(lambda: self.health() == "SERVING", timeout_s, lambda: f"SERVING, health is {self.health()}")
        return self


def take_options(fields):
    """What of a call's arguments is not for the request."""
    return {name: fields.pop(name) for name in ("timeout", "headers", "wait_for_ready") if name in fields}


class PendingCall:
    """A call that is under way: client.SubmitCommand.later(…)."""

    def __init__(self, future):
        self.future = future

    def done(self):
        return self.future.done()

    def cancel(self):
        self.future.cancel()

    def result(self, timeout_s=TIMEOUT_S):
        """The response; raises CallError."""
        try:
            return self.future.result(timeout_s)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"the call hangs: no answer within {timeout_s} s") from None
        except grpc.FutureCancelledError:
            raise CallError("CANCELLED", "by the test") from None
        except grpc.RpcError as error:
            raise to_call_error(error) from None

    def outcome(self, timeout_s=TIMEOUT_S):
        """The response or the CallError."""
        try:
            return self.result(timeout_s)
        except CallError as error:
            return error


def until_answered(call, timeout_s, errors=None, stop=None):
    """Calls `call` until it returns or raises what another try can't mend.

    Waits in between as long as the server says, or until the event `stop`. `errors` counts what was tried again.
    """
    stop = stop or threading.Event()
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except CallError as error:
            if error.code not in REPEATABLE:
                raise
            if error.reason:
                assert error.retry_delay_s or error.code != "UNAVAILABLE", f"no RetryInfo: {error}"
                assert error.reason in REPEATABLE[error.code], f"no such error is due: {error}"
            if errors is not None:
                errors[f"{error.code} {error.reason}"] += 1
            assert time.monotonic() < give_up, f"no answer within {timeout_s} s, at last {error}"
            stop.wait(error.retry_delay_s or RETRY_DELAY_S)


class Watch:
    """WatchEvents, read by a thread as fast as it comes. Use in a `with` block.

    `keep` says what to keep of an event.
    """

    def __init__(self, client, keep=lambda event: event, **fields):
        self.keep = keep
        self.condition = threading.Condition()
        self.responses, self.events, self.error = [], [], None
        self.call = client.WatchEvents(timeout=NO_TIMEOUT, domain="security", **fields)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        failure = None
        try:
            for response in self.call:
                with self.condition:
                    self.responses.append(response)
                    self.events.extend(map(self.keep, response.events))
                    self.condition.notify_all()
            failure = CallError("OK", "the stream ended")
        except grpc.RpcError as error:
            failure = to_call_error(error)
        with self.condition:
            self.error = failure
            self.condition.notify_all()

    def __enter__(self):
        self.wait(lambda: self.responses, "the first response")
        return self

    def __exit__(self, *_):
        self.call.cancel()
        self.thread.join(10)
        assert not self.thread.is_alive(), "the watcher's thread hangs"

    def wait(self, condition, what, timeout_s=TIMEOUT_S):
        """Until the condition holds; a stream that ended can't meet it any more."""
        with self.condition:
            self.condition.wait_for(lambda: condition() or self.error, timeout_s)
            assert condition(), (
                f"{self.error or f'waited {timeout_s} s in vain'}: {what}, {len(self.events)} events came"
            )

    def wait_events(self, count, timeout_s=TIMEOUT_S):
        self.wait(lambda: len(self.events) >= count, f"{count} events", timeout_s)
        return self.events

    def wait_end(self, timeout_s=TIMEOUT_S):
        """Why the stream ended."""
        with self.condition:
            assert self.condition.wait_for(lambda: self.error, timeout_s), f"the stream is open after {timeout_s} s"
        return self.error

    @property
    def resume_token(self):
        return self.responses[-1].resume_token


class HealthWatch:
    """The sequence of a service's health, as grpc.health.v1 streams it."""

    def __init__(self, client, service=""):
        self.seen = []
        self.call = client.health_stub.Watch(health_pb2.HealthCheckRequest(service=service))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for answer in self.call:
                self.seen.append(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
        except grpc.RpcError:
            pass  # the server is gone, which is how these tests end


user_numbers = itertools.count(1)


def new_user(partition=None):
    """An address that nobody has been registered with; of this one of four partitions, if it is told."""
    while True:
        email = f"new{next(user_numbers)}@example.org"
        if partition in (None, home_partition(email.encode(), 4)):
            return email


def json_command(command_type, email, **fields):
    """Fields of SubmitCommandRequest."""
    body = json.dumps({"email": email, **fields}, ensure_ascii=False)
    return {"domain": "security", "command_type": command_type, "payload": {"json": body}}


def register(email, name="Alex", **more):
    return {**json_command("RegisterUserCommand", email, name=name), **more}


def rename(email, new_name, **more):
    return {**json_command("ChangeUserNameCommand", email, newName=new_name), **more}


def in_protobuf(command):
    """The same with the payload in binary form: the message itself, without the domain's oneof around it."""
    _, names, _ = security_domain.COMMANDS[command["command_type"]]
    fields = json.loads(command["payload"]["json"])
    body = b"".join(wire.write_bytes(number, fields[name]) for number, name in names.items() if fields.get(name))
    return {**command, "payload": {"protobuf": body}}


def name_of(client, email, **fields):
    """The user's name as a query answers it."""
    return json.loads(client.GetSnapshot(**key(email), **fields).snapshot.state.json)["name"]


def all_pages(call, **fields):
    """The pages of a list, which must come to an end."""
    token, found = "", []
    for _ in range(10_000):
        page = call(**fields, page_token=token)
        found.append(page)
        token = page.next_page_token
        if not token:
            return found
    raise AssertionError("the list does not end")


def first_response(client, **fields):
    """WatchEvents as if it were a call with one answer."""
    call = client.WatchEvents(timeout=NO_TIMEOUT, **fields)
    try:
        return next(iter(call))
    except grpc.RpcError as error:
        raise to_call_error(error) from None
    finally:
        call.cancel()


def key(email):
    """Fields of a query."""
    return {"domain": "security", "aggregate_key": email}


def refused(code, reason, call, *, secret="@example.org", retry=None, domain="esd"):
    """The CallError that `call` must fail with; `retry`: whether it must carry RetryInfo (None: as the code says)."""
    try:
        answer = call()
    except CallError as error:
        check_refusal(error, code, reason, secret=secret, retry=retry, domain=domain)
        return error
    raise AssertionError(f"expected {code} {reason}, got {answer}")


def check_refusal(error, code, reason, *, secret="@example.org", retry=None, domain="esd"):
    assert (error.code, error.reason, error.domain) == (code, reason, domain), f"{error}"
    assert error.message, f"no message: {error}"
    assert secret not in error.message, f"personal data in {error}"
    if retry is None:
        retry = code == "UNAVAILABLE" or reason == "TOO_MANY_IN_FLIGHT"
    if retry is EITHER:
        pass
    elif retry:
        assert error.retry_delay_s is not None and 0 < error.retry_delay_s <= 60, f"no good RetryInfo in {error}"
    else:
        assert error.retry_delay_s is None, f"RetryInfo makes no sense in {error}"
