"""Becomes a program in an image: enter.py ROOT UID GID FOLDER NAME=VALUE... -- COMMAND...

Runs in new namespaces, as process number 1: brings up the loopback network, mounts /proc, changes root and user, and
then *is* the command, so that it gets the signals.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys

SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41


def main():
    root, uid, gid, folder, *rest = sys.argv[1:]
    split = rest.index("--")
    variables, command = dict(word.split("=", 1) for word in rest[:split]), rest[split + 1 :]
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP_RUNNING))
    subprocess.run(["mount", "-t", "proc", "proc", f"{root}/proc"], check=True)
    os.chroot(root)
    os.chdir(folder)
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    os.execvpe(command[0], command, {"HOSTNAME": "image", **variables})


main()
