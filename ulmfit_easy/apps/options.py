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
TEXT: Options = {"--text": {"default": "text", "metavar": "COL", "help": "column with the texts"}}
LABEL: Options = {"--label": {"default": "label", "metavar": "COL", "help": "column with the labels"}}
TRAINING: Options = {
    "--preset": {"metavar": "NAME", "help": "laptop, fastai, paper, code_2018 or transformer: how to train (default: "
                                            "laptop; transformer for encoders of the library transformers)"},
    "--backwards": {"action": "store_true", "help": "read texts from their end"},
    "--lang": {"default": "en", "metavar": "CODE", "help": "language of the tokenizer"},
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
