"""Options that several commands have, as tables."""

import argparse
import csv
from pathlib import Path

from ulmfit_easy.apps.command import Options

TABLE = "a table (.csv, .tsv, .jsonl or .json, also as .gz; .xlsx; .parquet), or a folder"


def delimiter(text: str) -> str:
    """Return a character between columns, as a shell can pass it."""
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, such as ';', or tab")
    return text


FILE: Options = {"file": {"type": Path, "metavar": "FILE", "help": f"{TABLE} of .txt files"}}
LABELLED: Options = {"file": {"type": Path, "metavar": "FILE",
                              "help": f"{TABLE} with one folder of .txt files per class"}}
MODEL: Options = {"model": {"type": Path, "metavar": "DIR", "help": "what `ulmfit train` wrote, or `learn.export` in "
                            "Python"}}
OF_TRAINING: Options = {"--text": {"action": "append", "metavar": "COL", "help": "column with the texts; may be given "
                                   "several times (default: those that the model learned from)"}}
TEXTS: Options = {"--text": {"action": "append", "metavar": "COL", "help": "column with the texts; several times for "
                             "texts that belong together, such as pairs (default: text)"}}
KIND: Options = {
    **TEXTS,
    "--label": {"metavar": "COL", "help": "column with the labels (default: label)"},
    "--label-delim": {"metavar": "CHAR", "help": "what stands between the labels of a text that may have several, such "
                      "as ;"},
    "--task": {"metavar": "KIND", "help": "category, one class for each text; multi, several; regression, a number; "
               "tags, one for each word; span, an answer in a text (default: as the file has it: category, if the "
               "labels are no lists)"}}
CHANGES: Options = {
    "--epochs": {"type": int, "metavar": "N", "help": "in which all layers train (default: the preset's)"},
    "--lr": {"type": float, "metavar": "X", "help": "highest learning rate of these epochs (default: the preset's)"},
    "--bs": {"type": int, "metavar": "N", "help": "rows of a batch (default: the preset's)"},
    "--min-freq": {"type": int, "metavar": "N", "help": "how often a word must be there to be known (default: the "
                   "preset's)"}}
CHUNKSIZE: Options = {"--chunksize": {"type": int, "metavar": "N", "help": "read a table of unlabelled texts "
                                      "N rows at a time: it may be larger than memory (default: all at once)"}}
SUBWORD: Options = {"--subword": {"type": int, "metavar": "N", "help": "N pieces of words instead of words, by "
                                  "SentencePiece: for languages with rich endings or no blanks"}}
PROCESSES: Options = {"--processes": {"type": int, "default": 1, "metavar": "N", "help": "train in N processes, as "
                                      "one for each GPU; a batch has N times as many rows (default: 1)"}}
TRAINING: Options = {
    **PROCESSES,
    "--preset": {"metavar": "NAME", "help": "laptop, fastai, paper, code_2018 or transformer: how to train; or a file "
                 "of `ulmfit tune` (default: laptop; transformer for encoders of the library transformers)"},
    "--backwards": {"action": "store_true", "help": "read texts from their end"},
    "--lang": {"default": "en", "metavar": "CODE", "help": "language of the texts"},
    "--seed": {"type": int, "metavar": "N", "help": "same seed, same data, same machine: same model (default: another "
                                                    "one each time)"},
}
START: Options = {"--from-scratch": {"dest": "pretrained", "action": "store_const", "const": False,
                                     "help": "start from random weights: learn the language from these texts alone"}}
READING: Options = {
    "--encoding": {"default": "utf-8", "metavar": "NAME", "help": "of the texts"},
    "--delimiter": {"type": delimiter, "metavar": "CHAR",
                    "help": "between the columns of a table: one character, or tab (default: as the file has it)"},
    "--no-quotes": {"dest": "quoting", "action": "store_const", "const": csv.QUOTE_NONE, "default": csv.QUOTE_MINIMAL,
                    "help": 'take " in a table for an ordinary character'},
}
CLUSTER: Options = {
    "--scheduler": {"metavar": "ADDRESS", "help": "do the work on a Dask cluster: its address, such as "
                    "tcp://10.0.0.1:8786, or local for processes on this machine (default: this process alone)"},
    "--workers": {"type": int, "metavar": "N", "help": "processes of --scheduler local (default: one per processor)"},
}
