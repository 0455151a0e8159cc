"""Where the values of a machine file come from."""

import tomllib

from discotrace.analysis.value_sources import changed, sources_of, toml_with_sources, unverified

TEXT = """# All of it.

[cpu]
count = 1         # CPUs; printed
clock_mhz = 400.0
[memory]          # of all nodes
local_ns = 300.0  # ns; S 5.1
                  # and table 2. Unverified
# for itself
remote_ns = 9     # ns; ours
page_kib = 4      # KiB; yours
"""


def test_the_comment_beside_a_key_is_its_source() -> None:
    assert sources_of(TEXT) == {
        "cpu.count": "CPUs; printed",
        "memory.local_ns": "ns; S 5.1 and table 2. Unverified",
        "memory.remote_ns": "ns; ours",
        "memory.page_kib": "KiB; yours",
    }


def test_unverified__is_what_says_so_or_is_ours() -> None:
    assert unverified(sources_of(TEXT)) == ["memory.local_ns", "memory.remote_ns"]


def test_what_is_changed_has_another_source() -> None:
    sources = changed(sources_of(TEXT), [" cpu.clock_mhz = 3"])
    assert sources["cpu.clock_mhz"] == "given with --set"
    assert sources["cpu.count"] == "CPUs; printed"


def test_toml__has_the_source_behind_each_value() -> None:
    plain = "[cpu]\ncount = 1\nclock_mhz = 400.0\n\n[memory]\nlocal_ns = 300.0\n"
    text = toml_with_sources(plain, sources_of(TEXT))
    assert tomllib.loads(text) == tomllib.loads(plain)
    assert "count = 1  # CPUs; printed\nclock_mhz = 400.0\n" in text
    assert sources_of(text)["memory.local_ns"] == sources_of(TEXT)["memory.local_ns"]
