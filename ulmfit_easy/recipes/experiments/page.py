"""The page of an experiment: a table, a plot and a CSV file of the cells that have run."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ulmfit_easy.files import write_bytes
from ulmfit_easy.recipes.experiments.draws import DATA_SETS
from ulmfit_easy.recipes.experiments.paper import BASELINE, DATA, RATES, Experiment
from ulmfit_easy.recipes.experiments.ways import BATCH, EPOCHS, LM_EPOCHS, LM_RATE, STEPS

SAYS = "## What it says"
HEAD = """# {title}

```
{typed}
```

Error in per cent on at most 1,000 test rows, the mean over the seeds ± their standard deviation, after it the number
of seeds. A seed draws the labelled rows and everything random. No test text is in any other part, and nothing is
chosen by test rows. {about}

All begin with the language model that comes with the library, a small AWD-LSTM, not with the paper's. Stage 2 takes
{lm_epochs} epoch at a rate of {lm_rate:g}, stage 3 about {steps} batches of {batch} rows in {least} to {most} epochs.
Its rate is tuned for each row with the first seed, among {rates}, by a tenth of the training part. These rows, at most
300, teach nothing. With a flat schedule the best epoch on them is kept, as in the paper.
One standard error of an error of 20 % is 1.8 points for the 500 test rows of TREC-6, and 1.3 for 1,000.

![{title}]({name}.png)

