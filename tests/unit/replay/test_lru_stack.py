"""The LRU stack against a plain list: depths, holes, times that are numbered anew, stacks that grow."""

import random
from collections import Counter

import numpy as np
import pytest

from discotrace.replay.kernels.lru_stack import (
    ACCESSES,
    COLD,
    HOLES,
    MARKS,
    NAMES,
    LruStack,
    forget_names,
    move_stack,
    new_stack,
    see_accesses,
)
from discotrace.replay.kernels.state import U64

Name = tuple[int, int]

A, B, C, D = (1, 0), (2, 0), (1, 1), (1 << 63, (1 << 64) - 1)


class Stack:
    """The stack under test, which begins with hardly any room."""

    def __init__(self, times: int = 8) -> None:
        self.arrays = new_stack(times)

    def see(self, *names: Name) -> None:
        words, seen = as_words(names), 0
        while (seen := see_accesses(self.arrays, words, seen, len(names))) < len(names):
            self.move(2 * len(self.arrays.depths))

    def forget(self, *names: Name) -> None:
        forget_names(self.arrays, as_words(names))

    def move(self, times: int) -> None:
        larger = new_stack(times)
        move_stack(self.arrays, larger)
        self.arrays = larger

    @property
    def depths(self) -> dict[int, int]:
        return {int(depth): int(self.arrays.depths[depth]) for depth in np.flatnonzero(self.arrays.depths)}

    def number(self, which: int) -> int:
        return int(self.arrays.numbers[which])


class PlainStack:
    """The same as a list, most recent first; None is a hole."""

    def __init__(self) -> None:
        self.names: list[Name | None] = []
        self.depths: Counter[int] = Counter()
        self.cold = 0

    def see(self, name: Name) -> None:
        hole = self.names.index(None) if None in self.names else len(self.names)
        if name not in self.names:
            self.cold += 1
            self.names[hole : hole + 1] = []
        else:
            depth = self.names.index(name)
            self.depths[depth] += 1
            self.names[depth] = None
            del self.names[min(hole, depth)]
        self.names.insert(0, name)

    def forget(self, name: Name) -> None:
        if name in self.names:
            self.names[self.names.index(name)] = None


def as_words(names: tuple[Name, ...]) -> U64:
    return np.array(names, np.uint64).ravel()


def test_the_first_access_is_cold_and_the_next_one_at_the_top() -> None:
    stack = Stack()
    stack.see(A, A, A)
    assert (stack.depths, stack.number(COLD), stack.number(ACCESSES)) == ({0: 2}, 1, 3)


def test_the_depth_is_how_many_others_came_between_however_often() -> None:
    stack = Stack()
    stack.see(A, B, C, B, C, B, A)
    assert stack.depths == {1: 3, 2: 1}


def test_both_words_tell_names_apart() -> None:
    stack = Stack()
    stack.see(A, C, D, A, C, D)
    assert (stack.depths, stack.number(COLD)) == ({2: 3}, 3)


def test_a_forgotten_name_is_cold_again() -> None:
    stack = Stack()
    stack.see(A)
    stack.forget(A)
    stack.see(A)
    assert (stack.depths, stack.number(COLD), stack.number(NAMES)) == ({}, 2, 1)


def test_to_forget_what_is_not_there_changes_nothing() -> None:
    stack = Stack()
    stack.see(A, B)
    stack.forget(C)
    stack.forget(B, B)
    stack.see(A)
    assert (stack.depths, stack.number(HOLES)) == ({1: 1}, 1)


def test_a_free_place_stays_where_it_is_until_something_comes_from_below() -> None:
    """Two places: after B went, one is free, so C comes in and A stays."""
    stack = Stack()
    stack.see(A, B)
    stack.forget(B)
    stack.see(C, A)
    assert stack.depths == {1: 1}
    assert stack.number(HOLES) == 0


def test_what_comes_up_from_below_a_hole_leaves_one_at_its_place() -> None:
    """A comes up past the hole that B left: memories of two places are full then, larger ones have one free."""
    stack = Stack()
    stack.see(A, B, C)
    stack.forget(B)
    stack.see(A)
    assert (stack.depths, stack.number(HOLES), stack.number(MARKS)) == ({2: 1}, 1, 3)
    stack.see(D, C, A)
    assert stack.depths == {2: 3}


@pytest.mark.parametrize("seed", range(40))
def test_it_does_what_a_plain_list_does(seed: int) -> None:
    """Few names run out of times, many make it grow; it is moved now and then besides."""
    choose = random.Random(seed)
    names = [(choose.getrandbits(64), choose.getrandbits(2)) for _ in range(choose.choice((1, 3, 10, 60)))]
    stack, plain = Stack(), PlainStack()
    for _ in range(600):
        name, what = choose.choice(names), choose.random()
        if what < 0.1:
            stack.forget(name)
            plain.forget(name)
        elif what < 0.11:
            stack.move(2 * len(stack.arrays.depths) if len(stack.arrays.depths) < 1024 else 1024)
        else:
            stack.see(name)
            plain.see(name)
    assert stack.depths == plain.depths
    assert stack.number(COLD) == plain.cold
    assert stack.number(MARKS) == len(plain.names)
    assert stack.number(HOLES) == plain.names.count(None)
    assert stack.number(ACCESSES) == plain.cold + plain.depths.total()


def test_its_arrays_follow_the_names_and_not_the_accesses() -> None:
    stack = Stack(64)
    names = tuple((n, 0) for n in range(20))
    for _ in range(100):
        stack.see(*names)
    assert len(stack.arrays.depths) == 64
    assert stack.depths == {19: 99 * 20}


def test_a_stack_says_where_it_has_no_room() -> None:
    stack: LruStack = new_stack(8)
    words = as_words(tuple((n, 0) for n in range(9)))
    assert see_accesses(stack, words, 0, 9) == 4
    assert stack.numbers[ACCESSES] == 4
