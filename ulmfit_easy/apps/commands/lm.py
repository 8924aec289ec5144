"""`ulmfit lm`: a language model from the unlabelled texts of a table or a folder."""

import argparse
from pathlib import Path
from typing import Any

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line, same_flags
from ulmfit_easy.apps.options import CHANGES, CHUNKSIZE, FILE, READING, START, SUBWORD, TEXTS, TRAINING
from ulmfit_easy.apps.resuming import RESUME, run_folder
from ulmfit_easy.apps.saving import OVERWRITE, keep, model_place
from ulmfit_easy.errors import ArgumentError, TextError, counted
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.presets import preset_given
    from ulmfit_easy.bundle.artefact import foreign_to_bundle

    args.preset = preset_given(args.preset)
    model_place(args.out, args.overwrite, foreign_to_bundle)
    with run_folder(args) as folder:
        _train(args, folder)
    say(f"Saved to {args.out}. Next: " + next_line("train", "FILE", "--pretrained", args.out, *same_flags(
        args, "text", "backwards", "encoding", "delimiter", "quoting")))


def _train(args: argparse.Namespace, folder: Path) -> None:
    import numpy as np

    from ulmfit_easy.apps.sources import on_disk, read_any, texts_in
    from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
    from ulmfit_easy.learner.pretrained import read_lm, shipped_lm
    from ulmfit_easy.learner.seeds import set_seed
    from ulmfit_easy.recipes.inputs import empty_rows, rows_read, without
    from ulmfit_easy.recipes.on_disk import FileCorpus
    from ulmfit_easy.recipes.presets import CHANGES as CHECKS
    from ulmfit_easy.recipes.stages import finetune_lm, lm_data, new_lm, preset_for, pretrain_lm
    from ulmfit_easy.schema import checked, whole
    from ulmfit_easy.text.subword import SentencePieceTokenizer

    changes = checked(CHECKS, **{name: getattr(args, name) for name in CHECKS})
    own: dict[str, Any] = {}
    pretrained = args.pretrained
    if args.subword is not None:
        checked({"subword": whole(10)}, subword=args.subword)
        if args.pretrained:
            raise ArgumentError("E603", received="--subword and --pretrained", expected="one of the two",
                                fix="leave one of them out: a model brings its tokenizer")
        own, pretrained = {"tok_tfm": SentencePieceTokenizer(lang=args.lang, vocab_sz=args.subword)}, False
    set_seed(args.seed)
    preset_for(args.preset, None)  # an error before the texts are read
    columns = args.text or ["text"]

    def read(file: Path) -> tuple[list[str], list[int]]:
        texts = texts_in(read_any(file, columns, args, len(columns)), *columns)
        texts = texts if len(columns) == 1 else [field for text in texts for field in text]
        return texts, empty_rows(texts)

    aside = without(*read(args.valid)) if args.valid else []
    if args.valid:
        own["splitter"] = lambda rows: (np.arange(len(aside), len(rows)), np.arange(len(aside)))
    kept: list | FileCorpus
    if args.chunksize is None:
        texts, empty = read(args.file)
        said = f"{rows_read(len(texts), empty, note=', left out')}."
        if len(empty) == len(texts):
            raise TextError("E104", received=f"a table of {counted(len(texts), 'row')}, none of them with a text",
                            expected="one or more", fix="look at the table, or name another column with --text")
        kept = [*aside, *without(texts, empty)]
    else:
        kept, said = FileCorpus(aside, on_disk([args.file], columns, args), columns), f"Reads {args.file} in pieces."
    start = shipped_lm(args.lang, args.backwards) if pretrained is None else (
        read_lm(pretrained, args.backwards) if pretrained else None)
    p = preset_for(args.preset, start).tuned("lm" if start else "pretrain", **changes)
    say(said)
    dls = lm_data(kept, p, start, seed=args.seed, backwards=args.backwards, lang=args.lang, **own)
    learn = new_lm(dls, p, start)
    (finetune_lm if start else pretrain_lm)(learn, p, cbs=CheckpointCallback(folder, resume=args.resume))
    keep(learn.export, args.out.absolute())  # a relative path would be one under learn.path


COMMAND = Command(
    "lm", "train a language model on the unlabelled texts of a table or a folder", run,
    ("lm corpus.csv --text text --out my-lm", "lm corpus.csv --lang fi --subword 8000 --epochs 5"),
    {**FILE, **TEXTS,
     "--valid": {"type": Path, "metavar": "FILE", "help": "texts to validate with (default: one row in ten)"},
     "--out": {"type": Path, "default": Path("ulmfit-lm"), "metavar": "DIR", "help": "where the model goes"},
     **OVERWRITE, **RESUME, **CHUNKSIZE, **TRAINING, **CHANGES, **SUBWORD, **READING},
    one_of={"--pretrained": {"type": Path, "metavar": "DIR", "help": "an exported language model to go on with "
                             "(default: the one that comes with the library, for `--lang`)"}, **START},
    also=("language-model", "unsupervised"), order=5)
