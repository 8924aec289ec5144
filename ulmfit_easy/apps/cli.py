"""The command line: `ulmfit train`, `predict`, `lm`, `pretrain`, `evaluate-lm`, `convert`, `toy` and `demo`."""

import argparse
import csv
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from ulmfit_easy.apps import convert, predictions, pretraining
from ulmfit_easy.apps.flags import at_command_line, next_line, same_flags
from ulmfit_easy.errors import ArgumentError, FileError, UlmfitError
from ulmfit_easy.terminal import say

TABLE = "a table (.csv, .tsv, .jsonl or .json, also as .gz; .xlsx; .parquet), or a folder"


def delimiter(text: str) -> str:
    """Return a character between columns, as a shell can pass it."""
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, such as ';', or tab")
    return text


# the options of several commands, and how they read a file
FILE = {"file": {"type": Path, "metavar": "FILE", "help": f"{TABLE} of .txt files"}}
COLUMN = {"--text": {"default": "text", "metavar": "COL", "help": "column with the texts"}}
TRAINING: dict[str, dict] = {
    "--preset": {"metavar": "NAME", "help": "laptop, fastai, paper, code_2018 or transformer: how to train (default: "
                                            "laptop; transformer for encoders of the library transformers)"},
    "--backwards": {"action": "store_true", "help": "read texts from their end"},
    "--lang": {"default": "en", "metavar": "CODE", "help": "language of the tokenizer"},
    "--seed": {"type": int, "metavar": "N", "help": "same seed, same data, same machine: same model (default: another "
                                                    "one each time)"},
}
START = {"--from-scratch": {"dest": "pretrained", "action": "store_const", "const": False,
                            "help": "start from random weights: learn the language from these texts alone"}}
READING: dict[str, dict] = {
    "--encoding": {"default": "utf-8", "metavar": "NAME", "help": "of the texts"},
    "--delimiter": {"type": delimiter, "metavar": "CHAR",
                    "help": "between the columns of a table: one character, or tab (default: as the file has it)"},
    "--no-quotes": {"dest": "quoting", "action": "store_const", "const": csv.QUOTE_NONE, "default": csv.QUOTE_MINIMAL,
                    "help": 'take " in a table for an ordinary character'},
}


