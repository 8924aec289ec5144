"""Run an experiment: its cells, each with the rate that was tuned for its row with the first seed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit_easy.errors import refuse_stranger
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.recipes.experiments import cells
from ulmfit_easy.recipes.experiments.draws import DATA_SETS, Draw, drawn, parts_of
from ulmfit_easy.recipes.experiments.paper import BASELINE, EXPERIMENTS, RATES
from ulmfit_easy.recipes.experiments.ways import Bench, Way

LABELS = (5, 10, 20, 50, 100, 250, 500, 1000)  # per class, of an experiment over numbers of labels


class Run:
    """An experiment on data sets. A column of it is a data set with a number of labels per class, such as `trec@100`.

    Args:
        name: of `EXPERIMENTS`.
        folder: where the data sets lie.
        data: their names in `DATA_SETS`.
        out: the file with a line of JSON for each cell.
        labels: labelled rows per class. None is as many as the data set's entry says.

    Raises: E404 for a data set that is not there, or if no language model for it is installed. E604 for names that
        are not known.
    """

    def __init__(self, name: str, folder: Path, data: Sequence[str], out: Path, labels: int | None = None):
        refuse_stranger("the experiment ", name, EXPERIMENTS)
        self.experiment, self.out, self.bench = EXPERIMENTS[name], out, Bench()
        self.parts, self.columns = {each: parts_of(folder, each) for each in data}, list[str]()
        ways = [row for row in self.experiment.rows.values() if isinstance(row, Way)]
        for lang, backwards in {(DATA_SETS[each].lang, way.backwards) for each in self.parts for way in ways}:
            self.bench.start(lang, backwards)  # an error before anything runs
        for each in self.parts:
            most = labels or DATA_SETS[each].per_class
            fewer = [n for n in reversed(LABELS) if n < most] if self.experiment.kind == "labels" else []
            self.columns += [f"{each}@{n}" for n in (most, *fewer)]  # the largest first, for it tunes the rates
        self.draw = lru_cache(maxsize=2)(self._draw)

    def __call__(self, seeds: int) -> None:
        """Run all cells that have no line yet, and those again that failed. The first seed of all comes first."""
        cells.run(self.cells(seeds), self.cell, self.out, again=True)

    def cells(self, seeds: int) -> Iterator[cells.Cell]:
        """Return the cells in the order to run them."""
        for seed in range(seeds):
            for column in self.columns:
                for row in (BASELINE, *self.experiment.rows):
                    yield cells.Cell(0, row, column, seed)

    def _draw(self, column: str, seed: int) -> Draw:
        name, _, n = column.partition("@")
        return drawn(self.parts[name], seed, int(n), DATA_SETS[name].lang)

    def cell(self, row: str, column: str, seed: int) -> dict[str, Any]:
        """Return the numbers of a cell. Its classifier reads the test rows once, at the end."""
        draw = self.draw(column, seed)
        texts, more = list(draw.test["text"]), dict[str, Any]()
        if row == BASELINE:
            said = baseline(draw.labelled["text"], draw.labelled["label"], lang=draw.lang).predict(texts)
        elif isinstance(rows := self.experiment.rows[row], tuple):
            learners = [self.bench.classifier(draw, self._tuned(each, column, draw)[0]).learner for each in rows]
            said = np.array(learners[0].dls.classes)[ensemble(learners, texts, warn=False).argmax(1)]
        else:
            way, more = self._tuned(row, column, draw)
            fitted = self.bench.classifier(draw, way)
            said = [found.label for found in fitted.learner.predict(texts)]
            more = {**more, "lr": way.lr, "valid_error": fitted.valid_error, "curve": fitted.curve}
        wrong = np.asarray(said, dtype=str) != draw.test["label"].to_numpy(dtype=str)
        return {"test_error": round(100 * float(wrong.mean()), 2), "n_train": len(draw.labelled), "n_test": len(texts),
                **more}

    def _tuned(self, row: str, column: str, draw: Draw) -> tuple[Way, dict[str, Any]]:
        """Return the way of a row with its rate, and the validation errors of the rates if they were tried for it.

        The first seed tries the rates with the most labels of a data set.
        """
        way = self.experiment.rows[row]
        assert isinstance(way, Way)
        if way.lr is not None:
            return way, {}
        name = column.partition("@")[0]
        first = next(each for each in self.columns if each.startswith(f"{name}@"))
        for line in cells.read(self.out):
            if (line["row"], line["column"], line["seed"]) == (row, first, 0) and "lr" in line:
                return replace(way, lr=line["lr"]), {}
        if (column, draw.seed) != (first, 0):
            raise LookupError(f"no rate: the cell of {row}, {first} and seed 0 has not run")
        tried = {lr: self.bench.classifier(draw, replace(way, lr=lr)).valid_error for lr in RATES}
        return replace(way, lr=min(tried, key=tried.__getitem__)), {"tried": tried}
