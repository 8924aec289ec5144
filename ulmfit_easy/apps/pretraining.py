"""`ulmfit pretrain` and `ulmfit evaluate-lm`: language models from text files of any size."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.recipes.corpus.plan import DEFAULT, Plan
from ulmfit_easy.terminal import say


def add_parser(commands: "argparse._SubParsersAction") -> None:
    """Add the two commands to those of the command line."""
    pretrain = commands.add_parser(
        "pretrain", help="learn a language from text files of any size", argument_default=argparse.SUPPRESS,
        description="Train a language model on UTF-8 text files, in which blank lines are between documents. What is "
        "not named here has a default that suits most corpora. An interrupted run goes on with --resume; once training "
        "has begun, only --out need be given then. Until the end its state is in the folder DIR.run. The perplexity "
        "that is shown in training is that of the stream of validation documents, each read on from the one before; "
        "the figures at the end are those of `ulmfit evaluate-lm`.")
    where = pretrain.add_argument_group("where")
    where.add_argument("--corpus", nargs="+", metavar="FILE", help="text, also as .gz or .zst")
    where.add_argument("--valid", nargs="+", metavar="FILE",
                       help="documents to validate with (default: every k-th of the corpus, about 100,000 tokens)")
    where.add_argument("--headings", action="store_true", help="keep lines such as `= Title =`")
    where.add_argument("--out", metavar="DIR", help="where the model goes, a new folder (default: ulmfit-lm)")
    how_long = pretrain.add_argument_group("how long (default: one pass over the corpus)")
    how_long.add_argument("--hours", type=float, metavar="H", help="for so many hours, tokenizing included")
    how_long.add_argument("--epochs", type=float, metavar="E", help="so many passes, fractions too")
    how_long.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    how_long.add_argument("--minutes", type=float, metavar="M", help="between two checkpoints (default: 5)")
    words = pretrain.add_argument_group("words")
    words.add_argument("--lang", help=f"language of the texts (default: {Plan.lang})")
    words.add_argument("--max-vocab", type=int, metavar="N", help=f"words at most (default: {Plan.max_vocab})")
    words.add_argument("--min-freq", type=int, metavar="N",
                       help=f"how often a word must be there (default: {Plan.min_freq})")
    words.add_argument("--subword", type=int, metavar="N",
                       help="N pieces of words instead, by SentencePiece: for languages with rich endings or no blanks")
    words.add_argument("--backwards", action="store_true", help="read documents from their end")
    model = pretrain.add_argument_group("model")
    model.add_argument("--pretrained", metavar="DIR", help="a language model to go on with (or another library's "
                       "checkpoint); its sizes, words and tokenizer hold")
    model.add_argument("--vectors", metavar="FILE", help="word vectors to begin with, as GloVe and word2vec write them")
    model.add_argument("--objective", metavar="NAME", help="lm, the next token, or mlm, hidden tokens, as BERT learned "
                       "(default: what suits the encoder)")
    model.add_argument("--arch", help=f"encoder, such as awd_qrnn (default: {DEFAULT}, or a small BERT for mlm)")
    for name, of in (("emb", "embedding"), ("hid", "hidden layers"), ("layers", "")):
        model.add_argument(f"--{name}", type=int, metavar="N",
                           help=f"size of the {of}" if of else "their number (defaults: the architecture's)")
    model.add_argument("--softmax", help=f"full or sampled (default: {Plan.softmax}: fast for many words)")
    model.add_argument("--precision", help="fp32, bf16 or fp16 (default: the fastest that is safe here)")
    training = pretrain.add_argument_group("training")
    training.add_argument("--lr", type=float, help="highest rate of the one cycle (default: the encoder's)")
    training.add_argument("--drop-mult", type=float, metavar="X",
                          help=f"factor on every dropout (default: {Plan.drop_mult})")
    training.add_argument("--bs", type=int, metavar="N", help=f"rows of a batch (default: {Plan.bs})")
    training.add_argument("--seq-len", type=int, metavar="N", help=f"tokens of a row (default: {Plan.seq_len})")
    training.add_argument("--seed", type=int, help=f"default: {Plan.seed}")
    pretrain.set_defaults(run=run_pretrain)

    evaluate = commands.add_parser(
        "evaluate-lm", help="perplexity and bits per character of a language model",
        description="How well a language model knows texts, each document read from its beginning. Perplexity is that "
        "of a token, unknown words counted as one token xxunk: it compares models of one vocabulary. Bits per "
        "character, with unknown words spelled out, compare all models.")
    evaluate.add_argument("files", nargs="+", metavar="FILE", help="UTF-8 text, also as .gz or .zst")
    evaluate.add_argument("--model", type=Path, metavar="DIR",
                          help="an exported language model, or the language or name of an installed one: ko, "
                          "awd_lstm-fwd (the default) or awd_lstm-bwd")
    evaluate.add_argument("--backwards", action="store_true", help="without --model: take awd_lstm-bwd")
    evaluate.add_argument("--headings", action="store_true", help="keep lines such as `= Title =`")
    evaluate.set_defaults(run=run_evaluate)


def run_pretrain(args: argparse.Namespace) -> None:
    from ulmfit_easy.files import read_json
    from ulmfit_easy.recipes.corpus.plan import FILE
    from ulmfit_easy.recipes.corpus.run import pretrain_corpus, run_folder

    given = {k: v for k, v in vars(args).items() if k not in ("command", "run", "parser")}
    out = Path(given.pop("out", "ulmfit-lm"))
    if "corpus" not in given and "resume" not in given:
        raise ArgumentError("E603", received="neither --corpus nor --resume", expected="text files to learn from",
                            fix="name them with --corpus")
    try:
        score = pretrain_corpus(out=out, **given)
    except (KeyboardInterrupt, BrokenPipeError):  # the second: of `| head`, which has seen enough
        if (run_folder(out) / FILE).exists():
            say("To go on: " + next_line("pretrain", "--resume", "--out", out), sys.stderr)
        else:
            say("Training has not begun, so nothing can be resumed. Run the same command again.", sys.stderr)
        raise
    backwards = ["--backwards"] if read_json(out / "config.json")["text"]["backwards"] else []
    say(f"{score}\nSaved to {out}. Next: " + next_line("train", "FILE", "--pretrained", out, *backwards))


def run_evaluate(args: argparse.Namespace) -> None:
    from ulmfit_easy.bundle.shipped import named_folder
    from ulmfit_easy.learner.text import load_learner
    from ulmfit_easy.learner.text_learner import LMLearner
    from ulmfit_easy.recipes.evaluate import evaluate_lm
    from ulmfit_easy.recipes.saved import PARAMS
    from ulmfit_easy.text.corpus import Corpus

    if args.model and args.backwards:
        raise ArgumentError("E603", received=f"--model {args.model} and --backwards", expected="one of the two",
                            fix="leave --backwards out: a model knows which way it reads")
    model = named_folder(args.model or "en", args.backwards)
    learn = None if (model / PARAMS).exists() else load_learner(model, cpu=False)
    if not isinstance(learn, LMLearner):
        what = "a classifier" if learn is None or learn.dls.target.labelled else "which does not guess the next token"
        raise FileError("E402", received=f"{model}, {what}", expected="a language model",
                        fix="name the folder that `ulmfit pretrain` or `ulmfit lm` wrote, or leave --model out for the "
                        "one that comes with the library")
    say(evaluate_lm(learn, Corpus(args.files, args.headings)))
