"""TLS and mTLS of the gRPC API, with certificates that are made here."""

import contextlib
import datetime
import ipaddress
import os
import pathlib
import socket
import ssl
import threading

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine_process import run_esd
from grpc_client import Client, key, register
from reference_model import home_partition
from waiting import wait_until

WRONG_USAGE = 2
DAY = datetime.timedelta(days=1)
# Files are looked at about once a second.
RELOAD_TIMEOUT_S = 20


class Authority:
    """A certificate authority."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            self.builder(self.name, self.key, now - DAY, now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def builder(self, subject, subject_key, not_before, not_after):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        builder = builder.public_key(subject_key.public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(not_before).not_valid_after(not_after)

    @property
    def pem(self):
        return pem_of(self.certificate)

    def issue(self, name, expired=False):
        """A certificate for 127.0.0.1, of a server as well as of a client, and its key, both PEM."""
        subject_key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        begin, end = (now - 3 * DAY, now - 2 * DAY) if expired else (now - DAY, now + DAY)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self.builder(subject, subject_key, begin, end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Identity(pem_of(certificate), key_pem_of(subject_key))


def pem_of(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem_of(private_key):
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Identity:
    def __init__(self, certificate, private_key):
        self.certificate, self.key = certificate, private_key

    def credentials(self, authority):
        """A client's that trusts the authority and shows this identity."""
        return grpc.ssl_channel_credentials(authority.pem, self.key, self.certificate)


def trusting(authority):
    """A client's that has no certificate."""
    return grpc.ssl_channel_credentials(authority.pem)


class Files:
    """What the flags name."""

    def __init__(self, directory, name="server"):
        self.cert, self.key, self.client_ca = (
            pathlib.Path(directory) / f"{name}-{part}.pem" for part in ("cert", "key", "client-ca")
        )

    def write(self, identity):
        replace(self.key, identity.key)
        replace(self.cert, identity.certificate)
        return self

    def tls(self):
        return ["--tls-cert", self.cert, "--tls-key", self.key]

    def mutual_tls(self, authority):
        replace(self.client_ca, authority.pem)
        return [*self.tls(), "--tls-client-ca", self.client_ca]


def replace(path, content):
    """As certificate managers do it: whoever reads the file finds the old or the new content, never half of it."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)


@pytest.fixture(scope="module")
def authority():
    return Authority("the authority")


@pytest.fixture(scope="module")
def stranger():
    return Authority("an authority that nobody here trusts")


@pytest.fixture
def files(tmp_path, authority):
    return Files(tmp_path).write(authority.issue("server"))


def served_certificate(address):
    """What a new connection is shown, be it trusted or not."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(plain) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()
    return b""


def wait_serves(engine, credentials):
    with Client(engine.grpc, credentials) as client:
        client.wait_serving()


def assert_turned_away(engine, credentials):
    """A new connection with these credentials comes to nothing."""
    with Client(engine.grpc, credentials) as client:
        assert client.health() == "UNAVAILABLE"


# --- one instance


def test_tls_serves_who_trusts_its_authority_and_nobody_in_plain_text(domain, connect, files, authority, stranger):
    engine = domain.engine(extra_args=files.tls()).start_ready()
    client = connect(engine, credentials=trusting(authority)).wait_serving()
    assert client.SubmitCommand(**register("a@example.org")).outcome.version == 0
    assert client.GetSnapshot(**key("a@example.org")).snapshot.version == 0
    assert_turned_away(engine, None)
    assert_turned_away(engine, trusting(stranger))
    assert client.health() == "SERVING"


def test_mutual_tls_serves_only_who_has_a_certificate_of_its_authority(domain, connect, files, authority, stranger):
    engine = domain.engine(extra_args=files.mutual_tls(authority)).start_ready()
    client = connect(engine, credentials=authority.issue("client").credentials(authority)).wait_serving()
    assert client.SubmitCommand(**register("a@example.org")).outcome.version == 0
    assert_turned_away(engine, None)
    assert_turned_away(engine, trusting(authority))
    assert_turned_away(engine, stranger.issue("client").credentials(authority))
    assert_turned_away(engine, authority.issue("client", expired=True).credentials(authority))
    # Somebody who only claims to be of the authority.
    assert_turned_away(engine, Authority("the authority").issue("client").credentials(authority))
    assert client.health() == "SERVING"


def test_clients_turn_away_from_a_server_whose_certificate_has_expired(domain, files, authority):
    files.write(authority.issue("server", expired=True))
    engine = domain.engine(extra_args=files.tls()).start_ready()
    assert_turned_away(engine, trusting(authority))
    assert "expired" in engine.log(), "the log doesn't warn"


def test_a_new_certificate_is_used_without_a_restart(domain, connect, files, authority, stranger):
    engine = domain.engine(extra_args=files.tls()).start_ready()
    old_client = connect(engine, credentials=trusting(authority)).wait_serving()
    for issuer in (authority, stranger, authority):
        identity = issuer.issue("server")
        files.write(identity)
        wait_until(
            lambda identity=identity: served_certificate(engine.grpc) == identity.certificate,
            RELOAD_TIMEOUT_S,
            "the new certificate",
        )
        wait_serves(engine, trusting(issuer))
        assert_turned_away(engine, trusting(authority if issuer is stranger else stranger))
    assert old_client.health() == "SERVING", "a connection that was open must not suffer"


