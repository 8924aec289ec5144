"""`TextDataLoaders`: from a table or a folder to loaders. The model is found before its texts are tokenized.

It stands above the models, because a model brings the tokenizer and the vocabulary of its texts.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch

from ulmfit_easy._fastcore import delegates, listify
from ulmfit_easy.bundle.shipped import shipped_models
from ulmfit_easy.data import loaders
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.folders import PARTS, classes_of_files, folder_texts
from ulmfit_easy.data.loaders import Source, assemble, classes_of, column_names
from ulmfit_easy.data.prepare import given_tokenizer
from ulmfit_easy.data.sources import FileTexts, accepted, find_columns, read_texts
from ulmfit_easy.data.splits import ColSplitter, DefaultSplitter, FolderSplitter
from ulmfit_easy.data.tables import TableOnDisk, read_table
from ulmfit_easy.data.targets import TARGETS, CategoryTarget, NextToken, Target, kind_of, read_labels
from ulmfit_easy.data.targets.target import Block
from ulmfit_easy.errors import ArgumentError, FileError, TextError, refuse_unknown, some
from ulmfit_easy.learner.pretrained import PretrainedLM, direction_error, read_model
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.schema import checked, flag, function, language, list_of, optional, share, takes, text
from ulmfit_easy.text.look import SAMPLE, Look
from ulmfit_easy.text.tokenizers import Tokenizer, check_language
from ulmfit_easy.text.vocab import Vocab
from ulmfit_easy.user_code import warn_user

__all__ = ["TextDataLoaders"]


D = TypeVar("D", bound=DataLoaders)


def _objective(value: object) -> Target:
    """Return the target without labels that is meant by its name, its class or itself."""
    known = {name: target for name, target in TARGETS.filled().items() if not target.labelled}
    target = known.get(value) if isinstance(value, str) else value
    target = target.from_config({}) if isinstance(target, type) and issubclass(target, Target) else target
    if not isinstance(target, Target) or target.labelled:
        raise ValueError(f"one of {some(map(repr, known))}, or a target without labels, such as MaskedToken()")
    return target


SETTINGS = {**loaders.SETTINGS, "rules": optional(list_of(function)), "lang": language, "mark_fields": optional(flag),
            "splitter": optional(function)}


@delegates(assemble, but=["tokenizer"])
def with_model(cls: type[D], source: Source, splitter: Callable, *, tok_tfm: Callable | None,
               text_vocab: Vocab | Iterable[str] | None, backwards: bool,
               pretrained: bool | str | Path | PretrainedLM | TextLearner | None = True,
               rules: Sequence[Callable] | None = None, lang: str = "en", mark_fields: bool | None = None,
               objective: str | type[Target] | Target | None = None, **kwargs: Any) -> D:
    """Return the loaders of a source, with the tokenizer and vocabulary that a model brings. See `from_df`."""
    target: Target | Any = checked({"objective": optional(_objective)}, objective=objective)["objective"]
    if target is not None and source.target.labelled:
        raise ArgumentError("E603", received="objective= for texts with labels", expected="it with is_lm=True",
                            fix="leave it out")
    is_own = tok_tfm is not None or rules is not None
    if isinstance(tok_tfm, Tokenizer):
        check_language(tok_tfm.tok, lang)
    tokenizer = tok_tfm if isinstance(tok_tfm, Tokenizer) else Tokenizer(
        tok_tfm, rules, lang=lang, mark_fields=mark_fields)
    if isinstance(pretrained, TextLearner):
        if pretrained.dls.backwards != bool(backwards):
            raise direction_error("that learner", pretrained.dls.backwards, bool(backwards))
        tokenizer = (tokenizer if is_own else pretrained.dls.tokenizer).with_vocab(pretrained.dls.text_vocab)
        target = target or pretrained.dls.target
    elif pretrained is True:
        models = [] if is_own or text_vocab is not None else shipped_models()
        if fitting := [model for model in models if (model.lang, model.backwards) == (lang, bool(backwards))]:
            tokenizer = Tokenizer.from_config({**fitting[0].tokenizer, "mark_fields": mark_fields})
    elif pretrained is not None and pretrained is not False:
        found = read_model(pretrained, bool(backwards))
        if not is_own and (known := found.data.get("tokenizer")):
            tokenizer = given_tokenizer(known, None, fix="pass tok_tfm=Tokenizer(...) with the rules and the word "
                                        "splitter of that model")
        tokenizer = tokenizer.with_vocab(found.vocab)
        if not (known := TARGETS[found.config.get("task", NextToken.task)]).labelled:
            target = target or known.from_config(found.config.get("target", {}))
    if target and not target.labelled and not source.target.labelled:
        source = replace(source, target=target)
    dls = assemble(cls, source, splitter, tokenizer, text_vocab=text_vocab, backwards=backwards, **kwargs)
    if isinstance(pretrained, TextLearner):
        dls.encoder = pretrained.encoder.config()
    dls.pretrained = pretrained if isinstance(pretrained, str | Path | PretrainedLM) else None
    return dls


class TextDataLoaders(DataLoaders):
    """`DataLoaders` made from a table or a folder of texts."""

    @classmethod
    @delegates(with_model)
    @takes({**SETTINGS, "valid_pct": share, "label_delim": optional(text), "is_lm": flag})
    def from_df(cls, df: pd.DataFrame | TableOnDisk, path: str | Path = ".", valid_pct: float = 0.2,
                seed: int | None = None, text_col: int | str | Sequence = 0, label_col: int | str | Sequence | None = 1,
                label_delim: str | None = None, y_block: str | Block | None = None,
                text_vocab: Vocab | Iterable[str] | None = None, is_lm: bool = False,
                valid_col: int | str | None = None, tok_tfm: Callable | None = None, tok_text_col: str = "text",
                seq_len: int = 72, backwards: bool = False, bs: int = 64, val_bs: int | None = None,
                shuffle: bool = True, device: torch.device | str | None = None, *, on_missing: str = "raise",
                splitter: Callable | None = None, labels: Sequence | None = None, **kwargs: Any) -> "TextDataLoaders":
        """Make loaders from a table with a text column and, unless `is_lm`, one or more label columns.

        If the table is from Prodigy, only rows whose `answer` is "accept" keep their label.

        Args:
            text_col: the name or position of the column with texts. Several columns become one text, with a mark
                before each.
            label_col: the same for the labels. Several columns must have zeros and ones, one column for each class.
            valid_pct: the share of the rows for validation, drawn at random. In a small table each class has this
                share. Copies of a text are all in one set.
            valid_col: instead, a column that is true for the validation rows.
                    splitter: instead, a function from rows to two lists of positions, for training and validation.
            y_block: "category", "multi", "regression", "span" or "tags". By default one class for each text, or several
                if `label_delim` or more than one label column is given. Labels keep their Python type. For "tags" a
                text is a list of words, or a string with spaces between them, and so are its tags. See `read_conll`. A
                language model takes such lists too.
            pretrained: the language model that you will start from: its learner, its folder, or the language or name
                of an installed model, as for `read_lm`. The data gets its tokenizer and its vocabulary. Data for a
                language model adds the words of the training rows. True, the default, takes the tokenizer of the
                installed model for `lang`, and its vocabulary if it reads pieces of words. False takes neither.
            text_vocab: instead, a `Vocab` or a list of words. By default it is made from the training rows.
            tok_tfm: instead, a `Tokenizer`, or a function that splits texts into words. A `SentencePieceTokenizer`
                learns its pieces and its vocabulary from the training rows.
                    tok_text_col: Ignored; kept for fastai compatibility.
            seq_len: tokens that the model reads at once. Gradients stop at the end of each such window.
            seed: for the split and for the order of the batches.
            labels: all classes in order, if the training rows do not have them all.
            on_missing: what to do with rows without text: "raise" an error, "drop" them, or read them as an "empty"
                text. Messages number the rows as in `df`. A `splitter` sees only the rows that are left.
            objective: what a language model learns to guess: "lm" the next token, "mlm" hidden tokens, "bilm" the next
                token in both directions. `MaskedToken(whole_words=True)` is "mlm" with whole words hidden. By default
                as the `pretrained` model: "mlm" for BERT, else "lm".
            min_freq: how often a word must occur to be in the vocabulary.
                    max_vocab: the most words of the vocabulary. The most frequent ones are kept.
            rules, lang, mark_fields: settings of the tokenizer, as for `Tokenizer`. Not used if the tokenizer is that
                of a model, or is given as `tok_tfm`.
            cache_dir: the folder that keeps tokens, so that the same texts are tokenized only once.
                    n_workers: how many processes tokenize. By default one for short texts, else one for each
                        processor.
            balanced: draw each class equally often in training, so that rows of rare classes are repeated.
            weights: how often each row is drawn in training, relative to the others: one number for each row of `df`.
            max_tokens: the most tokens of a classifier's batch, padding included. It replaces `bs`.
            bptt_jitter: how much the batches of a language model differ in length. See `LMDataLoader`.
            num_workers, drop_last, pin_memory: Ignored; kept for fastai compatibility.

        Raises: E101 to E104 for the texts. E201 to E207 for the labels and the split. E301 for an empty vocabulary.
            E6xx for arguments.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_df)
        text_cols, label_cols = listify(text_col), [] if is_lm else listify(label_col)
        if isinstance(df, pd.DataFrame):
            find_columns(df, [*text_cols, *label_cols])  # one error for all that are not there
        words = is_lm or kind_of(y_block).places == "words"
        texts, kept, total, df, text_series = read_texts(df, text_cols, on_missing, words=words)
        if not is_lm and not label_cols:
            raise TextError("E102", received="no label_col", expected="the column of the labels",
                            fix='label_col="label", or is_lm=True for a language model, which needs none')
        series = find_columns(df, label_cols)
        if label_cols and (taught := accepted(df, [*text_series, *series])) is not None:
            if not isinstance(texts, list):
                raise FileError("E407", received="a table with rejected answers of Prodigy's, to be read in pieces",
                                expected="one without them", fix="leave out chunksize=")
            texts, kept, df = [texts[i] for i in taught], kept[taught], df.iloc[taught]
            series = [column.iloc[taught] for column in series]
        names: dict[str, Any] = {"text_cols": column_names(text_series), "label_cols": column_names(series),
                 "label_delim": label_delim}
        if shared := set(names["text_cols"]) & set(names["label_cols"]):
            warn_user(f"column {min(map(str, shared))!r} is both text and label; pass text_col= and label_col=")
        target: type[Target] = NextToken
        targets = None
        if not is_lm:
            target, targets = read_labels(series, delim=label_delim, y_block=y_block, rows=kept)
            labels = classes_of(y_block, series, target) if labels is None else labels
        look = None
        if valid_col is not None:
            splitter = ColSplitter(valid_col)
        elif splitter is None:
            look = Look(texts, SAMPLE).finish() if isinstance(texts, list) else texts.look
            splitter = DefaultSplitter(targets if target.one_class else None, valid_pct, seed, look.hashes)
        source = Source(texts, df, targets, target, names, kept, y_block, total, look=look)
        return with_model(cls, source, splitter, path=path, labels=labels, text_vocab=text_vocab, tok_tfm=tok_tfm,
                          seq_len=seq_len, backwards=backwards, bs=bs, val_bs=val_bs, shuffle=shuffle, device=device,
                          seed=seed, **kwargs)

    @classmethod
    @delegates(from_df)
    def from_csv(cls, path: str | Path, csv_fname: str = "labels.csv", header: int | str | None = "infer",
                 delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL, *, encoding: str = "utf-8",
                 chunksize: int | None = None, **kwargs: Any) -> "TextDataLoaders":
        """Make loaders from the table `path/csv_fname`, or from the file `path` itself. Then as `from_df`.

        All fields of CSV are read as text, labels too: `NA` and `1` are class names. JSON lines (`.jsonl`) and Parquet
        (`.parquet`) are read too, and keep their types. See `read_table`. `from_jsonl` and `from_parquet` are this.

        Args:
            chunksize: read the file in pieces of that many rows. Use it for CSV, JSON lines or Parquet that is larger
                than memory. Only the labels stay in memory. The file is read twice: for the labels, and to tokenize.
                `SentencePieceTokenizer` reads it once more to learn its pieces.

        Raises: E403, E404 and E407 for the file. E602 for an unknown `encoding`. E507 for Parquet without pyarrow. What
            `from_df` raises.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_csv, cls.from_df)
        path = Path(path)
        file, folder = (path / csv_fname, path) if path.is_dir() else (path, path.parent)
        options: dict[str, Any] = {"encoding": encoding, "header": header, "delimiter": delimiter, "quoting": quoting}
        df = TableOnDisk(file, chunksize, **options) if chunksize else read_table(file, **options)
        return cls.from_df(df, path=folder, **kwargs)

    from_jsonl = from_parquet = from_csv

    @classmethod
    @delegates(with_model)
    @takes({**SETTINGS, "valid_pct": optional(share), "is_lm": flag})
    def from_folder(cls, path: str | Path, train: str = "train", valid: str = "valid", valid_pct: float | None = None,
                    seed: int | None = None, vocab: Sequence | None = None,
                    text_vocab: Vocab | Iterable[str] | None = None, is_lm: bool = False,
                    tok_tfm: Callable | None = None, seq_len: int = 72, splitter: Callable | None = None,
                    backwards: bool = False, bs: int = 64, val_bs: int | None = None, shuffle: bool = True,
                    device: torch.device | str | None = None, *, extensions: Sequence[str] = (".txt",),
                    encoding: str = "utf-8", **kwargs: Any) -> "TextDataLoaders":
        """Make loaders from text files such as `path/train/pos/1.txt`, of which `pos` is the class.

        Texts may lie deeper in that folder. A warning counts the files that are left out: those in no folder of a
        class, and those of other extensions.

        Args:
            valid_pct: draw this fraction of all files under `path` instead of using the two folders. A class is then
                the first folder under `path`, or under its folders `train`, `valid` and `test`, if it has these.
            vocab: every class, in order.
            extensions: the endings of text files. All other arguments are those of `from_df`.

        Raises: E207 if no file is in the folder of a class. E403 for a file in another encoding. E404 for a missing
            folder. What `from_df` raises.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_folder)
        folders = [train, valid] if valid_pct is None and splitter is None else None
        if folders and Path(path).is_dir() and (gone := [f for f in folders if not (Path(path) / f).is_dir()]):
            raise FileError("E404", received=f"{path} without a folder {gone[0]!r}",
                            expected="a folder to train on and one to validate with",
                            fix='name yours with train= and valid=, or pass valid_pct=0.2 to draw from all files')
        files, targets = folder_texts(path, folders, extensions), None
        if not is_lm:
            files, targets = classes_of_files(path, files, {train, valid, *(PARTS if folders is None else ())})
        if splitter is None:
            splitter = (FolderSplitter(path, train, valid) if valid_pct is None
                        else DefaultSplitter(targets, valid_pct, seed))
        source = Source(FileTexts(files, encoding), files, targets, NextToken if is_lm else CategoryTarget,
                        {"encoding": encoding}, classes_argument="vocab")
        return with_model(cls, source, splitter, path=path, labels=vocab, text_vocab=text_vocab, tok_tfm=tok_tfm,
                          seq_len=seq_len, backwards=backwards, bs=bs, val_bs=val_bs, shuffle=shuffle, device=device,
                          seed=seed, **kwargs)
