"""Sparse sums and their products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis import accounts
from discotrace.analysis.accounts import Amounts
from discotrace.analysis.pricing import KEYS, unit_ns
from tests.unit.analysis.waits import arranged, misses, priced, rows

PLACES, COLUMNS = 4, 3
entries = st.lists(st.tuples(st.integers(0, PLACES - 1), st.integers(0, COLUMNS - 1), st.integers(1, 100)), max_size=30)


def summed(given_entries: list[tuple[int, int, int]]) -> Amounts:
    columns = np.array(given_entries, np.int64).reshape(-1, 3).T
    return Amounts.summed(columns[0], columns[1], columns[2].astype(float), (PLACES, COLUMNS))


@given(entries, st.integers(0, 200))
def test_products_are_those_of_the_full_matrix(given_entries: list[tuple[int, int, int]], points: int) -> None:
    matrix = np.zeros((PLACES, COLUMNS))
    for place, column, amount in given_entries:
        matrix[place, column] += amount
    prices = np.random.default_rng(1).random((points, COLUMNS))
    assert summed(given_entries).times(prices) == pytest.approx(prices @ matrix.T)


@given(entries)
def test_a_product_is_the_same_to_the_last_digit_whatever_the_others_are(
    given_entries: list[tuple[int, int, int]],
) -> None:
    amounts, prices = summed(given_entries), np.random.default_rng(2).random((150, COLUMNS))
    together = amounts.times(prices)
    for point in (0, 63, 64, 149):
        assert (amounts.times(prices[point : point + 1])[0] == together[point]).all()


@given(entries)
def test_a_large_matrix_is_found_by_sorting_and_is_the_same(given_entries: list[tuple[int, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        by_table = summed(given_entries)
        patch.setattr(accounts, "TABLE", 0)
        by_sorting = summed(given_entries)
    assert by_table.begins.tolist() == by_sorting.begins.tolist()
    assert by_table.column.tolist() == by_sorting.column.tolist()
    assert by_table.amount.tolist() == by_sorting.amount.tolist()


def test_misses_of_an_account_wait_where_they_were_made() -> None:
    """CPU 0 misses 10 times at its own node; only what is waited for there and then counts."""
    one = arranged(misses(10, cpu=0, at=0), misses(20, cpu=1, at=0), rows("l2_load_hits", 5))
    account = one.account((one.cpu, 2))
    of_misses = np.zeros((1, one.intervals, 2, 3))
    of_misses[0, 0, 0, 0] = 7
    assert account.waiting_ns(of_misses).tolist() == [[70, 0]]
    assert account.unhindered_ns(unit_ns(priced())[None]).tolist() == [[10 * 300 + 5 * 50, 20 * 900]]


def test_an_account_of_some_counters_has_no_others() -> None:
    one = arranged(rows("instructions", 3), rows("l2_load_hits", 5))
    account = one.account((one.cpu, 2), only=one.price == KEYS.index("l2.hit_ns"))
    assert account.unhindered_ns(unit_ns(priced())[None]).tolist() == [[250, 0]]