def parser() -> argparse.ArgumentParser:
    """Return the arguments of all commands."""
    main = argparse.ArgumentParser(prog="ulmfit", description="Classify texts with few labels: ULMFiT.")
    main.add_argument("--version", action=Version, nargs=0, default=argparse.SUPPRESS, help="show the version and end")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add(commands, "train", run_train, "train a classifier on a table or a folder of labelled texts", {
        "file": {"type": Path, "metavar": "FILE", "help": f"{TABLE} with one folder of .txt files per class"},
        **COLUMN,
        "--label": {"default": "label", "metavar": "COL", "help": "column with the labels"},
        "--unlabelled": {"type": Path, "metavar": "FILE", "action": "append", "default": [],
                         "help": "more texts, for the language model; may be given several times"},
        "--out": {"type": Path, "default": Path("ulmfit-model"), "metavar": "DIR", "help": "where the model goes"},
        "--encoder": {"metavar": "MODEL", "help": "another encoder, with its weights: minilm or smollm2, if installed; "
                      "a folder that transformers saved; a .gguf file (default: that of --pretrained)"},
        "--bidir": {"action": "store_true", "help": "a forward and a backward model; twice the time"},
        "--class-weight": {"choices": ["balanced"], "help": "let rare classes count as much as common ones"},
        "--quiet": {"action": "store_true", "help": "print errors only"},
        **TRAINING, **READING}, {
        "--pretrained": {"type": Path, "metavar": "DIR", "action": "append",
                         "help": "an exported language model to start from; with --bidir twice, forwards and "
                         "backwards (default: the one that comes with the library, for English)"},
        **START})
    add(commands, "predict", predictions.run_predict, "classify the texts of a table or a folder", {
        "model": {"type": Path, "metavar": "DIR", "help": "what `ulmfit train` wrote"},
        **FILE,
        "--text": {"metavar": "COL", "help": "column with the texts (default: the one that the model learned from)"},
        "--out": {"type": Path, "metavar": "FILE", "help": "where the table of predictions goes; the ending is one of "
                  + ", ".join(predictions.FORMS) + " (default: CSV to standard output)"},
        "--safe-cells": {"action": "store_true", "help": "put a ' before text that a spreadsheet would run as a "
                         "formula, in predictions too"},
        **READING})
    add(commands, "lm", run_lm, "train a language model on the unlabelled texts of a table or a folder", {
        **FILE, **COLUMN,
        "--out": {"type": Path, "default": Path("ulmfit-lm"), "metavar": "DIR", "help": "where the model goes"},
        **TRAINING, **READING}, {
        "--pretrained": {"type": Path, "metavar": "DIR", "help": "an exported language model to go on with (default: "
                         "the one that comes with the library, for English)"},
        **START})
    pretraining.add_parser(commands)
    convert.add_parser(commands)
    add(commands, "toy", run_toy, "write made-up reviews with labels, to try the other commands on", {
        "--out": {"type": Path, "default": Path("reviews.csv"), "metavar": "FILE", "help": "a new file; its ending is "
                  "one of " + ", ".join(predictions.FORMS)},
        "--rows": {"type": int, "default": 300, "metavar": "N", "help": "number of reviews (default: 300)"},
        "--seed": {"type": int, "default": 0, "metavar": "N", "help": "same seed, same reviews"}})
    add(commands, "demo", run_demo_command, "the three stages on real movie reviews (`make demo` fetches them)", {
        "--data": {"type": Path, "default": Path("demo-data/vaderSentiment-2.5.tar.gz"), "metavar": "FILE",
                   "help": "the archive with the reviews"},
        "--out": {"type": Path, "default": Path("demo-output"), "metavar": "DIR", "help": "where the plots go"},
        "--seed": {"type": int, "default": 0, "metavar": "N",
                   "help": "chooses the reviews and starts all random numbers"}})
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return main


def add(commands: "argparse._SubParsersAction", name: str, run: Callable[[argparse.Namespace], None], what: str,
        options: dict[str, dict], one_of: dict[str, dict] | None = None) -> None:
    """Add a command with its options, each told with its default; of `one_of` a user may choose one."""
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(run=run)
    tables = [(command, options), *([(command.add_mutually_exclusive_group(), one_of)] if one_of else [])]
    for where, table in tables:
        for option, settings in table.items():
            if isinstance(default := settings.get("default"), str | Path) or option == "--seed" and default == 0:
                settings = {**settings, "help": f"{settings['help']} (default: {default})"}
            where.add_argument(option, **settings)


