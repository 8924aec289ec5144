"""`ulmfit convert`: a model folder of this library from a checkpoint of another one."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    """Write the bundle, with a card that says where it came from."""
    from ulmfit_easy.bundle.artefact import save_bundle
    from ulmfit_easy.bundle.foreign import find_weights, load_foreign
    from ulmfit_easy.bundle.record import way
    from ulmfit_easy.data.prepare import Preparation
    from ulmfit_easy.files import free_place, sha256_file
    from ulmfit_easy.text.tokenizers import Tokenizer

    free_place(args.out)
    config, vocab, weights = load_foreign(args.source, args.words)
    if "1.decoder.weight" not in weights:
        raise FileError("E402", received=f"{args.source}, an encoder without a decoder", expected="a language model",
                        fix="convert the language model's file; or start a classifier from this one in Python: "
                            "text_classifier_learner(dls, AWD_LSTM, pretrained=...)")
    backwards = _direction(config["text"]["backwards"], args)
    known = config["text"]["tokenizer"]
    tokenizer = Tokenizer.from_config(known) if known else Tokenizer(lang=args.lang)
    data = Preparation(tokenizer.with_vocab(vocab), backwards=backwards).config()
    file = find_weights(args.source)
    sizes = ", ".join(f"{key} {value}" for key, value in config["encoder"]["config"].items())
    record = {"kind": "language_model", "language": data["text"]["tokenizer"]["tok"]["params"].get("lang"),
              "model": {"architecture": f"{config['encoder']['name']}, {sizes}", "reads": way(backwards),
                        "vocabulary": f"{len(vocab):,} words; control tokens that the original lacks start from the "
                                      "mean of its rows"},
              "origin": {"converted from": file.name, "SHA-256": sha256_file(file),
                         "licence": "it is the work of whoever trained the original, whose licence applies to it"}}
    save_bundle(args.out, weights, vocab, {**config, **data}, record=record)
    say(f"{len(vocab):,} words, {way(backwards)}. Saved to {args.out}. Next: "
        + next_line("train", "FILE", "--pretrained", args.out, *["--backwards"] * backwards))


def _direction(told: bool | None, args: argparse.Namespace) -> bool:
    """Return True if the model reads backwards, as its files say, or else the user."""
    words = {True: "--backwards", False: "--forwards"}
    if told is None and args.backwards is None:
        raise ArgumentError("E603", received=f"{args.source}, whose names do not tell which way it reads",
                            expected="--forwards or --backwards", fix="add --forwards, as most models read")
    if told is not None and args.backwards not in (None, told):
        raise ArgumentError("E603", received=f"{words[args.backwards]} for {args.source}",
                            expected=f"{words[told]}, as its name says", fix=f"leave out {words[args.backwards]}")
    return args.backwards if told is None else told


COMMAND = Command(
    "convert", "make a model folder of a fastai or MultiFiT checkpoint", run,
    ("convert wt103-fwd.tgz wiki-lm",),
    {"source": {"type": Path, "metavar": "SRC", "help": "weights (*.pth, *.h5), their folder, or a .tgz"},
     "out": {"type": Path, "metavar": "DIR", "help": "where the model goes"},
     "--words": {"type": Path, "metavar": "FILE", "help": "its word list, if that is not beside the weights"},
     "--lang": {"default": "en", "metavar": "CODE", "help": "language of the tokenizer, if SRC has none"}},
    one_of={"--forwards": {"dest": "backwards", "action": "store_false", "default": None,
                           "help": "the model reads texts from their beginning, if no name in SRC says `fwd`"},
            "--backwards": {"action": "store_true", "default": None, "help": "from their end, as `bwd` says"}},
    also=("import",), order=8)
