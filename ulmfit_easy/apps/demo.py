"""The demo: the three stages on real movie reviews, on a laptop.

Stage 1, a language model of general English, comes with the library. Stage 2 reads movie reviews without labels. Stage
3 learns from 500 labelled ones. The texts are those of Hutto & Gilbert 2014, rated by people from -4 to +4.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.data.datasets import VADER_SHA256, read_vader_reviews
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.learner.lr_find import minimum, valley
from ulmfit_easy.learner.pretrained import shipped_lm, with_sizes
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.learner.text_learner import LMLearner
from ulmfit_easy.places import file_place, writable
from ulmfit_easy.recipes import stages
from ulmfit_easy.recipes.compare import compare, verdict, wilson
from ulmfit_easy.recipes.estimate import estimated_seconds
from ulmfit_easy.recipes.presets import Preset, get_preset
from ulmfit_easy.terminal import say

N_LABELLED, N_TEST = 500, 2000
PLOTS, SIGN = ("lr_find.png", "loss.png", "schedule.png"), b"ulmfit_easy demo"
NAMES = {False: "negative", True: "positive"}


class DemoTexts(NamedTuple):
    """Who reads what: no test text is in any other part."""

    movies: list[str]  # stage 2, labelled texts included, without their labels
    train: pd.DataFrame  # stage 3: text, label
    test: pd.DataFrame


def demo_texts(archive: str | Path, seed: int = 0, sha256: str = VADER_SHA256) -> DemoTexts:
    """Return the three parts of the archive that `make demo` fetches. Reviews with a mean of 1 or more are labelled."""
    movies = read_vader_reviews(archive, sha256=sha256)["movies"].drop_duplicates("text")
    rated = movies[movies["score"].abs() >= 1].sample(frac=1, random_state=seed)
    rated = pd.DataFrame({"text": rated["text"], "label": (rated["score"] > 0).map(NAMES)})
    train, test = rated[:N_LABELLED], rated[N_LABELLED : N_LABELLED + N_TEST]
    held_out = set(test["text"])
    return DemoTexts([t for t in movies["text"] if t not in held_out], train.reset_index(drop=True),
                     test.reset_index(drop=True))


def run_demo(data: str | Path, out: str | Path = "demo-output", preset: str | Preset = "laptop", seed: int = 0,
             sha256: str = VADER_SHA256) -> dict:
    """Run the demo, print its tables, write its plots to `out`. Returns the figures of the last line.

    Args:
        data: the source distribution vaderSentiment-2.5.tar.gz.
        out: a folder for the plots.
        preset: a name or a `Preset`.
        seed: chooses the labelled and the test reviews, and starts all random numbers.
        sha256: what the archive must have.
    """
    import matplotlib

    matplotlib.use("Agg")  # write files, open no window
    started, out = time.perf_counter(), writable(Path(out) / PLOTS[0]).parent
    if taken := [name for name in PLOTS if not _is_plot(file_place(out / name))]:
        raise FileError("E412", received=f"{out} with {some(taken)}, not from this demo",
                        expected="a folder without files of these names",
                        fix="choose another one (--out), or move them away")
    texts, p, general = demo_texts(data, seed, sha256), get_preset(preset), shipped_lm()
    common = {"path": out, "seed": seed}
    set_seed(seed)

    _title("Stage 1: a language model of general English, which comes with the library")
    lm = stages.new_lm(stages.lm_data(texts.movies, p, general, **common), p, general)
    dls = stages.classifier_data(texts.train, p, lm, valid_pct=0.1, **common)  # kept aside to watch the training
    at_once = tuple(replace(phase, freeze_to=0, factor=1.0) for phase in p.clas)
    estimate = estimated_seconds(lm, (*p.lm, p.lm[-1]), dls, replace(p, clas=(*p.clas, *at_once)))
    say(f"The demo takes {estimate.told()}.")  # with the steps of lr_find, about an epoch
    _write(lm)
    before = lm.validate()[-1]

    _title(f"Stage 2: it goes on with {len(texts.movies):,} movie reviews, without labels")
    start_of_lm = time.perf_counter()
    found = lm.unfreeze().lr_find(suggest_funcs=(valley, minimum))
    _save_plot("lr_find.png", out)
    peak = p.lm[-1].lr
    say(f"lr_find tries one learning rate after another. It suggests {found.valley:.2g} to be careful and "
        f"{found.minimum:.2g} to be quick. The highest rate here is {peak:.2g}"
        + (", which lies between." if found.valley <= peak <= found.minimum else "."))
    stages.finetune_lm(lm, p)
    lm.recorder.plot_loss()
    _save_plot("loss.png", out)
    lm.recorder.plot_sched()
    _save_plot("schedule.png", out)
    _write(lm)
    say(f"Perplexity of reviews it has not read: {before:.0f} before, {lm.recorder.values[-1][-1]:.0f} now")
    if corrected := estimate.corrected(time.perf_counter() - start_of_lm):
        say(corrected)

    _title(f"Stage 3: a classifier of {len(texts.train):,} labelled reviews over that model's encoder")
    learn = stages.finetune_classifier(stages.new_classifier(dls, p, lm), p)

    _title("The same classifier without stages 1 and 2: random weights, all layers at once")
    sizes = with_sizes(lm.encoder.settings, None, type(lm.encoder).clas_config)
    scratch = stages.new_classifier(dls, replace(p, config=sizes))  # the same words and sizes, none of the weights
    stages.finetune_classifier(scratch, p, gradual=False)

    both = pd.concat([texts.train.assign(valid=False), texts.test.assign(valid=True)], ignore_index=True)
    ours, without = (compare(both, [found.label for found in model.predict(list(texts.test["text"]))])
                     for model in (learn, scratch))

    _title(f"Five of the {len(texts.test):,} test reviews")
    shown = texts.test[:5]
    for text, label, found in zip(shown["text"], shown["label"], learn.predict(list(shown["text"])), strict=True):
        say(f"{found.label} ({float(found.probs.max()):.2f}), in truth {label}: {text}")

    _title(f"Accuracy on {len(texts.test):,} test reviews")
    for name, accuracy in (("three stages", ours.accuracy), ("without stages 1 and 2", without.accuracy),
                           ("TF-IDF + logistic regression", ours.baseline_accuracy or 0.0)):
        low, high = wilson(round(accuracy * len(texts.test)), len(texts.test))
        say(f"{name:<34}{accuracy:.3f} (95% interval {low:.3f} to {high:.3f})")
    say(f"\nThree stages beside TF-IDF. {verdict(ours)}\n")
    say(f"Plots: {out}/lr_find.png, {out}/loss.png, {out}/schedule.png")
    say(f"Next, with your own table: {next_line('train', 'FILE')}. `ulmfit toy` writes one to try it on.")
    seconds = time.perf_counter() - started
    say(f"demo: accuracy {ours.accuracy:.3f}, tf-idf baseline {ours.baseline_accuracy:.3f}, {seconds:.0f} s")
    return {"accuracy": ours.accuracy, "scratch": without.accuracy, "baseline": ours.baseline_accuracy,
            "seconds": seconds}


def _title(text: str) -> None:
    say(f"\n{text}\n{'-' * len(text)}")


def _write(lm: LMLearner) -> None:
    say(f"It writes: {lm.predict('This movie is', n_words=20, temperature=0.7, seed=0)}")


def _save_plot(name: str, out: Path) -> None:
    import matplotlib.pyplot as plt

    plt.savefig(out / name, dpi=120, metadata={"Software": SIGN.decode()})
    plt.close("all")


def _is_plot(file: Path) -> bool:
    """Tell if a plot of the demo may be written there: if nothing is, or an older one."""
    return not file.exists() or (file.is_file() and SIGN in file.read_bytes()[:500])