class Version(argparse.Action):
    """Show the version of the package, which is looked up only for this."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import ulmfit_easy

        say(f"ulmfit {ulmfit_easy.__version__}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; an error in what the user gave is one line on standard error and exit status 2.

    Ctrl-C gives 130, and a reader of the output that stopped reading 1. A stream that is closed is none to write to.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this; no other file may get its number
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if hasattr(sys.stdout, "reconfigure"):  # a notebook's cannot
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file can be anything
    command = None
    try:
        args = parser().parse_args(argv)
        command = args.parser
        with warnings.catch_warnings():
            quiet = getattr(args, "quiet", False)
            warnings.showwarning = lambda message, *_, **__: None if quiet else complain(message, command)
            args.run(args)
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough; the rest of the output must go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UlmfitError, OSError) as e:  # the second: a full disk, a forbidden folder
        complain(e, command)
        return 2
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    return 0


def complain(message: Exception | str, command: argparse.ArgumentParser | None = None) -> None:
    """One line on standard error, in the words of the command line."""
    text = str(message) if command is None else at_command_line(message, command)
    kind = ["warning:"] if isinstance(message, Warning) else []
    rows = ["(rows count from 0)"] if re.search(r"\brows? \d", text) else []
    say(" ".join(["ulmfit:", *kind, *text.split(), *rows]), sys.stderr)


def run_train(args: argparse.Namespace) -> None:
    import pandas as pd

    from ulmfit_easy.apps.sources import read_any, texts_in
    from ulmfit_easy.data.sources import accepted
    from ulmfit_easy.files import free_place
    from ulmfit_easy.recipes.estimator import ULMFiT, foreign_to_estimator

    older = free_place(args.out, foreign_to_estimator).is_dir() and any(args.out.iterdir())
    df = read_any(args.file, [args.text, args.label], args)
    if (rows := accepted(df, [df[args.text], df[args.label]])) is not None:
        df = df.iloc[rows]
    more = [text for file in args.unlabelled for text in texts_in(read_any(file, [args.text], args), args.text)]
    pretrained = True if args.pretrained is None else args.pretrained
    if pretrained and pretrained is not True and not args.bidir:
        if len(pretrained) > 1:
            raise ArgumentError("E603", received="--pretrained twice", expected="--bidir with it",
                                fix="add --bidir, or name one model")
        pretrained = pretrained[0]
    if args.bidir and args.backwards:
        raise ArgumentError("E603", received="--bidir and --backwards", expected="one of the two",
                            fix="leave --backwards out: --bidir trains both directions")
    model = ULMFiT(preset=args.preset, pretrained=pretrained, backwards=args.backwards, bidir=args.bidir,
                   lang=args.lang, class_weight=args.class_weight, seed=args.seed, verbose=not args.quiet,
                   encoder=args.encoder)
    if older and not args.quiet:
        say(f"The model of {date.fromtimestamp(args.out.stat().st_mtime)} in {args.out} will be replaced. --out names "
            "another folder.")
    texts = pd.Series(texts_in(df, args.text), name=args.text, dtype=object)
    model.fit(texts, df[args.label], more or None)
    keep(model.save, args.out)
    if not args.quiet:
        say(f"Saved to {args.out}. Next: " + next_line("predict", args.out, "FILE", *same_flags(
            args, "encoding", "delimiter", "quoting")))


def keep(save: Callable[[Path], object], out: Path) -> None:
    """Save what was trained; in a temporary folder, with E411 that names it, if its own place is no longer free."""

    try:
        save(out)
    except (UlmfitError, OSError) as e:
        spare = Path(tempfile.mkdtemp(prefix="ulmfit-")) / "model"
        save(spare)
        raise FileError("E411", received=f"{getattr(e, 'received', e)}, when the training was over",
                        expected="the place as it was before the training",
                        fix=f"move the model from {spare}, where it was saved instead") from e


def run_lm(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.sources import read_any
    from ulmfit_easy.files import free_place
    from ulmfit_easy.learner.pretrained import read_lm, shipped_lm
    from ulmfit_easy.learner.seeds import set_seed
    from ulmfit_easy.recipes.inputs import empty_rows, rows_read
    from ulmfit_easy.recipes.stages import finetune_lm, lm_data, new_lm, preset_for, pretrain_lm

    free_place(args.out)
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


def run_toy(args: argparse.Namespace) -> None:
    from ulmfit_easy.data.toy import toy_reviews
    from ulmfit_easy.schema import checked, whole

    checked({"rows": whole()}, rows=args.rows)
    form = predictions.form_of(args.out, "reviews.csv")
    if args.out.is_file():
        raise FileError("E411", received=f"{args.out}, a file that is there already", expected="the name of a new file",
                        fix="choose another name with --out, or delete the file")
    predictions.write(toy_reviews(args.rows, args.seed), args.out, form)
    then = f"{next_line('train', args.out)}, or keep it to test with"
    say(f"Saved {args.rows:,} reviews to {args.out}. Next: {then}")


def run_demo_command(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.demo import run_demo

    if not args.data.exists():
        raise FileError("E404", received=f"no file {args.data}", expected="the archive with the demo's texts",
                        fix="run `make demo`, which fetches it, or name it with --data")
    run_demo(args.data, args.out, seed=args.seed)


if __name__ == "__main__":
    sys.exit(main())