def test_a_new_client_authority_is_used_without_a_restart(domain, files, authority, stranger):
    engine = domain.engine(extra_args=files.mutual_tls(authority)).start_ready()
    before, after = authority.issue("client").credentials(authority), stranger.issue("client").credentials(authority)
    wait_serves(engine, before)
    assert_turned_away(engine, after)
    replace(files.client_ca, stranger.pem)

    def accepted(credentials):
        with Client(engine.grpc, credentials) as client:
            return client.health() == "SERVING"

    wait_until(lambda: accepted(after), RELOAD_TIMEOUT_S, "clients of the new authority to be served")
    assert not accepted(before)


@pytest.mark.parametrize("broken", ["cert", "key"])
def test_a_broken_file_leaves_the_last_good_certificate_in_use(domain, files, authority, broken):
    engine = domain.engine(extra_args=files.tls()).start_ready()
    good = served_certificate(engine.grpc)
    path = getattr(files, broken)
    content = path.read_bytes()
    replace(path, content[: len(content) // 2])
    # The file has been looked at when a later good pair is in use; until then the old one has to be served.
    seen = []
    reading = threading.Event()

    def watch():
        while not reading.is_set():
            seen.append(served_certificate(engine.grpc))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    wait_until(lambda: len(seen) > 20 and "--tls-" in engine.log(), RELOAD_TIMEOUT_S, "a word on the broken file")
    new = authority.issue("server")
    files.write(new)
    wait_until(lambda: new.certificate in seen, RELOAD_TIMEOUT_S, "the new certificate")
    reading.set()
    thread.join(10)
    assert set(seen) == {good, new.certificate}
    assert engine.running()


# --- two instances


def test_instances_with_mutual_tls_forward_to_each_other(domain, connect, tmp_path, authority):
    engines = []
    for name in "ab":
        own = Files(tmp_path, name).write(authority.issue(name))
        arguments = ["--instance-id", name, *own.mutual_tls(authority)]
        engines.append(domain.engine(name, extra_args=arguments).start_ready())
    for engine in engines:
        engine.wait_owns(2, 60)
    client_credentials = authority.issue("client").credentials(authority)
    clients = [connect(engine, credentials=client_credentials).wait_serving() for engine in engines]
    for client in clients:
        owners = {partition.instance_id for partition in client.ListPartitions().partitions}
        assert owners == {"a", "b"}
        assert {p.State.Name(p.state) for p in client.ListPartitions().partitions} == {"STATE_SERVING"}
    users = [f"user{number}@example.org" for number in range(16)]
    assert {home_partition(user.encode(), 4) for user in users} == set(range(4))
    for number, user in enumerate(users):
        assert clients[number % 2].SubmitCommand(**register(user)).outcome.version == 0
        for client in clients:
            assert client.GetSnapshot(**key(user)).snapshot.version == 0
    domain.drain_and_verify()


# --- what is refused at the start


LISTEN_ANYWHERE = ("--grpc-listen", "0.0.0.0:0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (LISTEN_ANYWHERE, ["--tls-cert", "--insecure"]),
        (("--grpc-listen", "[::]:0"), ["--tls-cert", "--insecure"]),
        (("--tls-cert", "cert.pem"), ["--tls-key"]),
        (("--tls-key", "key.pem"), ["--tls-cert"]),
        (("--tls-client-ca", "ca.pem"), ["--tls-cert"]),
        (("--history", "maybe"), ["--history"]),
        (("--max-in-flight", "0"), ["--max-in-flight"]),
        (("--max-in-flight-per-connection", "none"), ["--max-in-flight-per-connection"]),
        (("--advertised-address", "nowhere"), ["--advertised-address"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_has_exit_code_2_and_says_what_to_do(arguments, words, tmp_path):
    done = run_esd("serve", "--bootstrap-servers", "127.0.0.1:1", "--data-dir", tmp_path / "data", *arguments)
    assert done.returncode == WRONG_USAGE, done.stderr
    for word in words:
        assert word in done.stderr
    assert not done.stdout


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(domain, files, authority, tmp_path):
    other = Files(tmp_path, "other").write(authority.issue("other"))
    cases = [
        (["--tls-cert", tmp_path / "none.pem", "--tls-key", files.key], "none.pem"),
        (["--tls-cert", files.cert, "--tls-key", other.key], str(other.key)),
        (["--tls-cert", files.key, "--tls-key", files.key], str(files.key)),
    ]
    for arguments, word in cases:
        done = run_esd("serve", *domain.connection(), "--data-dir", tmp_path / "data", *arguments)
        assert done.returncode in (1, WRONG_USAGE)
        assert word in done.stderr.splitlines()[-1]
