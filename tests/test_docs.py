"""The documentation names every verb, option and key, and names none that does not exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from discotrace.analysis.configuration import PRICE_KEYS, STRUCTURAL_KEYS, load
from discotrace.cli import app
from discotrace.replay.counts import EVENT_NAMES
from discotrace.tracegen.schema import Kind, Privileged, Service

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md")}
DOCS = {name: path.read_text() for name, path in PAGES.items()}
CLI = DOCS["cli.md"]
HELP = {"--help", "-h"}

KEY_ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| (structural|price) \| [^|]+ \| [^|]+ \| `([^`]+)` \| [^|]+ \|$", re.M)


def options() -> dict[str, set[str]]:
    """Names of the options of every verb, and under "" those of the application."""
    group = typer.main.get_command(app)
    names = {"": {name for option in group.params for name in option.opts}}
    for verb, command in group.commands.items():  # type: ignore[attr-defined]
        given = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        names[verb] = {name for name in given if name.startswith("-")}
    return {verb: found - HELP for verb, found in names.items()}


OPTIONS = options()
VERBS = sorted(verb for verb in OPTIONS if verb)


def section(verb: str) -> str:
    """What docs/cli.md says of a verb; of the application, what stands before all verbs."""
    parts = re.split(r"(?m)^## discotrace (\S+)$", CLI)
    return dict(zip(("", *parts[1::2]), parts[::2], strict=True))[verb]


def examples() -> list[str]:
    """Every command line of ours in a code block of the documentation, up to a pipe or a redirection."""
    lines = [line for text in DOCS.values() for line in re.findall(r"(?m)^(?:    )?(discotrace .*)$", text)]
    return [re.split(r" [|>] ", line.removesuffix("\\"))[0] for line in lines]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_section_and_an_example(verb: str) -> None:
    assert f"    discotrace {verb} " in section(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_the_readme_names_every_verb(verb: str) -> None:
    assert f"discotrace {verb}" in DOCS["README.md"]


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_is_explained_where_its_verb_is(verb: str) -> None:
    rows = [line for line in section(verb).splitlines() if line.startswith("| `-")]
    explained = {name for row in rows for name in re.findall(r"`(-[-\w]+)`", row.split("|")[1])}
    assert explained == OPTIONS[verb]


def test_every_verb_is_in_the_table_of_verbs() -> None:
    assert re.findall(r"\| \[`([-\w]+)`\]\(#discotrace-\1\)", CLI) == re.findall(r"(?m)^## discotrace (\S+)$", CLI)


@pytest.mark.parametrize("example", sorted(set(examples())))
def test_examples_use_what_exists(example: str) -> None:
    words = shlex.split(example, comments=True)[1:]
    if words[0].startswith("-") or words[0].isupper():
        return
    assert words[0] in VERBS
    own = words[1 : words.index("--") if "--" in words else None]
    given = {word.partition("=")[0] for word in own if word.startswith("-")}
    assert given <= OPTIONS[words[0]] | HELP


def test_every_key_is_explained_with_its_sort_and_its_value() -> None:
    configuration = load("flash").to_tables()
    expected = {
        (table, key): (sort, value)
        for sort, keys in (("structural", STRUCTURAL_KEYS), ("price", PRICE_KEYS))
        for table, names in keys.items()
        for key in names
        for value in [configuration[table][key]]
    }
    explained = {
        (table, key): (sort, tomllib.loads(f"value = {value}")["value"])
        for table, key, sort, value in KEY_ROW.findall(DOCS["configuration.md"])
    }
    assert explained == expected


def test_every_event_is_in_the_model() -> None:
    """Names that end alike stand in braces there: l2_{fetch,load,store}_hits."""
    text = DOCS["model.md"]
    for pattern in re.findall(r"`(\w+)_\{([\w,]+)\}_(?:\{([\w,]+)\}|(\w+))`", text):
        start, middles, ends, end = pattern
        text += "".join(f" {start}_{m}_{e}" for m in middles.split(",") for e in (ends or end).split(","))
    missing = [event for event in EVENT_NAMES if event not in text]
    shortened = {"upgrades_remote", "writebacks_remote", "dirty_remote", "file_writes", "file_write_bytes"}
    assert set(missing) <= shortened


@pytest.mark.parametrize("names", [Kind, Service, Privileged])
def test_every_number_of_the_format_is_in_its_description(names: type) -> None:
    for member in names:  # type: ignore[attr-defined]
        assert re.search(rf"\b{member.name}\b\D{{1,4}}{member.value}\b", DOCS["trace-format.md"]), member


@pytest.mark.parametrize("name", DOCS)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", DOCS[name]):
        if "://" not in target:
            assert (PAGES[name].parent / target).exists(), target
    for target in re.findall(r"`((?:docs/|tests/|analysis/|replay/|monitor/|tracegen/)[\w/.-]+\.\w+)`", DOCS[name]):
        assert (ROOT / target).exists(), target
