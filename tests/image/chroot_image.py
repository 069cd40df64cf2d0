"""Builds an image in a folder, by the lines of the Dockerfile, where there is no Docker: each FROM is a Debian root that
mmdebstrap makes, each RUN a chroot. Mounts need root and a mount namespace of our own: scripts/check-image gives both.
"""

import glob
import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_MAX_AGE_S = 7 * 86400
STEP_TIMEOUT_S = 900
SKIPPED = 77  # what CTest and scripts/check-image take for it
# What a build on this machine is given from outside: names, certificates, proxies.
GIVEN_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"]
GIVEN_VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
# What ccache takes for a part of the compiler's input: a compiler speaks its user's language.
LANGUAGE_VARIABLES = ["LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"]
# We are in a mount namespace of our own already: nothing gets out of it.
NAMESPACES = ["unshare", "--mount", "--propagation=unchanged", "--net", "--pid", "--fork", "--kill-child=KILL"]
ENTER = pathlib.Path(__file__).with_name("enter.py")


def say(text):
    print(f"check-image: {text}", file=sys.stderr, flush=True)


def cannot_build(why):
    """This machine can't: that says nothing of the image."""
    say(f"skipped: {why}")
    sys.exit(SKIPPED)


def run(*command, what, or_skip=False, **options):
    """Shows the end of its output only when it fails. `or_skip`: that is then the machine's fault, not the image's."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=STEP_TIMEOUT_S, **options,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"check-image: {what} took more than {STEP_TIMEOUT_S} s")
    if done.returncode and or_skip:
        say(done.stdout[-2000:])
        cannot_build(f"{what} failed with exit code {done.returncode}")
    if done.returncode:
        sys.exit(f"{done.stdout[-6000:]}\ncheck-image: {what} failed with exit code {done.returncode}, see above")
    say(f"{what}: {time.monotonic() - begin:.0f} s")
    return done.stdout


def mounts_below(folder):
    """Innermost first."""
    points = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def apt_settings():
    """The machine's own ways to its packages; not its habits, such as what it keeps."""
    for path in map(pathlib.Path, sorted(glob.glob("/etc/apt/apt.conf.d/*"))):
        if "Acquire::" in path.read_text(errors="replace"):
            yield path
    yield from map(pathlib.Path, sorted(glob.glob("/etc/apt/auth.conf.d/*")))


