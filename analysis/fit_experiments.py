"""The experiments that fitting needs: of the paper's, the bars that a step is fitted to, and no others."""

from collections.abc import Sequence
from dataclasses import replace

from discotrace.analysis.fit_targets import Step
from discotrace.analysis.paper.experiments import EXPERIMENTS, Experiment


def experiments_of(steps: Sequence[Step]) -> list[Experiment]:
    """Experiments with the figures and bars of the steps. Their counts are those that the whole paper has too."""
    return [found for one in EXPERIMENTS if (found := _restricted(one, steps)).bars]


def _restricted(experiment: Experiment, steps: Sequence[Step]) -> Experiment:
    mine = [step for step in steps if experiment.trace.name in step.bars]
    labels = {label for step in mine for label in step.bars[experiment.trace.name]}
    return replace(
        experiment,
        figures=tuple(dict.fromkeys(step.figure for step in mine)),
        bars=tuple(bar for bar in experiment.bars if bar.label in labels),
    )
