"""The same through Docker or Podman."""

import subprocess
import sys
import uuid


class DockerImage:
    def __init__(self, tool, stages, source):
        self.tool, self.stage, self.source = tool, stages[-1], source
        self.name = f"esd-check-{uuid.uuid4().hex[:12]}"
        self.containers = {}

    def build(self):
        if subprocess.run([self.tool, "build", "-t", self.name, self.source], timeout=3600).returncode:
            sys.exit(f"check-image: {self.tool} could not build the Dockerfile, see above")
        return self

    def start(self, *arguments, entrypoint, log):
        del entrypoint  # the image's own
        container = f"{self.name}-{len(self.containers)}"
        # It ends when we do: --init would put a process between the signal and the program.
        command = [self.tool, "run", "--rm", "--network", "none", "--name", container, self.name, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.containers[process.pid] = (container, process)
        return process

    def inside(self, process, command, timeout_s):
        container, _ = self.containers[process.pid]
        done = subprocess.run([self.tool, "exec", container, *command], capture_output=True, text=True, timeout=timeout_s)
        return done.returncode, done.stdout + done.stderr

    def terminate(self, process, timeout_s):
        container, _ = self.containers[process.pid]
        subprocess.run([self.tool, "stop", "--time", str(timeout_s), container], check=True, timeout=timeout_s + 10)
        return process.wait(timeout_s)

    def once(self, *command, user="0"):
        full = [self.tool, "run", "--rm", "--network", "none", "--user", user, "--entrypoint", command[0], self.name]
        done = subprocess.run([*full, *command[1:]], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def close(self):
        for container, process in self.containers.values():
            if process.poll() is None:
                subprocess.run([self.tool, "kill", container], capture_output=True, timeout=30)
                process.wait(30)
        subprocess.run([self.tool, "rmi", "--force", self.name], capture_output=True, timeout=60)
