"""`ulmfit lm`: a language model from the unlabelled texts of a table or a folder."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line, same_flags
from ulmfit_easy.apps.options import FILE, READING, START, TEXT, TRAINING
from ulmfit_easy.apps.saving import OVERWRITE, keep, model_place
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.sources import read_any
    from ulmfit_easy.bundle.artefact import foreign_to_bundle
    from ulmfit_easy.learner.pretrained import read_lm, shipped_lm
    from ulmfit_easy.learner.seeds import set_seed
    from ulmfit_easy.recipes.inputs import empty_rows, rows_read
    from ulmfit_easy.recipes.stages import finetune_lm, lm_data, new_lm, preset_for, pretrain_lm

    model_place(args.out, args.overwrite, foreign_to_bundle)
    if args.seed is not None:
        set_seed(args.seed)
    preset_for(args.preset, None)  # an error before the texts are read
    texts = read_any(args.file, [args.text], args)[args.text].astype(object).reset_index(drop=True)
    texts.iloc[empty := empty_rows(texts)] = None
    pretrained = shipped_lm(args.lang, args.backwards) if args.pretrained is None else (
        read_lm(args.pretrained, args.backwards) if args.pretrained else None)
    p = preset_for(args.preset, pretrained)
    say(f"{rows_read(len(texts), empty, note=', left out')}.")
    dls = lm_data(texts, p, pretrained, on_missing="drop", seed=args.seed, backwards=args.backwards, lang=args.lang)
    learn = new_lm(dls, p, pretrained)
    (finetune_lm if pretrained else pretrain_lm)(learn, p)
    keep(learn.export, args.out.absolute())  # a relative path would be one under learn.path
    say(f"Saved to {args.out}. Next: " + next_line("train", "FILE", "--pretrained", args.out, *same_flags(
        args, "text", "backwards", "encoding", "delimiter", "quoting")))


COMMAND = Command(
    "lm", "train a language model on the unlabelled texts of a table or a folder", run,
    ("lm corpus.csv --text text --out my-lm",),
    {**FILE, **TEXT,
     "--out": {"type": Path, "default": Path("ulmfit-lm"), "metavar": "DIR", "help": "where the model goes"},
     **OVERWRITE, **TRAINING, **READING},
    one_of={"--pretrained": {"type": Path, "metavar": "DIR", "help": "an exported language model to go on with "
                             "(default: the one that comes with the library, for English)"}, **START},
    also=("language-model", "unsupervised"), order=5)
