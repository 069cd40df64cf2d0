"""The command line as a client of a running engine."""

import json
import os
import pty
import subprocess

from engine_process import BINARY, DIE_WITH_PARENT, Esd

TIMEOUT_S = 60
OK, FAILED, USAGE = 0, 1, 2


def start_engine(directory, *more):
    """An engine that needs no broker, and serves; whoever starts it must kill it."""
    engine = Esd(["--log", "embedded", *more], directory / "data", directory / "esd.log")
    return engine.start_ready()


class Cli:
    """Runs `esd` commands against one address. What is in the environment of a test run is left out."""

    def __init__(self, address, **variables):
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.env = {**kept, "ESD_ADDRESS": address, "TERM": "xterm", **variables}

    def with_env(self, **variables):
        cli = Cli("")
        cli.env = {**self.env, **variables}
        return cli

    def command(self, args):
        return [*DIE_WITH_PARENT, str(BINARY), *map(str, args)]

    def run(self, *args, stdin=None, timeout_s=TIMEOUT_S):
        return subprocess.run(
            self.command(args),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            env=self.env,
        )

    def ok(self, *args, **options):
        """stdout of a command that does what it should."""
        done = self.run(*args, **options)
        assert done.returncode == OK, f"{args} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def json(self, *args, **options):
        """Its lines, read."""
        return [json.loads(line) for line in self.ok(*args, "-o", "json", **options).splitlines()]

    def fails(self, *args, code=FAILED, **options):
        """stderr of a command that fails as it should."""
        done = self.run(*args, **options)
        assert done.returncode == code, f"{args} ended with {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stderr.startswith("esd") or "\nesd" in done.stderr, done.stderr
        return done.stderr

    def start(self, *args, **options):
        """A command that runs on; its streams are pipes unless told."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.command(args), text=True, env=self.env, **streams)

    def on_terminal(self, *args, stdout=True, stdin=None):
        """What it writes to a terminal: stdout and stderr, or stderr alone."""
        ours, theirs = pty.openpty()
        output = theirs if stdout else subprocess.DEVNULL
        process = self.start(
            *args, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, stdout=output, stderr=theirs
        )
        os.close(theirs)
        if stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        text = b""
        try:
            while chunk := os.read(ours, 4096):
                text += chunk
        except OSError:  # so a terminal ends on Linux
            pass
        finally:
            os.close(ours)
        process.wait(TIMEOUT_S)
        return text.decode()


def register_json(email, name="Alex", **members):
    return json.dumps({"type": "RegisterUserCommand", "command": {"name": name, "email": email}, **members})


def rename_json(email, name, **members):
    return json.dumps({"type": "ChangeUserNameCommand", "command": {"email": email, "newName": name}, **members})
