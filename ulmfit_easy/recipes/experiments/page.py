"""The page of an experiment: a table, a plot and a CSV file of the cells that have run."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import pandas as pd

from ulmfit_easy.files import write_bytes
from ulmfit_easy.recipes.experiments.draws import DATA_SETS
from ulmfit_easy.recipes.experiments.paper import BASELINE, DATA, RATES, Experiment
from ulmfit_easy.recipes.experiments.ways import BATCH, EPOCHS, LM_EPOCHS, LM_RATE, STEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAYS = "## What it says"
HEAD = """# {title}

```
ulmfit experiment {name} --folder FOLDER --data {data} --seeds {seeds}
```

{about}

Test error in per cent: the mean over the seeds ± their standard deviation, and the number of seeds. A seed draws the
labelled rows and everything random. At most 1,000 test rows are read, once for each cell. No test text is in any
other part, and nothing is chosen by test rows. One standard error of an error of 20 % is 1.8 points for the 500 test
rows of TREC-6, and 1.3 for 1,000.

What is pretrained is the language model that comes with the library, a small AWD-LSTM, and not the paper's. Unless
said above, stage 2 takes {lm_epochs} epoch at a rate of {lm_rate:g}, and stage 3 about {steps} batches of {batch} rows,
in {least} to {most} epochs. The rate of stage 3 is tuned for each row with the first seed, among {rates}.
A tenth of the training part, at most 300 rows that teach nothing, decides. With a flat schedule the best epoch on these
rows is kept, as in the paper.

{missing}![{title}]({stem}.png)

"""


def write_page(name: str, experiment: Experiment, lines: Sequence[dict], file: Path) -> None:
    """Write a page, with a plot and a CSV file of the same name. The words of a person below `SAYS` stay.

    Args:
        lines: the cells that have run, as `cells.read` gives them.
        file: the page, which ends in `.md`.
    """
    df = frame(lines)
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    rows = [row for row in (BASELINE, *experiment.rows) if row in set(df["row"])]
    missing = ", ".join(row for row in experiment.rows if row not in rows)
    text = HEAD.format(missing=f"Not run yet: {missing}.\n\n" if missing else "", title=experiment.title,
                       about=fill(experiment.about, 115), name=name, stem=file.stem, lm_rate=LM_RATE,
                       data=" ".join(df["data"].unique()), seeds=df["seed"].max() + 1,
                       lm_epochs=LM_EPOCHS, steps=STEPS, batch=BATCH, least=EPOCHS[0], most=EPOCHS[1],
                       rates=", ".join(f"{rate:g}" for rate in RATES))
    text += _by_labels(experiment, df, rows) if experiment.kind == "labels" else _table(experiment, df, rows)
    kinds = sorted({line["processor"] for line in lines})
    text += f"\nProcessor: {'; '.join(kinds)}. All cells, with their rates and seconds: [CSV]({file.stem}.csv).\n\n"
    write_bytes(file, (text + SAYS + (old.partition(SAYS)[2] or "\n")).encode())
    write_bytes(file.with_suffix(".csv"), df.to_csv(index=False).encode())
    _plot(experiment, df, rows, file.with_suffix(".png"))


def frame(lines: Sequence[dict]) -> pd.DataFrame:
    """Return a row for each cell. A curve is a string of numbers."""
    plain = ("test_error", "valid_error", "lr", "n_train", "n_test", "cpu_seconds")
    rows = [{"data": line["column"].partition("@")[0], "labels_per_class": int(line["column"].partition("@")[2]),
             "row": line["row"], "seed": line["seed"], **{name: line.get(name) for name in plain},
             "curve": " ".join(map(str, line.get("curve", ())))} for line in lines]
    return pd.DataFrame(rows)


def _panels(experiment: Experiment, df: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the name and the cells of each data set. Numbers of labels are apart, unless they are a curve."""
    keys = ["data"] if experiment.kind == "labels" else ["data", "labels_per_class"]
    return [(str(key[0]), of) for key, of in df.groupby(keys, sort=False)]


def _figure(of: pd.DataFrame) -> str:
    if not len(of):
        return ""
    spread = f" ± {of['test_error'].std():.1f}" if len(of) > 1 else ""
    return f"{of['test_error'].mean():.1f}{spread} ({len(of)})"


