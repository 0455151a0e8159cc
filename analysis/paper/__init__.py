"""The evaluation of the Disco paper, made again: experiments, comparisons, reports."""
