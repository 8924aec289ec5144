"""The command line: `ulmfit train`, `predict`, `lm`, `pretrain`, `evaluate-lm`, `convert` and `demo`."""

import argparse
import csv
import os
import sys
import warnings
from pathlib import Path

from ulmfit_easy.apps import convert, pretraining
from ulmfit_easy.errors import UlmfitError


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    main = argparse.ArgumentParser(prog="ulmfit", description="Classify texts with few labels: ULMFiT.")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a classifier on a table or a folder of labelled texts")
    train.add_argument("file", type=Path, help="CSV, TSV, either as .gz, or a folder with one folder a class")
    train.add_argument("--text", default="text", metavar="COL", help="column with the texts (default: text)")
    train.add_argument("--label", default="label", metavar="COL", help="column with the labels (default: label)")
    train.add_argument("--unlabelled", type=Path, metavar="FILE", help="more texts, for the language model")
    train.add_argument("--out", type=Path, default=Path("ulmfit-model"), metavar="DIR", help="where the model goes")
    train.add_argument("--preset", default="laptop", help="laptop, fastai, paper or code_2018 (default: laptop)")
    start = train.add_mutually_exclusive_group()
    start.add_argument("--pretrained", type=Path, metavar="DIR", action="append",
                       help="an exported language model to start from; with --bidir twice, forwards and backwards "
                       "(default: the one that comes with the library, for English)")
    start.add_argument("--from-scratch", action="store_true", help="learn the language from these texts alone")
    train.add_argument("--backwards", action="store_true", help="read texts from their end")
    train.add_argument("--bidir", action="store_true", help="a forward and a backward model; twice the time")
    train.add_argument("--lang", default="en", help="language of the tokenizer (default: en)")
    train.add_argument("--class-weight", choices=["balanced"], help="let rare classes count as much as common ones")
    train.add_argument("--seed", type=int)
    train.add_argument("--quiet", action="store_true", help="print errors only")
    train.set_defaults(run=run_train)

    predict = commands.add_parser("predict", help="classify the texts of a table or a folder")
    predict.add_argument("model", type=Path, metavar="DIR", help="what `ulmfit train` wrote")
    predict.add_argument("file", type=Path)
    predict.add_argument("--text", default="text", metavar="COL")
    predict.add_argument("--out", type=Path, metavar="CSV", help="default: standard output; in both, text that a "
                         "spreadsheet would run as a formula has a ' before it")
    predict.set_defaults(run=run_predict)

    lm = commands.add_parser("lm", help="train a language model on the unlabelled texts of a table or a folder")
    lm.add_argument("file", type=Path)
    lm.add_argument("--text", default="text", metavar="COL")
    lm.add_argument("--out", type=Path, default=Path("ulmfit-lm"), metavar="DIR")
    lm.add_argument("--preset", default="laptop")
    start = lm.add_mutually_exclusive_group()
    start.add_argument("--pretrained", type=Path, metavar="DIR", help="an exported language model to go on with "
                       "(default: the one that comes with the library, for English)")
    start.add_argument("--from-scratch", action="store_true", help="start from random weights")
    lm.add_argument("--backwards", action="store_true")
    lm.add_argument("--lang", default="en")
    lm.add_argument("--seed", type=int)
    lm.set_defaults(run=run_lm)

    for command in (train, predict, lm):
        command.add_argument("--encoding", default="utf-8", help="of the texts (default: utf-8)")
        command.add_argument("--no-quotes", dest="quoting", action="store_const", const=csv.QUOTE_NONE,
                             default=csv.QUOTE_MINIMAL, help='take " in a table for an ordinary character')

    pretraining.add_parser(commands)
    convert.add_parser(commands)

    demo = commands.add_parser("demo", help="the three stages on real movie reviews (`make demo` fetches them)")
    demo.add_argument("--data", type=Path, default=Path("demo-data/vaderSentiment-2.5.tar.gz"))
    demo.add_argument("--out", type=Path, default=Path("demo-output"))
    demo.add_argument("--seed", type=int, default=0, help="chooses the reviews and starts all random numbers")
    demo.set_defaults(run=run_demo_command)
    return main


def main(argv=None) -> int:
    """Run a command; an error in what the user gave is one line on standard error and exit status 2.

    Ctrl-C gives 130, and a reader of the output that stopped reading 1.
    """
    args = parser().parse_args(argv)
    if hasattr(sys.stdout, "reconfigure"):  # a notebook's cannot
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file can be anything
    try:
        with warnings.catch_warnings():
            quiet = getattr(args, "quiet", False)
            warnings.showwarning = lambda message, *_, **__: None if quiet else complain(message)
            args.run(args)
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough; the rest of the output must go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UlmfitError, OSError) as e:  # the second: a full disk, a forbidden folder
        complain(e)
        return 2
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    return 0


def complain(message):
    """One line on standard error."""
    print("ulmfit:", *str(message).split(), file=sys.stderr)