class ChrootImage:
    def __init__(self, stages, context, work, cache, ccache):
        """`context` is the folder that COPY copies from, `work` an empty one, `cache` is kept from run to run."""
        self.stages, self.context, self.work, self.cache, self.ccache = stages, context, work, cache, ccache
        self.roots = {}
        self.processes = []
        self.given = []  # what we put into a root that isn't the image's

    # --- building

    def build(self):
        for stage in self.stages:
            self.build_stage(stage)
        self.root, self.stage = self.roots[self.stages[-1].name], self.stages[-1]
        return self

    def base_root(self, base):
        """A tar of the base: a bare Debian for debian:12 and debian:12-slim alike."""
        if base not in ("debian:12", "debian:12-slim"):
            sys.exit(f"check-image: don't know how to make {base}")
        sources = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
        key = hashlib.sha256(sources.read_bytes() if sources.exists() else b"").hexdigest()[:12]
        tar = self.cache / f"bookworm-{key}.tar"
        if not tar.exists() or time.time() - tar.stat().st_mtime > BASE_MAX_AGE_S:
            part = self.cache / "part.tar"
            mirror = [str(sources)] if sources.exists() else []
            run("mmdebstrap", "--variant=minbase", "--mode=root", "--skip=check/qemu", "bookworm", part, *mirror,
                what="making the base with mmdebstrap", or_skip=True)
            part.rename(tar)
        return tar

    def build_stage(self, stage):
        root = self.work / (stage.name or "image")
        root.mkdir()
        self.roots[stage.name] = root
        run("tar", "-C", root, "-xf", self.base_root(stage.base), what=f"unpacking {stage.base}")
        try:
            self.mount(root)
            self.run_steps(stage, root)
        finally:
            self.unmount(root)

    def run_steps(self, stage, root):
        environment, folder = {"PATH": PATH}, "/"
        for instruction, rest in stage.steps:
            if instruction == "RUN":
                self.run_step(root, rest, environment, folder)
            elif instruction == "COPY":
                self.copy_step(root, rest, folder)
            elif instruction == "ENV":
                environment.update(word.split("=", 1) for word in shlex.split(rest))
            elif instruction == "WORKDIR":
                folder = os.path.join(folder, rest)
                (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def mount(self, root):
        run("mount", "-t", "proc", "proc", root / "proc", what="mounting /proc", or_skip=True)
        # So that packages are fetched once, and that a build of the same source takes no time.
        for here, there in [(self.cache / "archives", "var/cache/apt/archives"), (self.ccache, "root/.cache/ccache")]:
            here.mkdir(parents=True, exist_ok=True)
            (root / there).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", here, root / there], check=True)
        for file in [*map(pathlib.Path, GIVEN_FILES), *apt_settings()]:
            target = root / str(file).lstrip("/")
            if file.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
                self.given.append(target)

    def unmount(self, root):
        for there in mounts_below(root):
            subprocess.run(["umount", "--lazy", there], check=True)
        for target in self.given:
            target.unlink(missing_ok=True)
        self.given.clear()

    def run_step(self, root, line, environment, folder):
        given = {name: os.environ[name] for name in GIVEN_VARIABLES + LANGUAGE_VARIABLES if name in os.environ}
        caching = {"CCACHE_BASEDIR": folder, "CCACHE_NOHASHDIR": "1", "HOME": "/root"}
        variables = {**environment, **given, **caching, "DEBIAN_FRONTEND": "noninteractive"}
        words = [f"{name}={value}" for name, value in variables.items()]
        run("chroot", root, "env", "-i", "-C", folder, *words, "/bin/sh", "-c", line, what=f"RUN {line[:60]}")

    def copy_step(self, root, rest, folder):
        words = shlex.split(rest)
        source_root = self.context
        if words[0].startswith("--from="):
            source_root = self.roots[words.pop(0).removeprefix("--from=")]
        *sources, target = words
        target = root / os.path.join(folder, target).lstrip("/")
        for source in sources:
            path = source_root / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, target, dirs_exist_ok=True, symlinks=True)
            else:
                into = target / path.name if rest.endswith("/") or target.is_dir() else target
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, into)

    # --- running

    def enter_command(self, command, user):
        uid, _, gid = user.partition(":")
        words = [f"{name}={value}" for name, value in {"PATH": PATH, **self.stage.environment()}.items()]
        return [sys.executable, ENTER, self.root, uid, gid or uid, self.stage.last("WORKDIR", "/"), *words, "--", *command]

    def start(self, *arguments, entrypoint, log):
        """Its first process is number 1 of its own world, as in a container, with a network of its own."""
        command = [*NAMESPACES, *self.enter_command([*entrypoint, *arguments], self.stage.last("USER", "0"))]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def first_process(self, process):
        """The number here of what is number 1 there; None when it is not there yet or any more."""
        try:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    def inside(self, process, command, timeout_s):
        """As `docker exec`: the command's exit code and output."""
        first = self.first_process(process)
        if first is None:
            return 255, "it does not run"
        uid, _, gid = self.stage.last("USER", "0").partition(":")
        words = [f"{name}={value}" for name, value in {"PATH": PATH, **self.stage.environment()}.items()]
        # Its root by way of /proc: entering its mounts would also leave a chroot that we may be in ourselves.
        full = ["nsenter", f"--target={first}", "--net", "--pid", "chroot", f"--userspec={uid}:{gid or uid}",
                f"/proc/{first}/root", "env", "-i", *words, *command]
        done = subprocess.run(full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
        return done.returncode, done.stdout + done.stderr

    def terminate(self, process, timeout_s):
        """SIGTERM to the program itself; its exit code."""
        os.kill(self.first_process(process), signal.SIGTERM)
        return process.wait(timeout_s)

    def once(self, *command, user="0"):
        """A command in the image, as root unless told, to look around: its exit code and output."""
        full = [*NAMESPACES, *self.enter_command(command, user)]
        done = subprocess.run(full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