def _table(experiment: Experiment, df: pd.DataFrame, rows: Sequence[str]) -> str:
    """Return a line for each row, with its error, its rate and what the paper has, for each data set."""
    heads, lines = ["row"], [[row] for row in rows]
    for name, part in _panels(experiment, df):
        in_paper = bool(experiment.paper) and name in DATA
        heads += [f"{DATA_SETS[name].title}, {part['n_train'].max()} labels", "rate"]
        heads += ["the paper, all labels"] * in_paper
        for row, line in zip(rows, lines, strict=True):
            of = part[part["row"] == row]
            rates = of["lr"].dropna().unique()
            line += [_figure(of), f"{rates[0]:g}" if len(rates) else ""]
            if in_paper:
                line.append(f"{experiment.paper[row][DATA.index(name)]:.2f}" if row in experiment.paper else "")
    return _markdown([heads, *lines])


def _by_labels(experiment: Experiment, df: pd.DataFrame, rows: Sequence[str]) -> str:
    """Return a table for each data set, with a column for each number of labels."""
    text = ""
    for name, of in _panels(experiment, df):
        sizes = sorted(of["labels_per_class"].unique())
        totals = [of.loc[of["labels_per_class"] == n, "n_train"].max() for n in sizes]
        lines = [[row, *(_figure(of[(of["row"] == row) & (of["labels_per_class"] == n)]) for n in sizes)]
                 for row in rows]
        text += f"### {DATA_SETS[name].title}\n\n" + _markdown([["labels", *map(str, totals)], *lines]) + "\n"
    return text


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    first, *rest = (f"| {' | '.join(line)} |\n" for line in lines)
    return first + "|" + " - |" * len(lines[0]) + "\n" + "".join(rest)


def _plot(experiment: Experiment, df: pd.DataFrame, rows: Sequence[str], file: Path) -> None:
    """Draw a panel for each data set: errors as points with their spread, or curves over labels or epochs."""
    from matplotlib.figure import Figure

    panels = _panels(experiment, df)
    height = 1.2 + 0.36 * len(rows) if experiment.kind == "table" else 3.8
    fig = Figure(figsize=(5.6 * len(panels) + 1, height), layout="constrained")
    for ax, (name, of) in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw = {"table": _points, "labels": _over_labels, "epochs": _over_epochs}[experiment.kind]
        draw(ax, {row: of[of["row"] == row] for row in rows})
        ax.set_title(DATA_SETS[name].title + (f", {of['n_train'].max()} labels" if experiment.kind != "labels" else ""))
        ax.grid(alpha=0.3)
    fig.savefig(file, dpi=110)


def _points(ax: "Axes", cells: dict[str, pd.DataFrame]) -> None:
    for y, (row, of) in enumerate(cells.items()):
        spread = of["test_error"].std() if len(of) > 1 else 0
        ax.plot(of["test_error"], [y] * len(of), ".", color="0.7", zorder=0)
        color = "C7" if row == BASELINE else "C0"
        ax.errorbar(of["test_error"].mean(), y, xerr=spread, fmt="o", capsize=3, color=color)
    ax.set(yticks=range(len(cells)), yticklabels=list(cells), xlabel="test error (%)", ylim=(len(cells) - 0.5, -0.5))
    ax.set_xlim(left=0)


def _over_labels(ax: "Axes", cells: dict[str, pd.DataFrame]) -> None:
    labels = pd.concat(cells.values()).groupby("labels_per_class")["n_train"].max()  # seeds differ by a few texts
    for row, of in cells.items():
        errors = of.groupby("labels_per_class")["test_error"]
        ax.errorbar(labels[[*errors.groups]], errors.mean(), yerr=errors.std().fillna(0), marker="o", markersize=3,
                    capsize=2, label=row, linestyle="--" if row == BASELINE else "-")
    ax.set(xscale="log", xlabel="labelled texts", ylabel="test error (%)")
    ax.set_xticks(labels, labels)
    ax.minorticks_off()
    ax.legend(fontsize="small")


def _over_epochs(ax: "Axes", cells: dict[str, pd.DataFrame]) -> None:
    curves = {row: [[float(v) for v in text.split()] for text in of["curve"] if text] for row, of in cells.items()}
    for i, (row, several) in enumerate((row, several) for row, several in curves.items() if several):
        mean = pd.DataFrame(several).mean()
        ax.plot(mean.index + 1, mean, label=row, color=f"C{i % len(RATES)}",
                linestyle="-" if row.startswith("ULMFiT") else "--")
    ax.set(xlabel="epoch", ylabel="validation error (%)")
    ax.locator_params(axis="x", integer=True)
    ax.legend(fontsize="small")
