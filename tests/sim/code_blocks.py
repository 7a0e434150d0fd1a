"""The fenced blocks of README.md and docs/*.md, and what tests/code_blocks.toml says about them."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tomli

PROJECT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md")))]
#: Languages of fences. `text` is what a program prints, or a drawing; `console` shows commands behind a prompt.
LANGUAGES = {"sh", "console", "python", "systemverilog", "dts", "text"}
_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_PROMPT = re.compile(r"^(?:\w+)?\$ (.*)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its language, and what is in it."""

    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Commands of a shell, without comments."""
        lines = self.text.splitlines()
        if self.language == "console":
            lines = [found[1] for line in lines if (found := _PROMPT.match(line))]
        elif self.language != "sh":
            return []
        bare = (re.split(r"(?:^|\s)#\s", line)[0].strip() for line in lines)
        return [line for line in bare if line]


@dataclass(frozen=True)
class Entry:
    """How a command is run: `shell` in its place, nothing if it is empty."""

    shell: str
    why: str


def read(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


@cache
def blocks() -> tuple[Block, ...]:
    found = [(page, *match.groups()) for page in PAGES for match in _FENCE.finditer(read(page))]
    return tuple(Block(page, language, text) for page, language, text in found if not language.startswith("{"))


@cache
def commands() -> dict[str, str]:
    """Every command that stands on a page, once -> the first page that has it."""
    found: dict[str, str] = {}
    for block in blocks():
        for command in block.commands:
            found.setdefault(command, block.page)
    return found


@cache
def listed() -> dict:
    return tomli.loads((PROJECT / "tests" / "code_blocks.toml").read_text(encoding="utf-8"))


@cache
def entries() -> dict[str, Entry]:
    """Commands that are not run as they stand."""
    found: dict[str, Entry] = {}
    for entry in listed()["command"]:
        for line in entry["lines"]:
            assert line not in found, f"{line!r} is listed twice"
            found[line] = Entry(entry.get("run") or (added(line, entry["add"]) if "add" in entry else ""), entry["why"])
    return found


def added(command: str, option: str) -> str:
    """Return a command with one more option; `make` takes it in ARGS."""
    if not command.startswith("make "):
        return f"{command} {option}"
    found = re.search(r" ARGS=(?:'([^']*)'|(\S+))", command)
    if found is None:
        return f"{command} ARGS={option}"
    return command.replace(found[0], f" ARGS='{found[1] or found[2]} {option}'")


def programs(page: str, language: str = "python") -> list[str]:
    """Programs of a page that are run."""
    left_out = {(entry["page"], entry["begins"]) for entry in listed()["block"]}
    found = [block.text for block in blocks() if (block.page, block.language) == (page, language)]
    return [text for text in found if (page, text.splitlines()[0]) not in left_out]