"""


def write_page(experiment: Experiment, lines: Sequence[dict], file: Path, typed: str) -> None:
    """Write a page, with a plot and a CSV file of the same name. The words of a person below `SAYS` stay.

    Args:
        lines: the cells, as `cells.read` gives them.
        file: the page, which ends in `.md`.
        typed: the command, for the page.
    """
    df = frame(lines)
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    rows = [row for row in (BASELINE, *experiment.rows) if row in set(df["row"])]
    text = HEAD.format(title=experiment.title, about=experiment.about, typed=typed, name=file.stem, lm_rate=LM_RATE,
                       lm_epochs=LM_EPOCHS, steps=STEPS, batch=BATCH, least=EPOCHS[0], most=EPOCHS[1],
                       rates=", ".join(f"{rate:g}" for rate in RATES))
    text += _by_labels(df, rows) if experiment.kind == "labels" else _table(experiment, df, rows)
    kinds = sorted({line["processor"] for line in lines})
    text += f"\nProcessor: {'; '.join(kinds)}. All cells, with their rates and seconds: [CSV]({file.stem}.csv).\n\n"
    write_bytes(file, (text + SAYS + (old.partition(SAYS)[2] or "\n")).encode())
    write_bytes(file.with_suffix(".csv"), df.to_csv(index=False).encode())
    _plot(experiment, df, rows, file.with_suffix(".png"))


def frame(lines: Sequence[dict]) -> pd.DataFrame:
    """Return a row for each cell that did not fail. A curve is a string of numbers."""
    rows = [{"data": line["column"].partition("@")[0], "labels_per_class": int(line["column"].partition("@")[2]),
             "row": line["row"], "seed": line["seed"], **{k: line.get(k) for k in (
                 "test_error", "valid_error", "lr", "n_train", "n_test", "cpu_seconds")},
             "curve": " ".join(map(str, line.get("curve", ())))} for line in lines if "error" not in line]
    columns = ["data", "labels_per_class", "row", "seed", "test_error", "valid_error", "lr", "n_train", "n_test",
               "cpu_seconds", "curve"]
    return pd.DataFrame(rows, columns=columns)


def _figure(of: pd.DataFrame) -> str:
    if not len(of):
        return ""
    spread = f" ± {of['test_error'].std():.1f}" if len(of) > 1 else ""
    return f"{of['test_error'].mean():.1f}{spread} ({len(of)})"


def _table(experiment: Experiment, df: pd.DataFrame, rows: Sequence[str]) -> str:
    """Return a line for each row, with its error, its rate and what the paper has, for each data set."""
    data, heads, lines = list(dict.fromkeys(df["data"])), ["row"], []
    for name in data:
        n = df.loc[df["data"] == name, "n_train"].max()
        heads += [f"{DATA_SETS[name].title}, {n} labels", "rate"]
        heads += ["the paper, all labels"] if experiment.paper and name in DATA else []
    for row in rows:
        line = [row]
        for name in data:
            of = df[(df["data"] == name) & (df["row"] == row)]
            rates = of["lr"].dropna().unique()
            line += [_figure(of), f"{rates[0]:g}" if len(rates) else ""]
            if experiment.paper and name in DATA:
                line.append(f"{experiment.paper[row][DATA.index(name)]:.2f}" if row in experiment.paper else "")
        lines.append(line)
    return _markdown([heads, *lines])


def _by_labels(df: pd.DataFrame, rows: Sequence[str]) -> str:
    """Return a table for each data set, with a column for each number of labels."""
    text = ""
    for name, of in df.groupby("data", sort=False):
        sizes = sorted(of["labels_per_class"].unique())
        totals = [of.loc[of["labels_per_class"] == n, "n_train"].max() for n in sizes]
        lines = [[row, *(_figure(of[(of["row"] == row) & (of["labels_per_class"] == n)]) for n in sizes)]
                 for row in rows]
        text += f"### {DATA_SETS[str(name)].title}\n\n" + _markdown([["labels", *map(str, totals)], *lines]) + "\n"
    return text


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    first, *rest = (f"| {' | '.join(line)} |\n" for line in lines)
    return first + "|" + " - |" * len(lines[0]) + "\n" + "".join(rest)


def _plot(experiment: Experiment, df: pd.DataFrame, rows: Sequence[str], file: Path) -> None:
    """Draw a panel for each data set: errors as points with their spread, or curves over labels or epochs."""
    from matplotlib.figure import Figure

    data = list(dict.fromkeys(df["data"]))
    height = 3.8 if experiment.kind != "table" else 1.2 + 0.36 * len(rows)
    fig = Figure(figsize=(5.6 * max(1, len(data)) + 1, height), layout="constrained")
    for ax, name in zip(fig.subplots(1, max(1, len(data)), squeeze=False)[0], data, strict=False):
        of = df[df["data"] == name]
        groups = {row: of[of["row"] == row] for row in rows}
        if experiment.kind == "table":
            for y, (row, part) in enumerate(groups.items()):
                spread = part["test_error"].std() if len(part) > 1 else 0
                ax.errorbar(part["test_error"].mean(), y, xerr=spread, fmt="o", capsize=3, color="C7" if row == BASELINE
                            else "C0")
                ax.plot(part["test_error"], [y] * len(part), ".", color="0.7", zorder=0)
            ax.set(yticks=range(len(rows)), yticklabels=rows, xlabel="test error (%)", ylim=(len(rows) - 0.5, -0.5))
            ax.set_xlim(left=0)
        elif experiment.kind == "labels":
            for row, part in groups.items():
                by_n = part.groupby("n_train")["test_error"]
                ax.errorbar(by_n.mean().index, by_n.mean(), yerr=by_n.std().fillna(0), marker="o", markersize=3,
                            capsize=2, label=row, linestyle="--" if row == BASELINE else "-")
            ax.set(xscale="log", xlabel="labelled texts", ylabel="test error (%)")
            ax.legend(fontsize="small")
        else:
            for i, (row, part) in enumerate((row, part) for row, part in groups.items() if part["curve"].any()):
                mean = part["curve"].map(lambda text: [float(v) for v in text.split()]).pipe(
                    lambda curves: pd.DataFrame(curves.tolist())).mean()
                ax.plot(mean.index + 1, mean, label=row, color=f"C{i % len(RATES)}",
                        linestyle="-" if row.startswith("ULMFiT") else "--")
            ax.set(xlabel="epoch", ylabel="validation error (%)")
            ax.legend(fontsize="small")
        ax.set_title(DATA_SETS[name].title)
        ax.grid(alpha=0.3)
    fig.savefig(file, dpi=110)
