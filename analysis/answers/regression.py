"""Analysis of variance where not every combination is there: by least squares. It is approximate.

The model has, of each number, a line and a parabola, of each other factor a value for each level, and products of two
factors; Montgomery, Design and Analysis of Experiments, chapter 10. What a factor does is what the model explains with
it beyond what it explains without it and without its products (sums of squares of type II; Langsrud, Statistics and
Computing 13, 2003). The shares need not add up to what the model explains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discotrace.analysis.answers.factors import (
    Codes,
    Factor,
    Floats,
    Interaction,
    Level,
    Main,
    Shares,
    ordered,
    pairs,
)
from discotrace.tracegen.errors import ConfigError

WIDE = 10.0  # a number that spans more than such a factor counts by its logarithm
MOST_LEVELS = 10  # of a factor that are told
POINTS_PER_TERM = 2  # fewer, and the model would follow the points instead of explaining them


@dataclass(frozen=True, eq=False)
class Term:
    """Columns of the model, [points, columns], each of mean 0 and length 1; and the factors that they are made of."""

    factors: frozenset[str]
    columns: Floats


def shares(factors: Sequence[Factor], figures: Floats) -> Shares:
    """Shares of the sum of squares. ``figures``: [points], not all the same. Raises ConfigError for too few points."""
    lines = {one.name: _line(one) for one in factors}
    main = [Term(frozenset([one.name]), _unit(_curve(one, lines[one.name]))) for one in factors]
    products = [
        Term(frozenset([first.name, second.name]), _unit(_products(lines[first.name], lines[second.name])))
        for first, second in pairs(factors)
    ]
    terms = _affordable(main, products, len(figures))
    model = _Model(terms, figures - figures.mean())
    told = [
        Main(one.name, model.adds(term), _levels(one, model.part(term), figures.mean()))
        for one, term in zip(factors, main, strict=True)
    ]
    interactions = [
        Interaction((first.name, second.name), model.adds(term))
        for (first, second), term in zip(pairs(factors), terms[len(main) :], strict=False)
    ]
    return ordered(told, interactions, 1 - model.explained(terms))


class _Model:
    """Least squares on any of the terms, from one matrix of their products."""

    def __init__(self, terms: Sequence[Term], deviations: Floats) -> None:
        whole = np.hstack([term.columns for term in terms])
        ends = np.cumsum([term.columns.shape[1] for term in terms])
        self._terms = list(terms)
        self._places = {
            term: np.arange(end - term.columns.shape[1], end) for term, end in zip(terms, ends, strict=True)
        }
        self._products = whole.T @ whole
        self._with_figure = whole.T @ deviations
        self._total = float(deviations @ deviations)

    def explained(self, terms: Sequence[Term]) -> float:
        """The share of the variance that these terms explain."""
        places, weights = self._solved(terms)
        return float(self._with_figure[places] @ weights) / self._total

    def adds(self, term: Term) -> float:
        """What a term explains beyond those that do not contain its factors."""
        others = [other for other in self._terms if not other.factors >= term.factors]
        return max(0.0, self.explained([*others, term]) - self.explained(others))

    def part(self, term: Term) -> Floats:
        """What a term of the whole model says of each point, [points]."""
        places, weights = self._solved(self._terms)
        own: Floats = term.columns @ weights[np.isin(places, self._places[term])]
        return own

    def _solved(self, terms: Sequence[Term]) -> tuple[Codes, Floats]:
        if not terms:
            return np.array([], np.int64), np.array([])
        places = np.concatenate([self._places[term] for term in terms])
        weights = np.linalg.lstsq(self._products[np.ix_(places, places)], self._with_figure[places], rcond=1e-10)[0]
        return places, weights


def _affordable(main: list[Term], products: list[Term], points: int) -> list[Term]:
    """The terms that so many points can tell apart: without the products if they are too many."""
    for terms in ([*main, *products], main):
        if points >= POINTS_PER_TERM * (1 + sum(term.columns.shape[1] for term in terms)):
            return terms
    needed = POINTS_PER_TERM * (1 + sum(term.columns.shape[1] for term in main))
    raise ConfigError(f"{points:,} points are too few to tell {len(main)} parameters apart, {needed:,} are needed")


def _line(one: Factor) -> Floats:
    """A factor as columns of mean 0, [points, columns]: a number as it is, another one by its levels."""
    if not one.is_numeric:
        levels = np.arange(1, one.count)
        return _centred((one.codes[:, None] == levels).astype(float))
    numbers = one.numbers
    if numbers.min() > 0 and numbers.max() >= WIDE * numbers.min():
        numbers = np.log(numbers)
    column = _centred(numbers[one.codes][:, None])
    column /= column.std()
    return column


def _curve(one: Factor, line: Floats) -> Floats:
    """The same with a parabola, for a number that has more than two levels."""
    return np.hstack([line, np.square(line)]) if one.is_numeric and one.count > 2 else line


def _products(first: Floats, second: Floats) -> Floats:
    products: Floats = first[:, :, None] * second[:, None, :]
    return products.reshape(len(first), -1)


def _unit(columns: Floats) -> Floats:
    """Columns of mean 0 and length 1; those that are constant are left out."""
    centred = _centred(columns)
    lengths = np.linalg.norm(centred, axis=0)
    kept = lengths > 1e-9 * np.sqrt(len(columns))
    unit: Floats = centred[:, kept] / lengths[kept]
    return unit


def _centred(columns: Floats) -> Floats:
    centred: Floats = columns - columns.mean(axis=0)
    return centred


def _levels(one: Factor, part: Floats, mean: float) -> list[Level]:
    """The mean at each level with the others as they are on average; of many levels some from the first to the last."""
    _, first_of_level = np.unique(one.codes, return_index=True)
    places = np.unique(np.linspace(0, one.count - 1, MOST_LEVELS).astype(int))
    return [Level(one.value(int(place)), float(mean + part[first_of_level[place]])) for place in places]
