"""Every command of the pages is run, and gives what the page says."""

import re

import pytest

import annotations
from environment import ROOT
from pages import blocks

ALL = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# cli.md is written by the program and held against it by a test of its own; test_cli_examples.py runs its commands.
PAGES = [page for page in ALL if page.name != "cli.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_how_it_is_tested(page):
    for block in blocks(page):
        annotations.check(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_the_page_work(page, world):
    output, failures = None, []
    for block in blocks(page):
        annotation = block.annotation or ""
        if annotation.startswith("run: "):
            run = annotations.parse_run(annotation.removeprefix("run: "))
            try:
                output = run and world.run(block, run)
            except AssertionError as error:
                output = None
                failures.append(f"{block.where()}: {error}")
        elif annotation == "output" and output is not None and not annotations.matches(block.text, output):
            failures.append(f"{block.where()}: the page shows\n{block.text}--- and this came\n{output}")
    logs = [f"--- log of {kind}\n{engine.log()}" for kind, engine in world.engines.items()]
    assert not failures, "\n\n".join(["", *failures, *logs])


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"https?:", path):
            continue
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name}: {target} leads nowhere"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name}: {target}: {file.name} has no such heading"


def anchors(page):
    """As GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- the rules themselves


def block_of(text, folder):
    page = folder / "page.md"
    page.write_text(text)
    return blocks(page)[0]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nls\n```\n",
        "<!-- run: dev -->\nwords\n\n```sh\nls\n```\n",
        "<!-- run: sometimes -->\n```sh\nls\n```\n",
        "<!-- run: no, because -->\n```sh\nls\n```\n",
        "<!-- run: no, because: tests/nothing.py -->\n```sh\nls\n```\n",
        "<!-- run: dev, quickly -->\n```sh\nls\n```\n",
        "<!-- run: dev -->\n```text\nls\n```\n",
    ],
)
def test_a_block_that_nobody_tests_is_an_error(text, tmp_path):
    with pytest.raises(ValueError):
        annotations.check(block_of(text, tmp_path))


def test_a_command_that_fails_is_an_error(tmp_path, world):
    with pytest.raises(AssertionError, match="exit code 3"):
        world.run(block_of("<!-- run: broker -->\n```sh\nexit 3\n```\n", tmp_path), annotations.Run("alone"))


def test_output_is_compared():
    assert annotations.matches("a…c\n…\nz\n", "abc\n1\n2\nz\n")
    assert annotations.matches("a…c\n…\nz\n", "ac\nz")
    assert not annotations.matches("a…c\n", "ab\n")
    assert not annotations.matches("a\n", "a\nb\n")
    assert not annotations.matches("a.c\n", "abc\n")
