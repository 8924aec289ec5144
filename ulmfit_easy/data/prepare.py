"""Turn raw texts and labels into ids and targets, in the way that was fixed by the training rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from ulmfit_easy.data.sources import FileTexts, clean_texts, fields_in, find_column, values_of
from ulmfit_easy.data.targets import TARGETS, NextToken, Target, read_labels
from ulmfit_easy.errors import FileError, TextError, in_rows, some
from ulmfit_easy.schema import MOST, MOST_ROWS, flag, list_of, name, only, optional, text, whole
from ulmfit_easy.text.alignment import places_of
from ulmfit_easy.text.given import given_texts, is_row
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import MemoryIds, Vocab
from ulmfit_easy.viz import show_table


@dataclass(frozen=True)
class Preparation:
    """Tokenizer, vocabulary and target, and the columns that they were made from."""

    tokenizer: Tokenizer  # with its vocabulary
    target: Target = field(default_factory=NextToken)
    text_cols: tuple = ("text",)
    label_cols: tuple = ()
    label_delim: str | None = None
    get_x: Callable | None = None  # of a DataBlock, where no columns hold the text; not part of `config()`
    get_y: Callable | None = None  # of a DataBlock, where no columns hold the label; not part of `config()`
    seq_len: int = 72
    backwards: bool = False
    bs: int = 64
    encoding: str = "utf-8"  # of text files

    SETTINGS = {  # of `text` in what `config()` gives
        "tokenizer": only(Tokenizer.SETTINGS), "text_cols": list_of(name, MOST), "label_cols": list_of(name, MOST),
        "label_delim": optional(text), "seq_len": whole(), "backwards": flag, "bs": whole(1, MOST_ROWS),
        "encoding": text}

    @property
    def task(self) -> str:
        """The name of the target, such as "single" for one class each."""
        return self.target.task

    @property
    def vocab(self) -> Vocab:
        """The vocabulary of the tokenizer."""
        return self.tokenizer.vocab

    @property
    def vocabs(self) -> Vocab | tuple[Vocab, Any]:
        """The `Vocab` for a language model. `(Vocab, classes)` for a classifier."""
        return (self.vocab, self.target.classes) if self.target.labelled else self.vocab

    def words(self, ids: np.ndarray | Tensor, trunc_at: int | None = None) -> str:
        """Return the tokens of some ids (T,), with spaces between them, and an ellipsis after the first `trunc_at`."""
        words = [self.vocab[i] for i in ids[:trunc_at].tolist()]
        return " ".join(words if trunc_at is None or len(ids) <= trunc_at else [*words, "\u2026"])

    def show(self, batch: Sequence, max_n: int = 9, trunc_at: int = 150) -> None:
        """Show some rows of a batch as tokens, `trunc_at` of each at most, and their labels."""
        n = self.target.n_inp
        rows = self.target.shown(batch[:n], *batch[n:], words=partial(self.words, trunc_at=trunc_at))
        return show_table(rows[:max_n], list(self.target.columns)[:len(rows[0])])

    def config(self) -> dict:
        """Return everything but the vocabulary as plain values that JSON can hold: `task`, `text` and `target`."""
        lists = {"text_cols": list(self.text_cols), "label_cols": list(self.label_cols)}
        text = {name: getattr(self, name) for name in self.SETTINGS} | {"tokenizer": self.tokenizer.config()} | lists
        return {"task": self.task, "text": text, "target": self.target.config()}

    @classmethod
    def from_config(cls, config: dict, vocab: Vocab, tokenizer: Tokenizer | None = None) -> "Preparation":
        """Return the preparation that `config()` described. `tokenizer` where that cannot be rebuilt from JSON."""
        target, text = TARGETS[config["task"]].from_config(config["target"]), dict(config["text"])
        tokenizer = given_tokenizer(text.pop("tokenizer"), tokenizer).with_vocab(vocab)
        cols: dict[str, Any] = {name: tuple(text.pop(name)) for name in ("text_cols", "label_cols")}
        return cls(tokenizer, target, **cols, **{name: text[name] for name in cls.SETTINGS if name in text})

    def ids(self, items: Iterable) -> "MemoryIds":
        """Return the ids of new texts: all that `given` takes."""
        return self.ids_of(self.texts(self.given(items)[0]))

    def ids_of(self, texts: list) -> "MemoryIds":
        """Return the ids of what `texts` returned, with the places of the tokens if the target needs them."""
        if (where := self.target.places) is None:
            return MemoryIds(self.tokenizer.ids(texts), self.vocab.pad_id)
        found = list(self.tokenizer.pipe(texts, where=where))
        docs = (self.vocab.ids(each.tokens) for each in found)
        return MemoryIds(docs, self.vocab.pad_id, texts, [places_of(each, where) for each in found])

    def texts(self, items: Any) -> list:
        """Return the strings of new texts, or tuples of fields, of what `given` returned. E101 for what is no text."""
        if len(items) == 0:
            raise TextError("E104", received="no items", expected="one text or more", fix="give texts")
        return clean_texts(self._text_columns(items), words=self.target.places == "words")[0]

    def is_one_text(self, item: object) -> bool:
        """Return True if an item is a text by itself: a string, or a tuple of fields if texts have several."""
        return isinstance(item, str) or (isinstance(item, tuple) and len(self.text_cols) > 1)

    def given(self, items: Any) -> tuple[Sequence, bool]:
        """Return the texts or files that a caller means, as `given_texts` reads them, and True if it is one alone.

        For a `get_x` items stay what they are, and a row becomes a table of one row.
        """
        if isinstance(items, Path):
            return [items], True
        if self.get_x is None or self.is_one_text(items):
            items, alone = given_texts(items, self.text_cols)
        elif isinstance(items, Mapping) or is_row(items, self.text_cols):
            return pd.DataFrame([dict(items)]), True
        else:
            alone = not isinstance(items, Iterable)
            items = [items] if alone else items
        return (items if hasattr(items, "__len__") else list(items)), alone

    def _text_columns(self, items: Any) -> list:
        first = next(iter(items))
        if self.get_x is not None and (isinstance(items, pd.DataFrame) or not self.is_one_text(first)):
            columns = fields_in(values_of(self.get_x, items))
            return [FileTexts(columns[0], self.encoding)] if isinstance(columns[0][0], Path) else columns
        if len(self.text_cols) == 1:
            return [FileTexts(items, self.encoding) if isinstance(first, Path) else items]
        rows, n = list(items), len(self.text_cols)
        if bad := [i for i, row in enumerate(rows) if not (isinstance(row, tuple) and len(row) == n)]:
            raise TextError("E102", received=f"texts without exactly {n} fields, {in_rows(bad)}",
                            expected=f"tuples of {some(self.text_cols)}, as in training",
                            fix="give tuples, or a table with these columns")
        return [list(column) for column in zip(*rows, strict=True)]

    def targets(self, items: Any, ids: MemoryIds) -> np.ndarray:
        """Return the targets of a table, or of files in folders. Labels that training never saw count as wrong.

        `ids` are what `ids(items)` returned.
        """
        if self.get_y is not None:
            labels = read_labels([values_of(self.get_y, items)], y_block=self.target)[1]
        elif isinstance(items, pd.DataFrame):
            columns = [find_column(items, col) for col in self.label_cols or ("label",)]
            labels = read_labels(columns, delim=self.label_delim, y_block=self.target)[1]
        elif all(isinstance(item, Path) for item in items):
            labels = [self._class_of(file) for file in items]
        else:
            raise TextError("E102", received="texts without a label column", expected="a table, or files",
                            fix="give a table with the label column, or with_labels=False")
        self.target.check_texts(ids.texts, labels, range(len(labels)))
        return self.target.aligned(self.target.encode(labels, unseen=-100), ids.places, self.backwards)

    def _class_of(self, file: Path) -> str:
        """Return the name of the nearest folder of a file that is a class. Of the folder it is in if none is."""
        folders = [folder.name for folder in file.parents]
        return next((name for name in folders if name in (self.target.classes or ())), folders[0])


def given_tokenizer(config: dict, tokenizer: Tokenizer | None, *, fix: str = "pass tokenizer=Tokenizer(...) with the "
                    "rules and the word splitter of training") -> Tokenizer:
    """Return the tokenizer of a config, which must be passed if the config holds only the names of its parts.

    `fix` says how, at the call that was used.

    Raises: E402 for a missing tokenizer, or one with other rules or another word splitter.
    """
    if tokenizer is None:
        try:
            return Tokenizer.from_config(config)
        except FileError as e:
            raise FileError(e.code, received=e.received, expected=e.expected, fix=fix) from e
    for part, own in tokenizer.config().items():
        wanted = (config or {}).get(part, own)
        if isinstance(wanted, dict) and "params" in wanted and "params" in own:  # an older version may lack some
            wanted = wanted | {"params": own["params"] | wanted["params"]}
        if own != wanted:
            raise FileError("E402", received=f"a tokenizer with {part}={own!r:.200}", expected=f"{wanted!r:.200}",
                            fix=fix)
    return tokenizer