def run_train(args):
    from ulmfit_easy.errors import TrainingError
    from ulmfit_easy.files import free_place
    from ulmfit_easy.recipes.estimator import ULMFiT, foreign_to_estimator

    free_place(args.out, foreign_to_estimator)
    df = read_any(args.file, [args.text, args.label], args)
    more = None if args.unlabelled is None else read_any(args.unlabelled, [args.text], args)[args.text]
    pretrained = args.pretrained or not args.from_scratch
    if args.pretrained and not args.bidir:
        if len(args.pretrained) > 1:
            raise TrainingError("E502", received="--pretrained twice", expected="--bidir with it",
                                fix="add --bidir, or name one model")
        pretrained = args.pretrained[0]
    if args.bidir and args.backwards:
        raise TrainingError("E502", received="--bidir and --backwards", expected="one of the two",
                            fix="leave --backwards out: --bidir trains both directions")
    model = ULMFiT(preset=args.preset, pretrained=pretrained, backwards=args.backwards, bidir=args.bidir,
                   lang=args.lang, class_weight=args.class_weight, seed=args.seed, verbose=not args.quiet)
    model.fit(df[args.text], df[args.label], more).save(args.out)
    if not args.quiet:
        print(f"Saved to {args.out}. Next: ulmfit predict {args.out} FILE")


def run_predict(args):
    from ulmfit_easy.errors import FileError, TrainingError
    from ulmfit_easy.files import atomic_path, writable
    from ulmfit_easy.recipes.estimator import ULMFiT

    if args.out in (Path("-"), Path("/dev/stdout")):
        args.out = None  # that file would be written anew, where a shell adds to it
    if args.out is not None and writable(args.out).is_dir():
        raise TrainingError("E502", received=f"--out {args.out}, a folder", expected="the name of a CSV file",
                            fix=f"try --out {args.out / 'predictions.csv'}")
    df = read_any(args.file, [args.text], args)
    if taken := {"prediction", "probability"} & set(df.columns):
        raise FileError("E407", received=f"{args.file} with a column {min(taken)!r}", expected="no such column yet",
                        fix="rename it, so that it is not overwritten")
    model = ULMFiT.load(args.model)
    probs = model.predict_proba(df[args.text])
    df = df.assign(prediction=model.classes_[probs.argmax(1)], probability=probs.max(1).round(4))
    df = without_formulas(df)
    form = {"index": False, "quoting": csv.QUOTE_NONNUMERIC}  # a text with a lone \r in it stays one row
    if args.out is None:
        if hasattr(sys.stdout, "reconfigure"):  # a notebook's cannot
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # as in a file, whatever the terminal's is
        df.to_csv(sys.stdout, **form)
    else:
        with atomic_path(args.out) as tmp:
            df.to_csv(tmp, errors="replace", **form)  # JSON may hold halves of characters, which no UTF-8 can


def without_formulas(df):
    """The table with a ' before text that a spreadsheet would run; whole numbers stay whole."""
    import pandas as pd

    from ulmfit_easy.viz import no_formula

    return pd.DataFrame({no_formula(c): pd.Series([no_formula(v) for v in df[c]], df.index, object) for c in df},
                        df.index)


def run_lm(args):
    from ulmfit_easy.files import free_place
    from ulmfit_easy.learner.pretrained import shipped_lm
    from ulmfit_easy.learner.seeds import set_seed
    from ulmfit_easy.recipes.finetune import finetune_lm
    from ulmfit_easy.recipes.presets import get_preset
    from ulmfit_easy.recipes.pretrain import lm_data, new_lm, pretrain_lm

    free_place(args.out)
    if args.seed is not None:
        set_seed(args.seed)
    p = get_preset(args.preset)
    texts = read_any(args.file, [args.text], args)[args.text]
    pretrained = args.pretrained or (None if args.from_scratch else shipped_lm(args.lang, args.backwards))
    dls = lm_data(texts, p, pretrained, seed=args.seed, backwards=args.backwards, lang=args.lang)
    learn = new_lm(dls, p, pretrained)
    (finetune_lm if pretrained else pretrain_lm)(learn, p)
    learn.export(args.out.absolute())  # a relative path would be one under learn.path
    print(f"Saved to {args.out}. Next: ulmfit train FILE --pretrained {args.out}"
          + (" --backwards" if args.backwards else ""))


def run_demo_command(args):
    from ulmfit_easy.apps.demo import run_demo
    from ulmfit_easy.errors import FileError

    if not args.data.exists():
        raise FileError("E404", received=f"no file {args.data}", expected="the archive with the demo's texts",
                        fix="run `make demo`, which fetches it, or name it with --data")
    run_demo(args.data, args.out, seed=args.seed)


def read_any(path: Path, columns, args):
    """A table; or a folder of folders as one: texts and folder names under the names `columns`, and the files."""
    import pandas as pd

    from ulmfit_easy.data.sources import find_column, get_text_files, parent_label, read_table
    from ulmfit_easy.errors import LabelError, some
    from ulmfit_easy.files import existing, read_text

    if existing(path).is_dir():
        files = get_text_files(path)
        if len(columns) > 1 and (loose := [f.name for f in files if f.parent == path]):
            raise LabelError("E207", received=f"{some(loose)} in {path}", expected="each text in a folder of its class",
                             fix="move these files to such folders, or away")
        names = ["file", *columns]
        found = [(f.relative_to(path), read_text(f, args.encoding), parent_label(f)) for f in files]
        return pd.DataFrame([row[: len(names)] for row in found], columns=names)
    df = read_table(path, encoding=args.encoding, quoting=args.quoting)
    for column in columns:
        find_column(df, column)
    return df


if __name__ == "__main__":
    sys.exit(main())
