"""A `DataBlock` says, part by part, how a source becomes loaders. Another way to the parts of `TextDataLoaders`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from ulmfit_easy._fastcore import delegates, listify
from ulmfit_easy.data.loaders import Source, assemble, classes_of, column_names
from ulmfit_easy.data.order import TextDataset
from ulmfit_easy.data.sources import FileTexts, clean_texts, fields_in, find_column, values_of
from ulmfit_easy.data.splits import DefaultSplitter, checked_split
from ulmfit_easy.data.targets import kind_of, read_labels
from ulmfit_easy.errors import ArgumentError, LabelError, TextError, refuse_unknown
from ulmfit_easy.fastai.getters import ColReader, FromFlags
from ulmfit_easy.fastai.summary import show_rows, show_source
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.text_data import TextDataLoaders, with_model
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.reprs import described, slashed
from ulmfit_easy.text.tokenizers import Tokenizer

__all__ = ["DataBlock", "TextBlock"]


class TextBlock:
    """Describe the text of an item and how it becomes ids. Use `TextBlock.from_df` for a table.

    Args:
        tok_tfm: a `Tokenizer`, or a splitter of texts into words such as `WordTokenizer`.
        vocab: a `Vocab` or a list of tokens, such as that of the language model. By default it is made from the
            training rows.
        is_lm: for a language model, which needs no other block.
        seq_len: tokens that the model reads at once. Gradients stop at the end of each such window.
        backwards: read each text from its end.
        text_cols, tok_text_col: as for `from_df`.
        encoding: of text files.
        pretrained, on_missing, rules, lang, mark_fields, n_workers, cache_dir: as for `TextDataLoaders.from_df`.
    """

    kind = "text"

    def __init__(self, tok_tfm: Tokenizer | Callable | None = None, vocab: Sequence | None = None, is_lm: bool = False,
                 seq_len: int = 72, backwards: bool = False, min_freq: int = 3, max_vocab: int = 60000, *,
                 text_cols: int | str | Sequence | None = None, tok_text_col: str = "text", encoding: str = "utf-8",
                 on_missing: str = "raise", rules: Sequence[Callable] | None = None, lang: str = "en",
                 mark_fields: bool | None = None,
                 pretrained: bool | str | Path | PretrainedLM | TextLearner | None = True, n_workers: int | None = None,
                 cache_dir: str | Path | bool | None = None):
        self.is_lm, self.text_cols, self.tok_text_col = is_lm, listify(text_cols), tok_text_col
        self.encoding, self.on_missing = encoding, on_missing
        self.settings = {"tok_tfm": tok_tfm, "text_vocab": vocab, "seq_len": seq_len, "backwards": backwards,
                         "min_freq": min_freq, "max_vocab": max_vocab, "rules": rules, "lang": lang,
                         "mark_fields": mark_fields, "pretrained": pretrained, "n_workers": n_workers,
                         "cache_dir": cache_dir}

    def __repr__(self) -> str:
        return described(self, slashed(self.text_cols), self.is_lm and "is_lm=True")

    @classmethod
    @delegates(__init__, but=["tok_tfm", "text_cols", "encoding"])
    def from_df(cls, text_cols: int | str | Sequence, vocab: Sequence | None = None, is_lm: bool = False,
                seq_len: int = 72, backwards: bool = False, min_freq: int = 3, max_vocab: int = 60000, *,
                tok: Tokenizer | Callable | None = None, **kwargs: Any) -> "TextBlock":
        """Return the block for one or more text columns of a table.

        Several columns become one text, with a mark before each.

        `get_x=ColReader(tok_text_col)` then reads these texts, whatever their columns are called.
        """
        return cls(tok, vocab, is_lm, seq_len, backwards, min_freq, max_vocab, text_cols=text_cols, **kwargs)

    @classmethod
    @delegates(__init__, but=["tok_tfm", "text_cols", "tok_text_col", "on_missing"])
    def from_folder(cls, path: str | Path, vocab: Sequence | None = None, is_lm: bool = False, seq_len: int = 72,
                    backwards: bool = False, min_freq: int = 3, max_vocab: int = 60000, *,
                    tok: Tokenizer | Callable | None = None, **kwargs: Any) -> "TextBlock":
        """Return the block for text files, which `get_items` finds.

        Args:
            path: Ignored; kept for fastai compatibility.
        """
        return cls(tok, vocab, is_lm, seq_len, backwards, min_freq, max_vocab, **kwargs)

    def is_read_by(self, getter: Callable | None) -> bool:
        """Return True if a getter stands for the columns of this block."""
        return bool(self.text_cols) and (getter is None or getattr(getter, "cols", None) == [self.tok_text_col])


class Datasets(NamedTuple):
    """Training and validation texts, and the vocabulary of `dls.vocab`."""

    train: TextDataset
    valid: TextDataset
    vocab: Sequence


class DataBlock:
    """Describe how a source (a table, a folder, a list) becomes loaders of texts and labels, as fastai's `DataBlock`.

    Args:
        blocks: a `TextBlock` and, unless it is for a language model, a `CategoryBlock`, `MultiCategoryBlock` or
            `RegressionBlock`.
        getters: functions of an item, one for each block. They replace `get_x` and `get_y`.
        get_items: a function from the source to a list of items, such as `get_text_files`. By default the source is
            the list.
        get_x: a function from an item (a row, a file) to its text or its text file.
        get_y: a function from an item to its label.
        splitter: a function from items to two lists of positions, for training and validation. By default 20 % of the
            rows, drawn at random, are for validation.
        dl_type, n_inp, item_tfms, batch_tfms: kept for fastai's signature. Only values without an effect are allowed.

    Raises: E602 if the blocks are not a text and its target, or if one of the last four arguments would have an
        effect.
    """

    def __init__(self, blocks: Any = None, dl_type: object = None, getters: Sequence[Callable] | None = None,
                 n_inp: int | None = None, item_tfms: object = None, batch_tfms: object = None, *,
                 get_items: Callable | None = None, get_x: Callable | None = None, get_y: Callable | None = None,
                 splitter: Callable | None = None):
        rules = "pass rules=[...] to TextBlock for what shall change texts"
        for name, given, fix in (("dl_type", dl_type is not None, "the blocks decide which loader it is; leave it out"),
                                 ("n_inp", n_inp not in (None, 1), "a text is the one input; leave it out"),
                                 ("item_tfms", item_tfms, rules), ("batch_tfms", batch_tfms, rules)):
            if given:
                raise ArgumentError("E602", received=f"{name}=", expected="what makes sense for texts", fix=fix)
        self.blocks = [block() if isinstance(block, type) else block for block in listify(blocks)]
        kinds = [getattr(block, "kind", type(block).__name__) for block in self.blocks]
        self.text: TextBlock | Any = self.blocks[0] if self.blocks else None
        self.target: Any = None
        is_lm = getattr(self.text, "is_lm", False)
        if kinds[:1] != ["text"] or "text" in kinds[1:] or len(kinds) != (1 if is_lm else 2):
            raise ArgumentError("E602", received=f"blocks {kinds}", expected="a text and its target, or a text alone "
                                "for a language model", fix="pass blocks=(TextBlock.from_df(...), CategoryBlock), or "
                                "blocks=TextBlock.from_df(..., is_lm=True)")
        if not is_lm:
            self.target = self.blocks[1]
        x, y, *_ = *listify(getters), None, None
        self.get_items, self.splitter, self.get_x, self.get_y = get_items, splitter, get_x or x, get_y or y
        in_columns = isinstance(self.get_y, ColReader) and len(self.get_y.cols) > 1  # one for each class
        if getattr(self.target, "encoded", False) and self.get_y is not None and not in_columns:
            self.get_y = FromFlags(self.get_y, self.target.vocab)

    def __repr__(self) -> str:
        return described(self, *self.blocks)

    @delegates(with_model)
    def dataloaders(self, source: Any, path: str | Path = ".", verbose: bool = False, bs: int = 64,
                    val_bs: int | None = None, shuffle: bool = True, device: torch.device | str | None = None, *,
                    seed: int | None = None, labels: Sequence | None = None, **kwargs: Any) -> TextDataLoaders:
        """Return the loaders of a source.

        Args:
            path: the folder for what a learner saves.
            verbose: print each step.
            seed: for the order of the batches, and for the split if no splitter is given.
            labels: all classes in order, if the training rows do not have them all. All other arguments are those of
                `TextDataLoaders.from_df`, and override those of `TextBlock`.

        Raises: what `TextDataLoaders.from_df` raises. E207 for a target without `get_y`.
        """
        refuse_unknown(kwargs, self.dataloaders, with_model, assemble, but=("cls", "source", "splitter", "tokenizer"))
        read = self.read(source)
        splitter = self.splitter or DefaultSplitter(read.labels if read.target.one_class else None, seed=seed,
                                                    texts=read.texts if isinstance(read.texts, list) else None)
        split = checked_split(splitter, read.items)
        if verbose:
            show_source(self, read, split)
        if labels is None:
            labels = classes_of(self.target, self._label_columns(read.items), read.target)
        return with_model(TextDataLoaders, read, lambda _: split, path=path, labels=labels, bs=bs, val_bs=val_bs,
                          shuffle=shuffle, device=device, seed=seed, **{**self.text.settings, **kwargs})

    def datasets(self, source: Any, verbose: bool = False) -> Datasets:
        """Training and validation texts as pairs of ids and target: `.train[0]`, `.valid`, `.vocab`."""
        dls = self.dataloaders(source, verbose=verbose)
        return Datasets(dls.train_ds, dls.valid_ds, dls.vocab)

    def summary(self, source: Any, bs: int = 4, show_batch: bool = False, **kwargs: Any) -> None:
        """Print what each step makes of the first texts, up to a batch.

        If a step fails, the error follows the last one printed.
        """
        dls = self.dataloaders(source, verbose=True, bs=bs, **kwargs)
        show_rows(dls)
        if show_batch:
            dls.show_batch()

    def read(self, source: Any) -> Source:
        """Read texts and labels of a source. E104 for no items, E101 and E102 for texts, E202 and E207 for labels."""
        items = source if self.get_items is None else self.get_items(source)
        items = items if isinstance(items, pd.DataFrame) else list(items)
        if not len(items):
            raise TextError("E104", received="no items", expected="one or more",
                            fix="check the source and get_items: a folder needs get_items=get_text_files")
        total = len(items)
        texts, rows, names = self._texts(items)
        items = items.iloc[rows] if isinstance(items, pd.DataFrame) else [items[i] for i in rows]
        if self.target is None:
            return Source(texts, items, names=names, rows=rows, total=total)
        columns = self._label_columns(items)
        if columns is None:
            if self.get_y is None:
                raise LabelError("E207", received="a target without get_y", expected="what gives the label of an item",
                                 fix='pass get_y=ColReader("label") for a table, or get_y=parent_label for files')
            names["get_y"] = self.get_y
            columns = [values_of(self.get_y, items)]
        else:
            names |= {"label_cols": column_names(columns), "label_delim": getattr(self.get_y, "label_delim", None)}
        target, labels = read_labels(columns, delim=names.get("label_delim"), y_block=self.target, rows=rows)
        return Source(texts, items, labels, target, names, rows, self.target, total)

    def _label_columns(self, items: Sequence | pd.DataFrame) -> list[pd.Series] | None:
        """Return the columns of a table that the labels are in, or None where they come from somewhere else."""
        return self.get_y.columns(items) if self.target is not None and isinstance(self.get_y, ColReader) else None

    def _texts(self, items: Sequence | pd.DataFrame) -> tuple[Sequence | FileTexts, np.ndarray, dict]:
        """Return the texts, (M,) int64 positions of the items that have one, and how to find later texts."""
        getter, columns, names = self.get_x, None, dict[str, Any]()
        if isinstance(items, pd.DataFrame):
            if self.text.is_read_by(getter):
                columns = [find_column(items, col) for col in self.text.text_cols]
            elif getter is None:
                raise TextError("E102", received="a table without the name of its text column",
                                expected="the name of the column with the texts",
                                fix='pass TextBlock.from_df("text") or get_x=ColReader("text")')
            elif isinstance(getter, ColReader):
                columns = getter.columns(items)
            elif len(self.text.text_cols) == 1 and self.text.tok_text_col not in items.columns:
                column = find_column(items, self.text.text_cols[0])
                items = items.assign(**{self.text.tok_text_col: column})  # where fastai's rows have the texts
                same = all(isinstance(a, str) and a == b for a, b in zip(values_of(getter, items), column, strict=True))
                columns = [column] if same else None
        if columns is not None:
            names = {"text_cols": column_names(columns)}
        else:
            names = {} if getter is None else {"get_x": getter}
            columns = fields_in(values_of(getter, items))
            if len(columns) > 1:
                names["text_cols"] = tuple(range(len(columns)))
        if isinstance(next(iter(columns[0])), Path):
            names["encoding"] = self.text.encoding
            return FileTexts(columns[0], self.text.encoding), np.arange(len(items)), names
        words = self.target is not None and kind_of(self.target).places == "words"
        return *clean_texts(columns, self.text.on_missing, words=words), names
