"""A kind of study: its figures, tables and findings, computed from the results of its runs.

A file of this package is one kind: a class that is registered under the `kind` of params.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping

from kelvin.config.registry import Registry
from kelvin.config.schema import RunConfig
from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import Row, Table
from kelvin.report.kit.words import flags, ranking, score, unanswered, verdicts
from kelvin.report.parts import grids
from kelvin.report.results import Results, Run, StudyResults

studies = Registry("study")


class Study:
    """One study with its results. A kind overrides what it shows.

    records, costs: by run, of all runs. count: of training seeds. interval: what the brackets beside a
    value are.
    """

    least = 3  # runs that it compares at least: with fewer it is one line of the page
    ranked = False  # its findings open with the ranking by FMD, and not with its own answer
    tested = True  # its runs are tested against its first one
    variety = False  # its numbers are taken of all test images and of all that its runs start from

    def __init__(self, study: StudyResults, results: Results, records: Mapping[str, Row],
                 costs: Mapping[str, Row]) -> None:
        self.study, self.results, self.records, self.costs = study, results, records, costs
        self.name, self.runs, self.trained = study.name, study.runs, study.trained
        self.count, self.level = len(results.replicates), results.plan.metrics.confidence
        self.interval = (f"{100 * self.level:.0f} % interval over "
                         f"{'images' if self.count == 1 else 'training seeds'}")

    @staticmethod
    def faults(name: str, runs: Mapping[str, RunConfig]) -> list[str]:
        """Sentences on what is wrong with the runs that params.yaml gives the study `name`."""
        return []

    def figures(self) -> list[Figure | None]:
        """In reading order; called only with a trained run."""
        return []

    def tables(self) -> list[Table | None]:
        """Tables that the page shows with the study."""
        return []

    def files(self) -> list[Table | None]:
        """Tables that are written but not shown on the page."""
        return []

    def findings(self) -> list[str]:
        """Paragraphs computed from the numbers."""
        return []

    def is_large(self, most: int) -> bool:
        """Whether it has enough runs to compare. most: runs of the page's largest study; where that has
        fewer than three, one is enough."""
        return len(self.runs) >= (self.least if most >= Study.least else 1)

    @property
    def base(self) -> Run | None:
        """The run that the others are compared with, the first of params.yaml; None where it is not
        active."""
        return self.runs[0] if self.runs and self.runs[0].name == self.study.study.runs[0] else None

    def page_figures(self) -> list[Figure]:
        """Its figures; where its runs are folders of images, their samples."""
        if self.trained:
            return [figure for figure in self.figures() if figure]
        return [self.samples()] if self.runs else []

    def paragraphs(self) -> list[str]:
        """The ranking or the study's own answer, then findings, tests, flags, and missing runs."""
        missing = unanswered(self.study.missing, self.runs)
        if not self.runs:
            return missing
        scores = [score(run, self.records[run.name]) for run in self.runs]
        own = self.findings()
        head = ranking(scores, self.level) if self.ranked or not own else [own.pop(0)]
        tests = verdicts(scores[0], scores[1:], self.level) if self.tested and self.base else []
        return [" ".join(head), *own, *tests, *flags(scores), *missing]

    def samples(self) -> Figure:
        """The first samples of its runs."""
        return grids.final_figure(self.name, self.runs)


def answers(results: Results, records: Mapping[str, Row], costs: Mapping[str, Row]) -> list[Study]:
    """Every study of params.yaml, by its kind."""
    return [studies.find(study.study.kind)(study, results, records, costs) for study in results.studies]
