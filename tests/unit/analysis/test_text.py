"""Small text forms."""

import tomllib

import pytest

from discotrace.analysis.text import figure, toml_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (1234567.8, "1,234,568"),
        (123.4, "123"),
        (100, "100"),
        (99.94, "99.9"),
        (12.34, "12.3"),
        (9.994, "9.99"),
        (1, "1.00"),
        (0.9994, "0.999"),
        (0.01234, "0.0123"),
        (0.001, "0.001"),
        (-12.34, "-12.3"),
    ],
)
def test_figure__about_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_toml__says_what_it_was_given() -> None:
    tables: dict[str, dict[str, object]] = {
        "one": {"whole": 3, "fraction": 0.5, "small": 1e-9, "large": 1e30, "yes": True, "no": False},
        "two": {"text": "first-touch", "list": [0, 3], "none": []},
        "empty": {},
    }
    assert tomllib.loads(toml_of(tables)) == tables
