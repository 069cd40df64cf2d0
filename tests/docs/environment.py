"""What the pages' commands run in: engines and a broker of the test's own, in place of those that the pages name."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ESD_BINARY", ROOT / "build/release/bin/esd")).resolve()
TUTORIAL = pathlib.Path(os.environ.get("ESD_TUTORIAL_BINARY", BINARY.with_name("esd_tutorial"))).resolve()
READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15
COMMAND_TIMEOUT_S = 60
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]
# As the pages have them.
GRPC, HTTP, KAFKA = "localhost:7070", "localhost:7071", "localhost:9092"
# What a reader has around him in his checkout.
CHECKOUT = ("scripts", "proto", "docs", "build")
# Files that the pages name for TLS.
TLS_FILES = ("server.pem", "server.key")


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def make_certificate(certificate, key):
    """Of a server that is this machine, signed by itself, and its key: PEM files."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True, timeout=30)


class Engine:
    """`esd dev` or `esd serve`, ready when it is made."""

    def __init__(self, binary, arguments, folder, ready_timeout_s=READY_TIMEOUT_S):
        self.grpc, self.http = free_address(), free_address()
        folder.mkdir()
        self.log_path = folder / "log"
        command = [*DIE_WITH_PARENT, binary, *arguments, "--grpc-listen", self.grpc, "--http-listen", self.http]
        command += ["--data-dir", folder / "data"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=clean_environment()
            )
        deadline = time.monotonic() + ready_timeout_s
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the engine did not become ready:\n{self.log()}")
            time.sleep(0.02)

    def ready(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://{self.http}/readyz", timeout=5).status == 200
        return False

    def log(self):
        return self.log_path.read_text(errors="replace")[-6000:]

    def stop(self):
        stop(self.process)


def stop(process):
    """Its exit code after SIGTERM."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "no end by itself"


def clean_environment(**more):
    """The test's own settings would decide what a page's command does."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ESD_", "KAFKA_"))}
    return {**mine, "PYTHONDONTWRITEBYTECODE": "1", **more}


class World:
    """One page's. Engines are started when a block needs the first one, the broker is shared."""

    def __init__(self, folder, broker):
        self.folder, self.broker = folder, broker  # `broker()` gives the address
        self.engines = {}
        self.started = 0
        self.home, self.user_home = folder / "checkout", folder / "home"
        self.home.mkdir()
        self.user_home.mkdir()
        for name in CHECKOUT:
            (self.home / name).symlink_to(ROOT / name)

    def new_folder(self):
        self.started += 1
        return self.folder / f"engine-{self.started}"

    def engine(self, kind):
        if kind not in self.engines:
            arguments = ["dev"]
            if kind == "kafka":
                arguments = ["serve", "--bootstrap-servers", self.broker(), "--domain", "security"]
            binary = TUTORIAL if kind == "tutorial" else BINARY
            self.engines[kind] = Engine(binary, arguments, self.new_folder())
        return self.engines[kind]

    def close(self):
        for engine in self.engines.values():
            engine.stop()

    # --- a block

    def variables(self, kind):
        """Replacements in the text, and the environment of the block."""
        replaced, variables = {}, {"TMPDIR": str(self.folder)}
        if kind in ("dev", "kafka", "tutorial"):
            engine = self.engine(kind)
            replaced |= {GRPC: engine.grpc, HTTP: engine.http}
            variables["ESD_ADDRESS"] = engine.grpc
        elif kind in ("alone", "broker"):
            variables |= {"ESD_GRPC_LISTEN": free_address(), "ESD_HTTP_LISTEN": free_address()}
            variables |= {"HOME": str(self.user_home), "XDG_STATE_HOME": str(self.new_folder())}
        if kind in ("kafka", "broker", "tutorial-broker"):
            replaced[KAFKA] = self.broker()
        return replaced, variables

    def path(self, kind):
        folder = self.folder / ("bin-tutorial" if kind.startswith("tutorial") else "bin")
        if not folder.exists():
            folder.mkdir()
            (folder / "esd").symlink_to(TUTORIAL if kind.startswith("tutorial") else BINARY)
            for tool in (ROOT / "build/tools/grpcurl", pathlib.Path(sys.executable)):
                if tool.exists():
                    (folder / tool.name).symlink_to(tool)
        # The virtual environment finds its modules by the path that Python was called by.
        return f"{folder}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(self, block, run):
        """The block's standard output. AssertionError when it does not end as the page says."""
        replaced, variables = self.variables(run.kind)
        text = block.text
        for old, new in replaced.items():
            text = text.replace(old, new).replace(old.replace("localhost", "127.0.0.1"), new)
        command = ["bash", "-euo", "pipefail", "-c", text] if block.language == "sh" else [sys.executable, "-c", text]
        env = clean_environment(PATH=self.path(run.kind), **variables)
        if run.until:
            return self.run_until(command, env, run.until)
        try:
            done = subprocess.run(
                [*DIE_WITH_PARENT, *command], cwd=self.home, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=COMMAND_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end within {COMMAND_TIMEOUT_S} s: {late.stdout} {late.stderr}") from None
        assert done.returncode == run.code, (
            f"exit code {done.returncode}, not {run.code}\n{text}\n--- output\n{done.stdout}\n--- errors\n{done.stderr}"
        )
        return done.stdout

    def run_until(self, command, env, text):
        log_path = self.new_folder().with_suffix(".until")
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*DIE_WITH_PARENT, *command], cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while text not in (written := log_path.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                stop(process)
                raise AssertionError(f"'{text}' was not written:\n{written}")
            time.sleep(0.02)
        code = stop(process)
        assert code == 0, f"SIGTERM ended it with {code}:\n{log_path.read_text(errors='replace')}"
        return written
