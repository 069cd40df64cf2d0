"""A small disk of its own, to be filled up: a tmpfs in a mount namespace, which goes with its holder."""

import os
import pathlib
import subprocess

HOLD_S = 600  # longer than any test
PIECE = b"\0" * (1 << 20)


def propagation():
    """Mounts must be seen by nobody else. In a chroot they can't be made private, and needn't be if nothing is shared."""
    shared = " shared:" in pathlib.Path("/proc/self/mountinfo").read_text()
    return "private" if shared or os.path.ismount("/") else "unchanged"


class SmallDisk:
    """`path` is the disk for whoever is run with `runner` before its command. OSError where that may not be mounted."""

    def __init__(self, path, mebibytes):
        self.path = pathlib.Path(path)
        self.path.mkdir()
        mount = f'mount -t tmpfs -o size={mebibytes}m none "$0" && echo mounted && exec sleep {HOLD_S}'
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", propagation()]
            + ["sh", "-c", mount, self.path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = self.holder.stdout.readline()
        if said != b"mounted\n":
            self.close()
            raise OSError(said.decode())
        # With its root, too: we may be in a chroot ourselves.
        root = f"/proc/{self.holder.pid}/root"
        self.runner = ("nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--root={root}", f"--wd={root}", "--")
        # The same folder, seen from here.
        self.seen = pathlib.Path(f"{root}{self.path}")

    def free_bytes(self):
        status = os.statvfs(self.seen)
        return status.f_bavail * status.f_frsize

    def fill(self, leave_bytes):
        """Somebody else's file takes all but that."""
        with (self.seen / "others").open("ab", buffering=0) as file:
            while (left := self.free_bytes() - leave_bytes) > 0:
                try:
                    file.write(PIECE[:left])
                except OSError:  # the disk is full: somebody else has taken it meanwhile
                    break

    def make_room(self):
        (self.seen / "others").unlink()

    def close(self):
        self.holder.kill()
        self.holder.wait()
