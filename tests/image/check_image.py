"""Builds the image of the Dockerfile and checks what it promises. scripts/check-image starts it."""

import argparse
import contextlib
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

from chroot_image import ChrootImage, mounts_below, say
from dockerfile import exec_form, parse
from docker_image import DockerImage

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15
BUILD_TOOLS = ["g++", "gcc", "cmake", "ninja", "ccache", "git", "make", "protoc", "python3"]
NOT_A_LIBRARY = {"ca-certificates"}


def expect(true, what):
    if not true:
        sys.exit(f"check-image: FAILED: {what}")
    say(f"ok: {what}")


def make_context(folder):
    """The files that Docker would send: those of the checkout, without what .dockerignore names."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    for path in filter(None, listed):
        if any(path == name or path.startswith(name + "/") for name in ignored) or not (ROOT / path).exists():
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target, follow_symlinks=False)


# --- what the image promises


def check_packages(image):
    for tool in BUILD_TOOLS:
        code, _ = image.once("sh", "-c", f"command -v {tool}")
        expect(code != 0, f"no {tool} in the image")
    _, packages = image.once("dpkg-query", "-W", "-f", "${Package}\n")
    expect(not [name for name in packages.split() if name.endswith("-dev")], "no development packages in the image")
    code, libraries = image.once("ldd", "/usr/local/bin/esd")
    expect(code == 0 and "not found" not in libraries, f"every shared library is there:\n{libraries}".split(":")[0])
    check_asked_for(image, libraries)


def check_asked_for(image, libraries):
    """Each package that the Dockerfile names is one that the program loads a library of."""
    line = next(rest for step, rest in image.stage.steps if step == "RUN" and "apt-get install" in rest)
    words = shlex.split(line.split("apt-get install", 1)[1].split("&&")[0])
    asked = {word for word in words if not word.startswith("-")} - NOT_A_LIBRARY
    paths = re.findall(r"=> (/\S+)", libraries)
    # dpkg knows files by the name that the package has, before /lib became a link to /usr/lib.
    names = sorted({alias for path in paths for alias in (path, path.removeprefix("/usr"), "/usr" + path)})
    _, owners = image.once("dpkg", "-S", *names)
    used = {match[1] for match in re.finditer(r"^([^\s:,]+)(?::\w+)?: /", owners, re.MULTILINE)}
    expect(asked <= used, f"no package without need in the Dockerfile: {sorted(asked - used) or 'none'}")


def check_user(image):
    user = image.stage.last("USER", "0")
    expect(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), f"the user is a number and not root: {user}")
    code, _ = image.once("sh", "-c", "touch /var/lib/esd/.probe && rm /var/lib/esd/.probe", user=user)
    expect(code == 0, "the user may write to its data folder")
    code, _ = image.once("sh", "-c", "touch /usr/local/bin/probe", user=user)
    expect(code != 0, "the user may not write elsewhere")


def wait_healthy(image, process, health, log):
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        code, output = image.inside(process, health, timeout_s=15)
        if code == 0:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            sys.exit(f"{log.read()}\n{output}\ncheck-image: FAILED: it did not become healthy, see above")
        time.sleep(0.2)


def check_start(image):
    entrypoint, health = exec_form(image.stage.last("ENTRYPOINT")), image.stage.health_command()
    code, output = image.once(*entrypoint, "version", user=image.stage.last("USER"))
    expect(code == 0 and "esd" in output, f"it starts: {output.strip()}")
    code, _ = image.once(*health, user=image.stage.last("USER"))
    expect(code != 0, "the health check fails where nothing runs")


def check_running(image, arguments):
    entrypoint, health = exec_form(image.stage.last("ENTRYPOINT")), image.stage.health_command()
    with tempfile.TemporaryFile("w+") as log:
        begin = time.monotonic()
        process = image.start(*arguments, entrypoint=entrypoint, log=log)
        wait_healthy(image, process, health, log)
        expect(True, f"esd {' '.join(arguments)} is healthy after {time.monotonic() - begin:.1f} s")
        _, status = image.inside(process, ["cat", "/proc/1/status"], timeout_s=15)
        uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
        expect(uid and uid[1] != "0", f"it runs as user {uid and uid[1]}")
        expect("esd" in status.splitlines()[0], "the program itself is process 1, with no shell before it")
        begin = time.monotonic()
        code = image.terminate(process, STOP_TIMEOUT_S)
        expect(code == 0, f"SIGTERM ends it with exit code 0, after {time.monotonic() - begin:.1f} s")


@contextlib.contextmanager
def work_folder():
    """Gone afterwards, but never what is mounted in it."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="esd-image.")).resolve()
    try:
        yield work
    finally:
        if mounts_below(work):
            say(f"{work} is left behind, because something is still mounted in it")
        else:
            shutil.rmtree(work)


def ccache_folder():
    asked = subprocess.run(["ccache", "--get-config", "cache_dir"], capture_output=True, text=True)
    return pathlib.Path(asked.stdout.strip() or ROOT / "build/image/ccache")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--builder", required=True)
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    stages = parse((ROOT / "Dockerfile").read_text())
    cache = ROOT / "build/image"
    cache.mkdir(parents=True, exist_ok=True)
    with work_folder() as work:
        if options.builder == "chroot":
            context = work / "context"
            context.mkdir()
            make_context(context)
            image = ChrootImage(stages, context, work, cache, ccache_folder())
        else:
            image = DockerImage(options.builder, stages, ROOT)
        try:
            image.build()
            check_packages(image)
            check_user(image)
            check_start(image)
            check_running(image, options.arguments or exec_form(image.stage.last("CMD")))
            check_running(image, ["serve", "--log", "embedded"])
        finally:
            image.close()
    say("the image is as it should be")


if __name__ == "__main__":
    main()
