"""The completion scripts, in the shells that they are for."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess

import pytest

from engine_process import BINARY, DIE_WITH_PARENT
from waiting import wait_until

TIMEOUT_S = 30
LEVELS = {"trace", "debug", "info", "warning", "error"}
ON_TERMINALS = ("bash", "zsh", "zsh with _esd in $fpath")
SHELLS = (*ON_TERMINALS, "fish")


def esd(*args):
    return subprocess.run([BINARY, *args], check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout


def commands():
    """The words behind `esd`, as the manual has them."""
    return set(re.findall(r"^esd ([a-z][a-z-]*)", esd("man", "--markdown"), flags=re.MULTILINE))


def flags(*command):
    return set(re.findall(r"(?:^|,)\s*(--[a-z-]+)", esd(*command, "--help"), flags=re.MULTILINE))


class Fish:
    def __init__(self, folder, env):
        self.folder, self.env = folder, env

    def complete(self, line):
        script = "esd completion fish | source; complete -C $argv[1]"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script, line],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"fish ended with {done.returncode}: {done.stderr}"
        found = {word.partition("\t")[0] for word in done.stdout.splitlines()}
        # Of `--flag=value` it gives all, the others the value.
        flag, equals, _ = line.rpartition(" ")[2].partition("=")
        return {word.removeprefix(flag + equals) for word in found} if equals else found

    def close(self):
        pass


# What the shells write to $CAPTURED: `ready` when they take keys, `word X` for what they offer, and `line X` for the
# line that there is when Ctrl-T is pressed, which begins the next one.
BASHRC = r"""
PS1='' PROMPT_COMMAND='echo ready >> "$CAPTURED"; PROMPT_COMMAND='
bind 'set bell-style none'
source <(esd completion bash)
captured() {
  _esd "$@"
  ((${#COMPREPLY[@]} == 0)) || printf 'word %s\n' "${COMPREPLY[@]}" >> "$CAPTURED"
}
complete -F captured esd
next-line() { echo "line $READLINE_LINE" >> "$CAPTURED"; READLINE_LINE='' READLINE_POINT=0; }
bind -x '"\C-t": next-line'
"""
ZSHRC = """
PS1='' LISTMAX=10000
setopt no_auto_list no_auto_menu no_beep
fpath=("$ZDOTDIR" $fpath)
autoload -Uz compinit && compinit -u -D
[[ -e $ZDOTDIR/_esd ]] || source <(esd completion zsh)
compadd() {
  # Those only ask what would match.
  if [[ " ${@[1,(i)(-|--)]} " == *' -'[OAD]' '* ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -O offered "$@"
  (($#offered)) && print -rl -- "word "$^offered >> "$CAPTURED"
  builtin compadd "$@"
}
next-line() { print -r -- "line $BUFFER" >> "$CAPTURED"; BUFFER= }
zle-line-init() { print ready >> "$CAPTURED" }
zle -N next-line && zle -N zle-line-init && bindkey '^T' next-line
"""


class Interactive:
    """A shell on a terminal of its own, that gets keys."""

    def __init__(self, command, folder, env):
        self.captured = folder / "captured"
        self.captured.touch()
        self.screen = b""
        self.fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*DIE_WITH_PARENT, *command],
            cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**env, "CAPTURED": str(self.captured), "TERM": "dumb"},
        )
        os.close(theirs)
        self.await_line("ready")

    def await_line(self, beginning):
        """What was captured up to there."""

        def found():
            if select.select([self.fd], [], [], 0)[0]:
                self.screen += os.read(self.fd, 65536)
            text = self.captured.read_text()
            lines = text.splitlines()
            return lines if lines and lines[-1].startswith(beginning) and text.endswith("\n") else None

        return wait_until(found, TIMEOUT_S, lambda: f"'{beginning}' of {self.process.args}: {self.screen.decode()}")

    def type(self, keys):
        """What is offered meanwhile, and the line that they lead to."""
        self.captured.write_text("")
        os.write(self.fd, f"{keys}\x14".encode())
        *offered, line = self.await_line("line ")
        return {word.removeprefix("word ") for word in offered}, line.removeprefix("line ")

    def complete(self, line):
        return self.type(line + "\t")[0]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


def make_shell(kind, folder, env):
    if kind == "fish":
        return Fish(folder, env)
    if kind == "bash":
        (folder / "bashrc").write_text(BASHRC)
        return Interactive(["bash", "--noprofile", "--rcfile", folder / "bashrc", "-i"], folder, env)
    (folder / ".zshrc").write_text(ZSHRC)
    if kind == "zsh with _esd in $fpath":
        (folder / "_esd").write_text(esd("completion", "zsh"))
    return Interactive(["zsh", "-d", "-i"], folder, {**env, "ZDOTDIR": str(folder)})


def require(shell):
    assert shutil.which(shell), f"{shell} is not installed: run scripts/install-deps, or apt-get install {shell}"


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, tmp_path_factory):
    name = request.param.partition(" ")[0]
    require(name)
    folder = tmp_path_factory.mktemp(name)
    for file in ("server.pem", "other.key"):
        (folder / file).touch()
    env = {"HOME": str(folder), "LANG": "C.UTF-8", "PATH": f"{pathlib.Path(BINARY).parent}:{os.environ['PATH']}"}
    shell = make_shell(request.param, folder, env)
    yield shell
    shell.close()


def words(found):
    """Without the flags, which some shells offer beside them."""
    return {word for word in found if not word.startswith("-")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("esd comm", {"command"}),
        ("esd command ", {"send"}),
        ("esd dead-letters ", {"list", "replay"}),
        ("esd dead-letters re", {"replay"}),
        ("esd completion ", {"bash", "zsh", "fish"}),
        ("esd dead-letters list --rea", {"--reason"}),
        ("esd partitions --output ", {"text", "json"}),
        ("esd partitions -o j", {"json"}),
        ("esd partitions --output=", {"text", "json"}),
        ("esd serve --log-level ", LEVELS),
        ("esd serve --log-level d", {"debug"}),
        ("esd serve --log-level=d", {"debug"}),
        ("esd serve --workers 2 --history o", {"on", "off"}),
        ("esd serve --tls-cert ser", {"server.pem"}),
        ("esd serve --tls-cert=ser", {"server.pem"}),
        ("esd partitions --address ", set()),
        ("esd partitions --address=", set()),
        ("esd serve --kafka linger.ms=", set()),
        ("esd config show --log-level debug --log ", {"kafka", "embedded"}),
    ],
)
def test_what_can_stand_there_is_offered_and_nothing_else(shell, line, expected):
    found = shell.complete(line)
    assert (found if "--rea" in line else words(found)) == expected


def test_every_command_is_offered(shell):
    assert words(shell.complete("esd ")) == commands()


@pytest.mark.parametrize("command", [("topics", "create"), ("command", "send"), ("health",)])
def test_every_flag_of_a_command_is_offered(shell, command):
    assert shell.complete(f"esd {' '.join(command)} --") == flags(*command)


def test_a_value_that_is_a_commands_name_is_not_taken_for_one(shell):
    assert "--from" in shell.complete("esd events tail --key command --")
    assert words(shell.complete("esd events tail --key command ")) == set()


@pytest.mark.parametrize("shell", ON_TERMINALS, indirect=True)
def test_what_is_the_only_one_is_put_in(shell):
    assert shell.type("esd comm\tse\t")[1] == "esd command send "
    assert shell.type("esd partitions --outp\tj\t")[1] == "esd partitions --output json "
    assert shell.type("esd serve --tls-cert=ser\t")[1] == "esd serve --tls-cert=server.pem "


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_the_shell_finds_no_fault_with_the_script(shell_name, tmp_path):
    require(shell_name)
    script = tmp_path / "script"
    script.write_text(esd("completion", shell_name))
    done = subprocess.run([shell_name, "-n", script], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
