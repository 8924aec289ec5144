"""Tables and plots for notebooks and terminals. No text becomes markup, a formula or a control code."""

import html
import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby, product
from typing import TYPE_CHECKING, Any

from ulmfit_easy.terminal import in_notebook, line_width, printable, say
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

CELL_LINES = 6  # lines of a terminal that one cell may take


def show_table(rows: Sequence[Sequence], columns: Sequence[str]) -> None:
    """Show rows of values: an HTML table in a notebook, plain text in a terminal. Returns nothing."""
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(html_table(rows, columns)))
    else:
        say(text_table(rows, columns, width=line_width()))


class Live:
    """One output of a notebook, which each call replaces."""

    def __init__(self):
        self.handle = None

    def show(self, thing: object) -> None:
        from IPython.display import display

        if self.handle is None:
            self.handle = display(thing, display_id=True)
        else:
            self.handle.update(thing)

    def show_html(self, markup: str) -> None:
        """Show this HTML, whose text must be escaped."""
        self.show(Markup(markup))


class Markup(str):
    """HTML for a notebook. Unlike IPython's `HTML` it is nothing where a saved notebook is shown as plain text."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return ""


def html_table(rows: Sequence[Sequence], columns: Sequence[str]) -> str:
    """Return an HTML table in which every value is plain text: no tags, no entities, no formulas."""
    def line(values: Sequence, tag: str) -> str:
        cells = "".join(f'<{tag} style="text-align:left">{escape(value)}</{tag}>' for value in values)
        return f"<tr>{cells}</tr>"
    body = "\n".join(line(row, "td") for row in rows)
    return f'<table class="tex2jax_ignore mathjax_ignore">\n{line(columns, "th")}\n{body}\n</table>'


def escape(value: object) -> str:
    """Return a value as HTML that shows exactly its text.

    `$` and a backslash each stand in an element of their own. Formula readers ignore delimiters that are split by tags,
    and entities do not stop them.
    """
    return re.sub(r"[$\\]", lambda m: f"<span>{m[0]}</span>", html.escape(printable(value)))


def no_formula(value: object) -> object:
    """Return a cell of a CSV file, with a `'` before text that a spreadsheet would take for a formula."""
    if not isinstance(value, str) or re.fullmatch(r"[+-]?[\d.,]+(e[+-]?\d+)?", value, re.I | re.A):
        return value
    return f"'{value}" if re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]", value) else value


def text_table(rows: Sequence[Sequence], columns: Sequence[str], width: int = 110) -> str:
    """Return a plain table of at most `width` columns. Long cells are wrapped, and cut after a few lines."""
    cells = [[printable(value) for value in row] for row in [list(columns), *rows]]
    wide = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    while sum(wide) + 2 * (len(wide) - 1) > width and max(wide) > 8:
        wide[wide.index(max(wide))] -= 1
    lines = []
    for row in cells:
        wrapped = [textwrap.wrap(cell, max(n, 1), max_lines=CELL_LINES, placeholder=" \u2026") or [""]
                   for cell, n in zip(row, wide, strict=True)]
        for k in range(max(map(len, wrapped), default=0)):
            parts = [w[k] if k < len(w) else "" for w in wrapped]
            lines.append("  ".join(p.ljust(n) for p, n in zip(parts, wide, strict=True)).rstrip())
    return "\n".join(lines)


FOR, AGAINST = "31,119,180", "255,127,14"  # blue and orange, which nearly every eye tells apart


def html_tokens(tokens: Sequence[str], scores: Sequence[float]) -> str:
    """Return tokens as HTML: blue for a score above 0, orange for one below, deeper for a larger one."""
    largest = max(map(abs, scores), default=0) or 1.0
    spans = [f'<span title="{score:+.3f}" style="background-color:rgba({FOR if score > 0 else AGAINST},'
             f'{0.8 * abs(score) / largest:.2f});padding:1px 3px;border-radius:3px">{escape(token)}</span>'
             for token, score in zip(tokens, scores, strict=True)]
    return '<div class="tex2jax_ignore mathjax_ignore" style="line-height:1.9">' + "\n".join(spans) + "</div>"


def text_tokens(tokens: Sequence[str], scores: Sequence[float], width: int = 110) -> str:
    """Return tokens as plain text. Runs of one score, at least a fifth of the largest, are in brackets with it."""
    largest = max(map(abs, scores), default=0) or 1.0
    parts = []
    for score, run in groupby(zip(tokens, scores, strict=True), key=lambda pair: pair[1]):
        words = " ".join(printable(token) for token, _ in run)
        parts.append(f"[{words} {score:+.2f}]" if abs(score) >= largest / 5 else words)
    return "\n".join(textwrap.wrap(" ".join(parts), width))


def fonts_with(texts: Sequence[str]) -> list[str]:
    """Return the font families to draw texts in: the usual ones, and an installed font with the letters they lack.

    It warns if no installed font has them: they are then drawn as boxes.
    """
    from matplotlib import font_manager, rcParams

    usual = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    missing = sorted({c for text in texts for c in text if not c.isspace() and not usual.get_char_index(ord(c))})
    found = []
    if missing:  # matplotlib's own list lacks fonts that are new
        found = [_font_with("".join(missing), tuple(sorted(font_manager.findSystemFonts())))]
    return [*rcParams["font.family"], *filter(None, found)]


@cache
def _font_with(letters: str, fonts: tuple[str, ...]) -> str | None:
    """Return the font that has most of some letters, made known to matplotlib. None if no font has any."""
    from matplotlib import font_manager

    best, most = None, 0
    for path in fonts:
        try:
            font = font_manager.get_font(path)
            has = sum(bool(font.get_char_index(ord(c))) for c in letters)
        except (RuntimeError, OSError):  # a damaged font, or one of a kind that matplotlib does not read
            continue
        if has > most and "lastresort" not in path.lower():  # macOS's font of boxes
            best, most = path, has
    if most < len(letters):
        warn_user("no installed font has all the letters of these class names: some are drawn as boxes. Fix: "
                  "install the package fonts-nanum (Korean) or fonts-noto-cjk (Chinese, Japanese)")
    if best is None:
        return None
    font_manager.fontManager.addfont(best)
    return font_manager.get_font(best).family_name


def _axes(ax: "Axes | None", title: str, xlabel: str, ylabel: str, **figure: Any) -> "Axes":
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(**{"figsize": (6.4, 4.0), "layout": "constrained", **figure})[1]
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_loss(train: Sequence[float], valid_x: Sequence[float] = (), valid: Sequence[float] = (), *,
              skip_start: int = 0, ax: "Axes | None" = None) -> "Axes":
    """Return the axes with the training loss of each batch and the validation loss at the batches `valid_x`.

    The first `skip_start` batches, whose loss may be far above all others, are left out.
    """
    ax = _axes(ax, "Loss", "batch", "loss")
    shown = train[skip_start:]
    x = range(skip_start + 1, skip_start + 1 + len(shown))
    ax.plot(x, shown, color="tab:blue", linewidth=1.2, label="training")
    if len(valid):
        ax.plot(valid_x, valid, color="tab:orange", marker="o", markersize=4, label="validation")
    ax.legend(frameon=False)
    return ax


def plot_sched(hypers: Mapping[str, Sequence[float]]) -> "Sequence[Axes]":
    """Return the axes, one for each hyper-parameter, with its value at each batch."""
    import matplotlib.pyplot as plt

    columns = min(2, len(hypers))
    rows = -(-len(hypers) // columns)
    size = (5.2 * columns, 3.2 * rows)
    axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1]
    for ax, (name, values) in zip(axes.flat, hypers.items(), strict=False):
        _axes(ax, name, "batch", name).plot(range(1, len(values) + 1), values, color="tab:blue")
    for ax in axes.flat[len(hypers):]:
        ax.remove()
    return list(axes.flat[:len(hypers)])


def plot_rates(rates: Sequence[Sequence[float]], names: Sequence[str] | None = None,
               ax: "Axes | None" = None) -> "Axes":
    """Plot the learning rate of each layer group at each batch. Return the axes.

    Args:
        rates: (batches, groups) numbers, such as `RateRecorder.rates`. NaN while a group is frozen.
        names: one for each group, input side first.
    """
    ax = _axes(ax, "Learning rate of each layer group", "batch", "learning rate (log scale)")
    ax.set_yscale("log")
    groups = list(zip(*rates, strict=True))
    for i, (name, group) in enumerate(zip(names or range(1, len(groups) + 1), groups, strict=True)):
        ax.plot(range(1, len(group) + 1), group, linewidth=1.2, color=f"C{i}", label=name if names else f"group {name}")
    if groups:
        ax.legend(frameon=False)
    return ax


def plot_lr_find(lrs: Sequence[float], losses: Sequence[float],
                 suggestions: Mapping[str, float] | None = None, ax: "Axes | None" = None) -> "Axes":
    """Return the axes with the loss at each learning rate. `suggestions` maps names to rates, which are marked."""
    ax = _axes(ax, "Learning-rate finder", "learning rate (log scale)", "loss (smoothed)")
    ax.plot(lrs, losses, color="tab:blue")
    ax.set_xscale("log")
    markers = "osD^v"
    for i, (name, lr) in enumerate((suggestions or {}).items()):
        nearest = min(range(len(lrs)), key=lambda k: abs(lrs[k] - lr))
        ax.plot([lr], [losses[nearest]], linestyle="none", marker=markers[i % len(markers)], markersize=8,
                color=f"C{i + 1}", label=f"{name}: {lr:.2g}")
    if suggestions:
        ax.legend(frameon=False)
    return ax


def plot_confusion(matrix: "np.ndarray", names: Sequence, title: str = "Confusion matrix", cmap: str = "Blues", *,
                   normalize: bool = False, norm_dec: int = 2, plot_txt: bool = True, ax: "Axes | None" = None,
                   **figure: Any) -> "Axes":
    """Return the axes with a confusion matrix (C, C), rows by label and columns as predicted.

    Args:
        normalize: colour and number each row as shares of its sum. A row without texts stays 0.
        norm_dec: decimals of a share.
        plot_txt: write the numbers into the cells.
        figure: where `ax` is None, `figsize` (inches) and `dpi` of the figure.
    """
    shown = matrix / matrix.sum(1, keepdims=True).clip(1) if normalize else matrix
    ax = _axes(ax, title, "predicted", "label", **figure)
    ax.title.set_parse_math(False)  # a class may have a `$` in its name, which begins no formula
    ax.grid(False)
    ax.imshow(shown, cmap=cmap, vmin=0, vmax=1 if normalize else None)
    labels = [printable(name)[:30] for name in names]
    ax.title.set_fontfamily(fonts_with([title]))
    family = fonts_with(labels)
    slanted: dict = {"rotation": 45, "ha": "right"} if sum(map(len, labels)) > 40 else {}
    ax.set_xticks(range(len(labels)), labels, parse_math=False, family=family, **slanted)
    ax.set_yticks(range(len(labels)), labels, parse_math=False, family=family)
    if plot_txt:
        for row, column in product(range(len(labels)), repeat=2):
            value = shown[row, column]
            ax.text(column, row, f"{value:.{norm_dec}f}" if normalize else f"{value:,}", ha="center", va="center",
                    color="white" if value > shown.max() / 2 else "black")
    return ax


def plot_reliability(curves: Mapping[str, tuple], ax: "Axes | None" = None) -> "Axes":
    """Return the axes with how often a model is right against how sure it says it is.

    `curves` maps a name to (confidence, accuracy, count), each (K,) for K bins of answers that are about equally
    sure. On the dashed line a model is right as often as it says. A bin's dot grows with its share of the answers.
    """
    ax = _axes(ax, "Reliability", "how sure the model is", "how often it is right")
    ax.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    for name, (confidence, accuracy, count) in curves.items():
        line, = ax.plot(confidence, accuracy, linewidth=1.2, label=name)
        ax.scatter(confidence, accuracy, s=[20 + 180 * n / sum(count) for n in count], color=line.get_color())
    ax.legend(frameon=False)
    return ax


def plot_scores(scores: Mapping[str, tuple[float, float, float]], xlabel: str = "accuracy",
                ax: "Axes | None" = None) -> "Axes":
    """Plot a bar for each score with a line for its confidence interval. Return the axes.

    Args:
        scores: a dict from names to (score, low, high), drawn from top to bottom.
    """
    names = [printable(name) for name in scores]
    ax = _axes(ax, "", xlabel, "", figsize=(7.2, 0.9 + 0.5 * len(names)))
    for i, (score, low, high) in enumerate(scores.values()):
        ax.barh(i, score, color=f"C{i}", alpha=0.8)
        ax.errorbar(score, i, xerr=[[score - low], [high - score]], color="black", capsize=4)
        ax.text(high, i, f"  {score:.3f}", va="center")
    ax.set_yticks(range(len(names)), names, parse_math=False, family=fonts_with(names))
    ax.set_xlim(0, 1)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return ax
