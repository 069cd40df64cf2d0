"""The engine as a process: started, watched, stopped and killed."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ESD_BINARY", ROOT / "build/release/bin/esd"))

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
REFUSAL_TIMEOUT_S = 60
# The engine dies with the test that started it, even if that is killed.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")

# Failures of an instance are noticed after this time instead of the default 6 s, so that tests needn't wait for it.
SESSION_TIMEOUT_S = 2
QUICK_SESSION = ("--kafka", f"session.timeout.ms={SESSION_TIMEOUT_S * 1000}", "--kafka", "heartbeat.interval.ms=300")


def run_esd(*args, timeout_s=60, env=None):
    """Runs a command that ends by itself."""
    return subprocess.run(
        [*DIE_WITH_PARENT, BINARY, *map(str, args)],
        text=True,
        capture_output=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Esd:
    """`esd serve`. Not running until start()."""

    def __init__(self, serve_args, data_dir, log_path):
        self.serve_args, self.data_dir, self.log_path = serve_args, pathlib.Path(data_dir), pathlib.Path(log_path)
        self.runner = ()  # a command that runs the program in an environment of its own
        self.process = None

    def start(self, http=None, grpc=None):
        assert not self.running(), "it runs already"
        self.http, self.grpc = http or free_address(), grpc or free_address()
        command = [*DIE_WITH_PARENT, *self.runner, BINARY, "serve", *self.serve_args, "--data-dir", self.data_dir]
        command += ["--http-listen", self.http, "--grpc-listen", self.grpc]
        with self.log_path.open("ab") as log:
            log.write(f"--- start {' '.join(map(str, command))}\n".encode())
            log.flush()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return self

    def start_ready(self):
        return self.start().wait_ready()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def fail_to_start(self):
        """For what must not run: its exit code and the last line that it wrote, which is for whoever started it."""
        self.start()
        code = self.wait_exit(REFUSAL_TIMEOUT_S)
        return code, self.log().splitlines()[-1]

    def delete_store(self):
        shutil.rmtree(self.data_dir)

    # --- how it ends

    def stop(self):
        """A clean stop: SIGTERM, exit code 0 within the promised time. Returns how long it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit(STOP_TIMEOUT_S)
        assert code == 0, f"a clean stop ended with exit code {code}"
        return time.monotonic() - begin

    def wait_exit(self, timeout_s):
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"esd did not end within {timeout_s} s") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def suspend(self):
        """Returns when none of its threads runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    # --- what it says

    def resident_bytes(self):
        """Its memory right now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def get(self, path):
        """Status and body of a GET; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        def is_ready():
            assert self.running(), f"esd ended with exit code {self.process.returncode}"
            return self.get("/readyz")[0] == 200

        wait_until(is_ready, timeout_s, lambda: f"/readyz: {self.get('/readyz')}")
        return self

    def metrics(self):
        """[(name, {label: value}, number)] of /metrics."""
        status, text = self.get("/metrics")
        assert status == 200, f"/metrics answered {status}: {text}"
        return [parse_sample(sample) for sample in text.splitlines() if sample and not sample.startswith("#")]

    def metric(self, name, **labels):
        """The sum of the samples of that name with at least these labels."""
        return sum(number for sample, has, number in self.metrics() if sample == name and labels.items() <= has.items())

    def wait_metric(self, value, name, timeout_s=10, **labels):
        """Until metric() is that: what is committed is visible in the topics a moment before it is counted."""
        wait_until(
            lambda: self.metric(name, **labels) == value,
            timeout_s,
            lambda: f"{name}{labels} to be {value}, it is {self.metric(name, **labels)}",
        )

    def restored_partitions(self):
        return self.metric("esd_partition_restored")

    def wait_owns(self, count, timeout_s=30):
        """Until it processes that many partitions."""
        self.wait_metric(count, "esd_partition_restored", timeout_s)


def parse_sample(sample):
    name, labels, number = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", sample).groups()
    return name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")), float(number)
