"""The command line as a whole: help, version, completion."""

import os
import subprocess
import sys

import pytest

from discotrace import cli
from discotrace.version import VERSION
from tests.cli.running import assert_refused, run

VERBS = [verb.__name__.replace("_", "-") for verb in (*cli.VERBS, cli.capture, cli.calibrate, cli.paper)]


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "discotrace", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_the_version_is_printed() -> None:
    assert run("--version") == (0, f"discotrace {VERSION}\n", "")


def test_the_module_runs_like_the_command() -> None:
    assert in_a_process("--version").stdout == run("--version").out


def test_without_a_verb_there_is_help() -> None:
    ended = run()
    assert "Usage" in ended.out + ended.err
    assert ended.code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_listed(verb: str) -> None:
    ended = run("--help")
    assert ended.code == 0
    assert verb in ended.out


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_verb_has_help(verb: str, option: str) -> None:
    ended = run(verb, option)
    assert (ended.code, ended.err) == (0, "")
    assert "Usage:" in ended.out
    assert "Options" in ended.out


def test_a_misspelt_verb_is_a_usage_error() -> None:
    assert_refused(run("repaly"), "repaly", "'replay'", "(see discotrace --help)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "Missing argument"),
        (["replay", "t.parquet", "--sytem", "native"], "No such option: --sytem"),
        (["replay", "t.parquet", "--window", "long"], "Invalid value for '--window'"),
        (["best", "sweep", "--minimize", "time", "--top", "0"], "Invalid value for '--top'"),
        (["price", "a.parquet", "b.parquet"], "unexpected extra argument"),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], message: str) -> None:
    assert_refused(run(*arguments), message, f"(see discotrace {arguments[0]} --help)")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(shell: str) -> None:
    """The shell is found among the parent processes, and asked of nobody when it is named like this."""
    ended = in_a_process("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert ended.returncode == 0
    assert "discotrace" in ended.stdout


def test_completion_knows_the_verbs() -> None:
    script = "import sys; from discotrace.cli import main; sys.argv = ['discotrace']; main()"
    asked = {"_DISCOTRACE_COMPLETE": "complete_bash", "COMP_WORDS": "discotrace sh", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | asked)
    assert ended.stdout.split() == ["show-config"]
