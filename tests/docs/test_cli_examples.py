"""Every example of docs/cli.md, and so of the manual and of --help, is run as it is written."""

import dataclasses
import json
import re
import shlex
import subprocess
import time

import pytest

import annotations
from environment import BINARY, ROOT, TLS_FILES, Engine, clean_environment, free_address, make_certificate
from pages import Block, blocks

PAGE = ROOT / "docs/cli.md"
SYNOPSIS = "## Synopsis"
CONTAINER_HEALTH = re.compile(r"HEALTHCHECK CMD (\[.*?\])(?: +# .*)?")
DEAD_LETTERS_TIMEOUT_S = 30

# How the commands are run, in the words of annotations.py, for those that it is not "dev": with an engine that holds
# what is in `seed`, to end with exit code 0. By how they begin; nothing here may be without its example.
HOW = {
    "esd topics create": "broker",
    "esd serve --bootstrap-servers localhost:9092": 'broker, until "serves:"',
    "esd serve --bootstrap-servers broker:9093": "no, it needs a broker with passwords: tests/docs/test_acls.py",
    "esd serve --bootstrap-servers broker:9092": 'broker, until "serves:"',
    "esd dev --demo": 'alone, until "esd events tail"',
    "esd config show": "alone",
    "esd events tail --from beginning": 'dev, until "UserRegisteredEvent"',
    "esd events tail --key": 'dev, until "watching security"',
    "esd dead-letters": "kafka",
    "source <(esd completion bash)": "alone",
    "esd completion fish": "alone",
    "esd man": "alone",
    "mkdir -p ~/.local/share/man/man1 && esd man": "alone",
}
# All others write something to stdout.
QUIET = (
    "esd partitions -o json | jq 'select(.state != \"STATE_SERVING\")'",
    "esd snapshot verify",
    "esd command send - < commands.jsonl > results.txt",
    "source <(",
    "esd completion fish >",
    "mkdir ",
)
# Commands whose examples begin with nobody registered.
WITHOUT_USERS = ("command send", "Examples")


@dataclasses.dataclass
class Examples:
    heading: str
    commands: list  # Blocks of one command each


def command_lines(block):
    """The commands of a block; one may go on over lines."""
    lines = block.text.replace("\\\n", "\\\0").splitlines()
    return [line.replace("\\\0", "\\\n") for line in lines]


def examples_of(page):
    """What can be typed, by the heading above it."""
    headings = {number: line for number, line in enumerate(page.read_text().splitlines(), 1) if line.startswith("#")}
    found = {}
    for block in blocks(page):
        heading = headings[max(number for number in headings if number < block.line)]
        if heading != SYNOPSIS:
            name = re.sub(r"^#+ |`|esd | \[?OPTIONS.*", "", heading)
            commands = [Block(block.page, block.line, "sh", None, line + "\n") for line in command_lines(block)]
            found.setdefault(name, Examples(name, [])).commands.extend(commands)
    return list(found.values())


EXAMPLES = examples_of(PAGE)


def how_of(command):
    """The longest beginning in HOW says."""
    matching = [beginning for beginning in HOW if command.text.startswith(beginning)]
    return HOW[max(matching, key=len)] if matching else "dev"


def as_shell(command):
    """For the one line that stands in a Dockerfile; and addresses that only exist in the text."""
    text = command.text
    if match := CONTAINER_HEALTH.match(text):
        text = shlex.join(json.loads(match[1])) + "\n"
    text = text.replace("broker:9092", "localhost:9092").replace("0.0.0.0:7070", free_address())
    return dataclasses.replace(command, text=text)


def command_json(type_name, command_id=None, **command):
    member = {} if command_id is None else {"id": command_id}
    return json.dumps({"type": type_name, **member, "command": command})


def seed_files(world):
    """What a reader has in his folders when he copies the commands."""
    lines = [command_json("RegisterUserCommand", f"line-{n}", name="Kim", email=f"line-{n}@bar.com") for n in range(3)]
    (world.home / "commands.jsonl").write_text("\n".join(lines) + "\n")
    (world.home / "esd.toml").write_text('bootstrap-servers = "localhost:9092"\ngroup = "esd"\n')
    (world.user_home / ".config/fish/completions").mkdir(parents=True)
    make_certificate(*(world.home / name for name in TLS_FILES))


