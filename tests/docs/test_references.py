"""What the pages, compose.yaml and the Dockerfile say of the program is so."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from environment import BINARY, ROOT
from pages import blocks

sys.path.insert(0, str(ROOT / "tests/image"))
import dockerfile  # noqa: E402

OPERATING = (ROOT / "docs/operating.md").read_text()
# cli.md is written by the program, and so are the flags in it.
PAGES = [ROOT / "README.md", *(page for page in sorted(ROOT.glob("docs/*.md")) if page.name != "cli.md")]


def sources(*folders):
    """All source, with the literals that the formatter has split put together again."""
    texts = [path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.cc"))]
    return re.sub(r'"\s*\n\s*"', "", "".join(texts))


def table_after(comment):
    """The rows below `<!-- comment … -->`, without the head."""
    text = OPERATING.split(f"<!-- {comment}", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[3:]]


def help_of(*command):
    """Empty when there is no such command."""
    text = subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, timeout=30).stdout
    return text if f"Usage: {' '.join(['esd', *command])} " in text else ""


def test_every_metric_is_documented():
    in_code = set(re.findall(r'"(esd_[a-z_]+)"', (ROOT / "engine/base/metrics.cc").read_text()))
    assert {row[0].strip("`") for row in table_after("metrics")} == in_code


def test_alerts_use_metrics_that_there_are():
    names = {row[0].strip("`") for row in table_after("metrics")}
    [block] = [block for block in blocks(ROOT / "docs/operating.md") if block.annotation == "alerts"]
    for rule in yaml.safe_load(block.text)["groups"][0]["rules"]:
        used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"esd_[a-z_]+", rule["expr"])}
        assert used and used <= names, rule["alert"]


def test_the_settings_of_topics_are_those_that_are_made():
    """In the words of the page: 7 d, 64 MiB."""
    source = (ROOT / "engine/log/kafka/kafka_admin_topics.cc").read_text()
    rows = {row[0].strip("`"): " ".join(row[1:3]) for row in table_after("topics")}
    for topic, text, code in [
        ("security-command", "`retention.ms` 7 d", "return Deleted(7 * kDayMs);"),
        ("security-event", "`retention.ms` -1, `retention.bytes` -1", '{"retention.ms", "-1"}, {"retention.bytes", "-1"}'),
        ("security-snapshot", "`segment.bytes` 64 MiB", "return Compacted(64 * kMiB);"),
        ("security-snapshot", "`min.cleanable.dirty.ratio` 0.1", '{"min.cleanable.dirty.ratio", "0.1"}'),
        ("security-snapshot", "`delete.retention.ms` 1 d", '{"delete.retention.ms", std::to_string(kDayMs)}'),
        ("security-reply", "`retention.ms` 48 h", "return Deleted(48 * kHourMs);"),
        ("security-dead-letter", "`retention.ms` 14 d", "return Deleted(14 * kDayMs);"),
        ("esd-ownership", "`segment.bytes` 16 MiB", "Compacted(16 * kMiB)"),
    ]:
        assert text in rows[topic] and code in source, (topic, text)


def test_messages_under_trouble_are_the_programs():
    """Each piece between … of what stands in backquotes in the first column is in the source."""
    source = sources("engine", "cmd")
    rows = re.findall(r"^\| (.*?) \|", OPERATING.split("## Trouble", 1)[1], flags=re.MULTILINE)[2:]
    checked = [message for row in rows for message in re.findall(r"`([^`]+)`", row) if " " in message]
    assert len(checked) > 10
    for message in checked:
        for piece in message.split(" PARTITION_MOVING")[0].split("…"):
            assert piece.strip() in source, f"nobody says '{piece.strip()}'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_that_pages_name_are_there(page):
    """Of esd: those in code, in lines or paragraphs of prose."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    commands = [("serve",), ("dev",), ("topics", "create"), ("command", "send"), ("aggregate", "get"), ("snapshot", "verify")]
    known = set().union(*(re.findall(r"--[a-z][a-z-]+", help_of(*command)) for command in commands))
    others = {"--kafka", "--reset-offsets", "--to-earliest", "--topic", "--group", "--execute", "--time", "--help"}
    for code in re.findall(r"`([^`\n]+)`", prose):
        if re.match(r"scripts/|docker|kafka-", code):
            continue
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code):
            assert flag in known | others, f"{page.name}: `{code}`"


