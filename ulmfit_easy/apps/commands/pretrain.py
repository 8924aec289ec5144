"""`ulmfit pretrain`: a language model from text files of any size."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command, Options
from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.apps.options import CLUSTER, PROCESSES
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.processes import is_main, world
from ulmfit_easy.recipes.corpus.plan import DEFAULT, Plan
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.files import read_json
    from ulmfit_easy.recipes.corpus.plan import FILE
    from ulmfit_easy.recipes.corpus.run import pretrain_corpus, run_folder

    options = {how.get("dest", option[2:].replace("-", "_")) for group in COMMAND.groups.values()
               for option, how in group.items()}
    given = {name: value for name, value in vars(args).items() if name in options}
    out = Path(given.pop("out", "ulmfit-lm"))
    if "corpus" not in given and "resume" not in given:
        raise ArgumentError("E603", received="neither --corpus nor --resume", expected="text files to learn from",
                            fix="name them with --corpus")
    try:
        given.pop("processes", None)
        score = pretrain_corpus(out=out, **given)
    except (KeyboardInterrupt, BrokenPipeError):  # the second: of `| head`, which has seen enough
        begun, more = (run_folder(out) / FILE).exists(), ("--processes", world()) if world() > 1 else ()
        if is_main():
            say("To go on: " + next_line("pretrain", "--resume", "--out", out, *more) if begun else
                "Training has not begun, so nothing can be resumed. Run the same command again.", sys.stderr)
        raise
    if is_main():  # which may still have been writing when the others were through
        backwards = ["--backwards"] if read_json(out / "config.json")["text"]["backwards"] else []
        say(f"{score}\nSaved to {out}. Next: " + next_line("train", "FILE", "--pretrained", out, *backwards))


WHERE: Options = {
    "--corpus": {"nargs": "+", "metavar": "FILE", "help": "text, also as .gz or .zst, or Parquet; a pattern such as "
                 "'corpus/*.parquet' stands for several"},
    "--text": {"dest": "text_col", "metavar": "COL",
               "help": f"column of Parquet files with the texts (default: {Plan.text_col})"},
    "--valid": {"nargs": "+", "metavar": "FILE",
                "help": "documents to validate with (default: every k-th of the corpus, about 100,000 tokens)"},
    "--headings": {"action": "store_true", "help": "keep lines such as `= Title =`"},
    "--out": {"metavar": "DIR", "help": "where the model goes, a new folder (default: ulmfit-lm)"}}
HOW_LONG: Options = {
    "--hours": {"type": float, "metavar": "H", "help": "for so many hours, tokenizing included"},
    "--epochs": {"type": float, "metavar": "E", "help": "so many passes, fractions too"},
    "--resume": {"action": "store_true", "help": "go on with a run that was interrupted"},
    "--minutes": {"type": float, "metavar": "M", "help": "between two checkpoints (default: 5)"}}
WORDS: Options = {
    "--lang": {"metavar": "CODE", "help": f"language of the texts (default: {Plan.lang})"},
    "--max-vocab": {"type": int, "metavar": "N", "help": f"words at most (default: {Plan.max_vocab})"},
    "--min-freq": {"type": int, "metavar": "N", "help": f"how often a word must be there (default: {Plan.min_freq})"},
    "--subword": {"type": int, "metavar": "N", "help": "N pieces of words instead, by SentencePiece: for languages "
                  "with rich endings or no blanks"},
    "--backwards": {"action": "store_true", "help": "read documents from their end"}}
MODEL: Options = {
    "--pretrained": {"metavar": "DIR", "help": "a language model to go on with (or another library's checkpoint); its "
                     "sizes, words and tokenizer hold"},
    "--vectors": {"metavar": "FILE", "help": "word vectors to begin with, as GloVe and word2vec write them"},
    "--objective": {"metavar": "NAME", "help": "lm, the next token; mlm, hidden tokens; mlm+nsp, these and whether two "
                    "parts follow each other, as BERT learned; bilm, both ways (default: what suits the encoder)"},
    "--arch": {"metavar": "NAME", "help": f"encoder, such as awd_qrnn (default: {DEFAULT}, or a small BERT for mlm)"},
    "--emb": {"type": int, "metavar": "N", "help": "size of the embedding (default: the encoder's)"},
    "--hid": {"type": int, "metavar": "N", "help": "size of the hidden layers (default: the encoder's)"},
    "--layers": {"type": int, "metavar": "N", "help": "their number (default: the encoder's)"},
    "--softmax": {"metavar": "NAME", "help": f"full or sampled (default: {Plan.softmax}: fast for many words)"},
    "--precision": {"metavar": "NAME", "help": "fp32, bf16 or fp16 (default: the fastest that is safe here)"}}
TRAINING: Options = {
    **PROCESSES,
    "--lr": {"type": float, "metavar": "X", "help": "highest rate of the one cycle (default: the encoder's)"},
    "--drop-mult": {"type": float, "metavar": "X", "help": f"factor on every dropout (default: {Plan.drop_mult})"},
    "--bs": {"type": int, "metavar": "N", "help": f"rows of a batch (default: {Plan.bs})"},
    "--seq-len": {"type": int, "metavar": "N", "help": f"tokens of a row (default: {Plan.seq_len})"},
    "--seed": {"type": int, "metavar": "N", "help": f"starts all random numbers (default: {Plan.seed})"}}
COMMAND = Command(
    "pretrain", "learn a language from text files of any size", run,
    ("pretrain --corpus wiki.txt.zst --out wiki-lm --hours 6", "pretrain --out wiki-lm --resume"),
    groups={"where": WHERE | CLUSTER, "how long (default: one pass over the corpus)": HOW_LONG, "words": WORDS,
            "model": MODEL, "training": TRAINING},
    more="Train a language model on UTF-8 text files, in which blank lines are between documents, or on the rows of "
    "Parquet files. Copies of a document are left out. What is not named here has a default that suits most corpora. "
    "An interrupted run goes on with --resume; once training has begun, "
    "only --out need be given then. Until the end its state is in the folder DIR.run. The perplexity that is shown in "
    "training is that of the stream of validation documents, each read on from the one before; the figures at the end "
    "are those of `ulmfit evaluate-lm`.", only_given=True, order=6)