def seed_users(world):
    """foo@bar.com with five events, and enough others for every partition to have some events."""
    lines = [command_json("RegisterUserCommand", name="Alex", email="foo@bar.com")]
    lines += [command_json("ChangeUserNameCommand", newName=f"Alex {n}", email="foo@bar.com") for n in range(4)]
    lines += [command_json("RegisterUserCommand", name="Kim", email=f"foo@{n}.bar.com") for n in range(200)]
    env = clean_environment(ESD_ADDRESS=world.engine("dev").grpc)
    subprocess.run(
        [BINARY, "command", "send", "-"], input="\n".join(lines), text=True, check=True, timeout=60, env=env,
        capture_output=True,
    )


def seed_dead_letters(world):
    """At the beginning of partitions 0 and 3 of topics of their own."""
    prefix = "cli-examples-"
    arguments = ["serve", "--bootstrap-servers", world.broker(), "--domain", "security", "--group", "cli-examples"]
    arguments += ["--topic-prefix", prefix, "--create-topics", "--partitions", "4"]
    engine = world.engines["kafka"] = Engine(BINARY, arguments, world.new_folder())
    line = "foo@bar.com:" + command_json("DropUserCommand", email="foo@bar.com") + "\n"
    for partition in (0, 3):
        send = ["kcat", "-P", "-b", world.broker(), "-t", prefix + "security-command", "-p", str(partition), "-K:"]
        subprocess.run(send, input=line, text=True, check=True, timeout=60)
    show = [BINARY, "dead-letters", "list", "-o", "json", "--address", engine.grpc]
    deadline = time.monotonic() + DEAD_LETTERS_TIMEOUT_S
    while len(letters := subprocess.run(show, capture_output=True, text=True, timeout=60).stdout.splitlines()) < 2:
        assert time.monotonic() < deadline, f"{len(letters)} dead letters\n{engine.log()}"
        time.sleep(0.05)


@pytest.mark.parametrize("examples", EXAMPLES, ids=lambda examples: examples.heading.replace(" ", "-"))
def test_the_examples_of_the_command_work(examples, world):
    seed_files(world)
    hows = [how_of(command) for command in examples.commands]
    if any(how.startswith("dev") for how in hows) and examples.heading not in WITHOUT_USERS:
        seed_users(world)
    if "kafka" in hows:
        seed_dead_letters(world)
    for command, how in zip(examples.commands, hows, strict=True):
        run = annotations.parse_run(how)
        if run is None:
            continue
        output = world.run(as_shell(command), run)
        assert output or command.text.startswith(QUIET), f"this shows nothing: {command.text}"
    for redirected in re.findall(r"> ([\w~./-]+)$", "".join(c.text for c in examples.commands), flags=re.MULTILINE):
        path = world.home / redirected.replace("~", str(world.user_home))
        assert path.read_text(), f"nothing was written to {redirected}"


def test_every_command_with_an_example_in_its_help_has_it_in_the_page():
    for examples in EXAMPLES:
        if examples.heading == "Examples":
            continue
        shown = subprocess.run(
            [BINARY, *examples.heading.split(" ")[:2], "--help"], capture_output=True, text=True, timeout=30
        ).stdout
        for command in examples.commands:
            for line in command.text.splitlines():
                assert f"  {line}\n" in shown, f"{examples.heading}: {line}"


def test_nothing_is_said_of_examples_that_are_not_there():
    commands = [command for examples in EXAMPLES for command in examples.commands]
    for beginning in (*HOW, *QUIET):
        assert any(command.text.startswith(beginning) for command in commands), beginning
    assert set(WITHOUT_USERS) <= {examples.heading for examples in EXAMPLES}


def test_an_example_that_nobody_knows_is_run_too(tmp_path, world):
    page = tmp_path / "page.md"
    page.write_text("## Synopsis\n\n```text\nesd x\n```\n\n### `esd health [OPTIONS]`\n\n```text\nesd health --wrong\n```\n")
    [examples] = examples_of(page)
    assert (examples.heading, [how_of(command) for command in examples.commands]) == ("health", ["dev"])
    with pytest.raises(AssertionError, match="exit code 2"):
        world.run(examples.commands[0], annotations.parse_run("dev"))