def test_files_that_pages_name_are_there():
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for path in re.findall(r"`((?:tests|engine|domain|cmd|proto|scripts|bench|docs)/[\w./-]+)`", prose):
            assert path.startswith("domain/account") or (ROOT / path).exists(), f"{page.name}: {path}"


def test_commands_of_the_synopsis_of_cli_md_are_there():
    """What is shown beyond that is run by test_cli_examples.py."""
    lines = blocks(ROOT / "docs/cli.md")[0].text.splitlines()
    assert len(lines) > 10
    for line in lines:
        command = re.match(r"esd ((?:[a-z][a-z-]* )+)", line)[1].split()
        text = help_of(*command)
        assert text and "SUBCOMMAND" not in text, f"cli.md: {line}"


# --- containers


def image():
    return dockerfile.parse((ROOT / "Dockerfile").read_text())


def test_the_image_sets_variables_that_the_program_knows():
    stage = image()[-1]
    flags = help_of("serve") + help_of("dev")
    for name in stage.environment():
        assert "--" + name.removeprefix("ESD_").lower().replace("_", "-") in flags, name
    assert dockerfile.exec_form(stage.last("ENTRYPOINT")) == ["esd"]
    assert help_of(*dockerfile.exec_form(stage.last("CMD"))), "esd doesn't know the image's command"
    assert stage.health_command()[0] == "esd" and help_of(*stage.health_command()[1:])
    assert stage.last("STOPSIGNAL") == "SIGTERM"


def test_the_image_copies_what_there_is():
    for stage in image():
        for source, paths, _ in stage.copies():
            assert source is None or source in {other.name for other in image()}
            for path in paths if source is None else ():
                assert (ROOT / path).exists(), path
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "build"} <= set(ignored), "they are large, and change the image for nothing"


def test_compose_starts_what_there_is():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    exposed = set(image()[-1].last("EXPOSE").split())
    for name in ("topics", "esd"):
        service = services[name]
        words = service["command"]
        flags = help_of(*[word for word in words if not word.startswith("-")][: 2 if words[0] == "topics" else 1])
        for flag in [word for word in words if word.startswith("--")]:
            assert flag in flags, f"{name}: {flag}"
        for variable in service.get("environment", {}):
            assert "--" + variable.removeprefix("ESD_").lower().replace("_", "-") in flags, f"{name}: {variable}"
        assert (ROOT / service["build"] / "Dockerfile").exists()
        for other, condition in service["depends_on"].items():
            assert other in services
            if condition["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
    for service in services.values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "what has no TLS is published to this machine only"
    assert {port.rpartition(":")[2] for port in services["esd"]["ports"]} <= exposed
    listeners = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert services["esd"]["environment"]["ESD_BOOTSTRAP_SERVERS"] in listeners


# --- the steps of writing a domain


def test_the_page_changes_the_program_as_it_is_built():
    """The list of domains in the page is the repository's and one more line, and the library is named."""
    page = (ROOT / "docs/writing-a-domain.md").read_text()
    [shown] = [b.text for b in blocks(ROOT / "docs/writing-a-domain.md") if b.annotation == "file: cmd/esd/domains.cc"]
    real = (ROOT / "cmd/esd/domains.cc").read_text()
    extra = [line for line in shown.splitlines() if "account" in line]
    assert "".join(line + "\n" for line in shown.splitlines() if line not in extra) == real
    assert "`esd_domain_account`" in page and "esd_domain_security" in (ROOT / "cmd/esd/CMakeLists.txt").read_text()


def test_shown_json_is_json():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "json" and block.annotation is None:
                json.loads(block.text)
            if block.language == "sh":
                shlex.split(block.text, comments=True)
