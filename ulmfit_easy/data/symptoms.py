"""The single checks of `doctor`: each looks at what one walk over the texts left behind, and yields findings."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from ulmfit_easy.data.checks import UNEQUAL_ADVICE, contradicted, leaked, unequal
from ulmfit_easy.data.languages import guess_language
from ulmfit_easy.data.targets import twins
from ulmfit_easy.errors import short, some
from ulmfit_easy.text.words import NO_BLANKS

RARE = 10  # training texts of a class below which hardly anything can be learned of it
FEW_WORDS, MANY_WORDS = 3, 1440  # a classifier judges by about the last 1,440 tokens (its max_len)
NO_WORD = hash("")  # the key of a text without a word
MANY_CLASSES = 20  # are no longer listed
OTHERS = 0.02  # of the texts may seem to be in other languages, since the guess errs too
SIGN = "[\u0080-\u009f\u00a1-\u00aa\u00ac\u00ae-\u00b6\u00b8-\u00ba\u00bc-\u00bf]"
# UTF-8 read as something else. After a small letter, no blank, quote or hyphen will do: "irm\u00e3" ends so.
DAMAGED = re.compile(f"\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|[\u00e2\u00e3]{SIGN}|\u00e2\u20ac")
DAMAGED_TOKENS = re.compile(f"\ufffd|[\u00c2\u00c3\u00e2\u00e3] ?{SIGN}|\u00e2\u20ac")  # a tokenizer parts off the sign


class Finding(NamedTuple):
    """Something to look at before training."""

    level: str  # "problem", which makes results worse or untrue, or "note"
    what: str
    rows: list[int]  # counted from 0, all of them
    advice: str


class Scan:
    """The result of one walk over N texts, without the texts.

    Args:
        texts: N strings.
        labels: a tuple of labels for each text, None if it is missing. None alone for texts without labels.
        train, valid: positions of the texts to train and to validate with.
        rows: the user's number of each text.
        damage: what a text read in the wrong encoding has in it.
    """

    def __init__(self, texts: Iterable[str], labels: Sequence | None, train: np.ndarray, valid: np.ndarray,
                 rows: Sequence[int] | np.ndarray, damage: re.Pattern = DAMAGED):
        self.labelled, self.labels, self.rows = labels is not None, labels or (), rows
        self.train, self.valid = train, valid
        sizes, keys, damaged = list[int](), list[int](), list[bool]()
        self.languages, self.words = list[str | None](), Counter[str]()
        for text in texts:
            words = re.findall(r"\w+|[^\w\s]", text.casefold())
            sizes.append(len(words))
            keys.append(hash(" ".join(words)))
            damaged.append(bool(damage.search(text)))
            self.languages.append(guess_language(text))
            self.words.update(words)
        self.sizes, self.keys = np.array(sizes, dtype=np.int64), np.array(keys, dtype=np.int64)  # (N,) twice
        self.damaged = np.array(damaged, dtype=bool)  # (N,)

    def finding(self, level: str, what: str, positions: Iterable[int], advice: str) -> Finding:
        """Return a finding about the texts at some positions."""
        return Finding(level, what, sorted(int(self.rows[i]) for i in positions), advice)

    def counted(self, level: str, what: str, positions: Sequence[int] | np.ndarray, advice: str) -> Finding:
        """Return the same, ending with their number."""
        return self.finding(level, f"{what}: {len(positions):,}", positions, advice)


def figures(scan: Scan) -> dict[str, str]:
    """Return the size of the data in numbers."""
    n_valid = len(scan.valid)
    found = {"texts": f"{len(scan.train):,}" + f" to train, {n_valid:,} to validate with" * (n_valid > 0)}
    if len(scan.sizes):
        middle, most = np.percentile(scan.sizes, [50, 95])
        found["words of a text"] = f"{middle:,.0f} (median), 95% up to {most:,.0f}, longest {scan.sizes.max():,}"
    languages = Counter(filter(None, scan.languages))
    found["languages (a guess)"] = _shares(languages) or "cannot be told"
    if scan.labelled:
        counts = _counts(scan, scan.train)
        found["classes"] = f"{len(counts):,}" + f": {_shares(counts)}" * (len(counts) <= MANY_CLASSES)
    return found


def check_texts(scan: Scan) -> Iterator[Finding]:
    """Find texts that are empty, damaged, repeated, very short or very long."""
    if not len(scan.sizes):
        yield scan.finding("problem", "no texts at all", [], "check where they come from")
    if len(empty := np.flatnonzero(scan.sizes == 0)):
        yield scan.counted("note", "texts without a word", empty, "drop them: nothing can be learned from them")
    if len(bad := np.flatnonzero(scan.damaged)):
        yield scan.counted("problem", "texts read in the wrong encoding", bad,
                           "read the file again with its own encoding=")
    if len(twice := _repeated(scan, scan.train)):
        yield scan.counted("note", "texts that repeat an earlier one", twice,
                           "drop all but one, or keep copies on one side of a split")
    if len(both := leaked(scan.keys, scan.train, scan.valid, NO_WORD)):
        yield scan.counted("problem", "validation texts that are training texts too", both,
                           "drop them: their scores tell nothing about new texts")
    if len(short := np.flatnonzero((scan.sizes > 0) & (scan.sizes < FEW_WORDS))):
        yield scan.counted("note", f"texts of fewer than {FEW_WORDS} words", short, "are they whole?")
    if len(long := np.flatnonzero(scan.sizes > MANY_WORDS)):
        yield scan.counted("note", f"texts of more than {MANY_WORDS:,} words", long,
                           "a classifier reads all of them, but judges by the end; raise max_len to change that")


def check_languages(scan: Scan) -> Iterator[Finding]:
    """Find texts that seem to be in other languages than most."""
    told = Counter(filter(None, scan.languages))
    main = max(told, key=told.__getitem__, default=None)
    if main in NO_BLANKS:
        yield Finding("note", f"no blanks between words ({main})", [], f'pass lang="{main}", or better '
                      f'tok_tfm=SentencePieceTokenizer(lang="{main}")')
    others = [i for i, language in enumerate(scan.languages) if language not in (None, main)]
    if len(others) > OTHERS * told.total():
        yield scan.counted("note", f"texts that seem to be in other languages than {main}", others,
                           "look at them: short texts are often taken for another language. If they are not "
                           "in yours, drop them, or train a model for each language")


def check_labels(scan: Scan) -> Iterator[Finding]:
    """Find labels that are missing, alone, rare, unequal, not in training, alike, or different for equal texts."""
    if missing := [i for i, labels in enumerate(scan.labels) if labels is None]:
        yield scan.counted("problem", "rows without a label", missing, "drop or fill them")
    counts = _counts(scan, scan.train)
    if len(counts) < 2:
        yield scan.finding("problem", f"{len(counts)} class to train with", [],
                           "two are needed: is it the right column?")
    if len(counts) > max(RARE, len(scan.train) / 2):
        yield scan.finding("problem", f"{len(counts):,} classes for {len(scan.train):,} texts", [],
                           'is it the right column? TextDataLoaders takes y_block="regression" for numbers')
        return  # these may be texts, and are not shown
    if rare := [label for label, n in counts.items() if n < RARE]:
        yield scan.finding("problem", f"classes with fewer than {RARE} training texts: {some(rare)}",
                           _with(scan, rare), "find more texts, or join classes")
    if what := unequal(counts):
        yield scan.finding("note", what, _with(scan, [min(counts, key=counts.__getitem__)]), UNEQUAL_ADVICE)
    if new := [label for label in _counts(scan, scan.valid) if label not in counts]:
        yield scan.finding("problem", f"labels that no training text has: {some(new)}", _with(scan, new),
                           "put each class into training too, or leave these rows out")
    if groups := [sorted(group, key=counts.__getitem__) for group in twins(counts)]:
        rarer = [label for group in groups for label in group[:-1]]
        shown = some(map(repr, chain(*groups)))
        yield scan.finding("problem", f"labels that look alike: {shown}", _with(scan, rarer),
                           "give each class one spelling; the rows are those of the rarer ones")
    if torn := contradicted(scan.keys, scan.labels, NO_WORD):
        yield scan.counted("problem", "texts with another label than an equal text before them", torn,
                           "check the labels: no model can get both right")


def _repeated(scan: Scan, positions: np.ndarray) -> np.ndarray:
    """Return the positions whose text, letter case and blanks aside, came before among them."""
    positions = positions[scan.sizes[positions] > 0]
    again = np.ones(len(positions), dtype=bool)
    again[np.unique(scan.keys[positions], return_index=True)[1]] = False
    return positions[again]


def _counts(scan: Scan, positions: np.ndarray) -> Counter:
    return Counter(label for i in positions for label in scan.labels[i] or ())


def _with(scan: Scan, labels: Sequence) -> list[int]:
    """Return the positions of the texts with one of these labels."""
    return [i for i, own in enumerate(scan.labels) if own and not set(own).isdisjoint(labels)]


def _shares(counts: Counter) -> str:
    """Return the commonest names with their shares: `pos 60%, neg 40%`."""
    return some(f"{short(name, 50)} {n / counts.total():.0%}" for name, n in counts.most_common())
