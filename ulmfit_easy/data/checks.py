"""Sizes that cannot be, and warnings about data that would make a result look better than it is: rows, never texts."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ulmfit_easy.data.languages import NAMES, language_name, other_language
from ulmfit_easy.data.targets import twins
from ulmfit_easy.errors import counted, in_rows, some
from ulmfit_easy.text.look import EMPTY
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from torch import Tensor

    from ulmfit_easy.text.store import IdStore
    from ulmfit_easy.text.tokenizers import Tokenizer

TOLD = 0.9  # of these texts hold the name of their own label: from here on it looks like a leak
FAR = 10  # from 0: a mean that many steps of a usual rate do not reach
UNEQUAL = 10  # times the texts of the smallest class
UNEQUAL_ADVICE = ('Accuracy hides how the rare ones fare: look at macro-F1 too. With class_weight="balanced" they '
                  "count as much as the others")
UNKNOWN = 0.2  # of the training tokens are not in the vocabulary: from here on it hardly fits


def warn_of_duplicates(hashes: np.ndarray, train: np.ndarray, valid: np.ndarray, rows: np.ndarray,
                       labels: Sequence | None = None, files: Sequence | None = None) -> None:
    """Warn of validation texts that are training texts too, and of equal texts with different labels. Skip empty ones.

    Args:
        hashes: (N,) int64, equal for equal texts.
        rows: (N,) row numbers that a warning shall name.
        files: (N,) the files of the texts, which it shall name instead.
    """
    def where(positions: Sequence[int] | np.ndarray) -> str:
        if files is None:
            return in_rows(rows[positions].tolist(), 3)
        return f"{'file' if len(positions) == 1 else 'files'} {some((files[i] for i in positions), 3)}"

    if len(both := np.sort(leaked(hashes, train, valid, EMPTY))):
        what = "is a training text" if len(both) == 1 else "are training texts"
        fix = ("Drop the copies, or leave out valid_col= and splitter=: the split that is drawn then keeps copies "
               "together") if files is None else "Delete the copies"
        warn_user(f"{len(both):,} of {counted(len(valid), 'validation text')} {what} too ({where(both)}), so "
                  f"{len(both) / len(valid):.1%} of a score tells nothing about new texts. {fix}")
    if labels is not None and (torn := contradicted(hashes, labels, EMPTY)):
        have, them = ("has", "it") if len(torn) == 1 else ("have", "them")
        warn_user(f"{counted(len(torn), 'text')} {have} another label than an equal text before {them} "
                  f"({where(torn)}): no model can get both right; check the labels")


def leaked(keys: np.ndarray, train: np.ndarray, valid: np.ndarray, empty: int) -> np.ndarray:
    """Return the rows of `valid` whose text is a training text too. Equal texts have equal keys. `empty` counts not."""
    return valid[np.isin(keys[valid], keys[train]) & (keys[valid] != empty)]


def contradicted(keys: np.ndarray, labels: Iterable, empty: int) -> list[int]:
    """Return the rows with another label than an equal text before them. Keys as for `leaked`."""
    first: dict[int, object] = {}
    return [i for i, (key, label) in enumerate(zip(keys.tolist(), labels, strict=True))
            if key != empty and label is not None and first.setdefault(key, label) != label]


def warn_of_told_labels(texts: Sequence, labels: Sequence) -> None:
    """Warn if nearly every text holds the name of its own label as a word, and hardly any another's.

    Args:
        texts: the first ones, of some of the labels.
    """
    pairs = list(zip(map(_joined, texts), labels, strict=False))
    names = {label for _, label in pairs if isinstance(label, str) and label.strip()}
    if len(names) < 2:
        return
    words = {name: re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in names}
    told = sum(label in words and bool(words[label].search(text)) for text, label in pairs)
    if told < TOLD * len(pairs):
        return
    mixed = sum(any(words[name].search(text) for name in names - {label}) for text, label in pairs)
    if mixed < (1 - TOLD) * len(pairs):
        warn_user(f"{told:,} of the first {len(pairs):,} texts hold the name of their own label: is the "
                  "answer part of the text?")


def _joined(text: str | tuple[str, ...]) -> str:
    return text if isinstance(text, str) else " ".join(text)


def warn_of_unequal(labels: Iterable) -> None:
    """Warn if the largest class has more than ten times the training texts of the smallest."""
    if what := unequal(Counter(labels)):
        warn_user(f"{what}. {UNEQUAL_ADVICE}")


def unequal(counts: Counter) -> str:
    """Tell that the largest class has more than ten times the training texts of the smallest. "" if it has not."""
    most, least = max(counts.values(), default=0), min(counts.values(), default=0)
    if most <= UNEQUAL * least:
        return ""
    return f"the classes are unequal: the largest has {most:,} training texts, the smallest {least:,}"


def shown_share(rate: float) -> str:
    """Return a share in per cent. "" if it would be shown as 0.0%, which tells nothing."""
    return f"{rate:.1%}" if rate >= 0.0005 else ""


def warn_of_twins(classes: Sequence) -> None:
    """Warn of classes whose names are the same, blanks and letter case aside."""
    if groups := twins(classes):
        warn_user(f"labels that look alike: {some(map(repr, chain(*groups)))}; each is a class of its own. Give "
                  "each class one spelling")


def warn_of_language(texts: Iterable, tokenizer: "Tokenizer") -> None:
    """Warn if most of the first texts seem to be in another language than the one of a tokenizer of words."""
    lang = getattr(getattr(tokenizer, "tok", None), "lang", None)
    if lang is None or tokenizer.is_closed:  # pieces of words are learned from the texts, in any language
        return
    if guess := other_language(map(_joined, texts), lang):
        seem, fix = f"{guess.capitalize()} letters", "lang= with the code of their language"
        if guess in NAMES:
            seem, fix = f"{NAMES[guess]}", f'lang="{guess}"'
        warn_user(f"the texts seem to be in {seem}, but are read as {language_name(lang)}: pass {fix}, and no "
                  "pretrained model of another language")


def warn_of_unknown(ids: "IdStore", rows: np.ndarray) -> None:
    """Warn where more than a fifth of the tokens are not in the vocabulary."""
    if (rate := ids.unk_rate(rows)) > UNKNOWN:
        warn_user(f"{rate:.0%} of the training tokens are not in the vocabulary: is it of this language and made "
                  "with this tokenizer? TextDataLoaders keep more words with a lower min_freq")


def warn_of_far_targets(targets: "Tensor | None") -> None:
    """Warn of numbers to predict, (N,) or (N, n), that are far from 0, where the outputs of a new model begin."""
    if targets is None or not len(targets):
        return
    low, high, mean = float(targets.min()), float(targets.max()), float(targets.float().mean())
    if abs(mean) > FAR:
        room = (high - low or abs(high)) / 10
        warn_user(f"the numbers to predict have the mean {mean:,.6g}, but a new model begins near 0 and may never get "
                  f"there: pass y_range=({low - room:.6g}, {high + room:.6g})")
