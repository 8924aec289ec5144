"""Put a language model into `ulmfit_easy/weights`, with a model card.

    .venv/bin/python runs/ship.py MODEL --card runs/cards/en-fwd.md --valid FILE [--wikitext2 FILE] [--mix OTHER]

The model is stored in 16 bits. The figures of its card are those of the stored model.
"""

import argparse
from pathlib import Path
from shutil import rmtree

import torch
from wikitext2 import N_TOKENS, articles, perplexity_of_file

from ulmfit_easy.all import Corpus, evaluate_lm, load_learner
from ulmfit_easy.bundle.record import versions
from ulmfit_easy.bundle.shipped import WEIGHTS


def ship(model: Path, card: str, args):
    """Store a model, measure what was stored, and fill in its card."""
    learn = load_learner(model)
    if args.mix:
        other = load_learner(args.mix.absolute())
        assert other.dls.vocab == learn.dls.vocab, "both must have one vocabulary"
        with torch.no_grad():
            for trained, theirs in zip(learn.model.parameters(), other.model.parameters(), strict=True):
                trained.lerp_(theirs.float(), 1 - args.share)
    arch, lang = type(learn.encoder).__name__, learn.dls.tokenizer.tok.lang
    names = [arch.lower(), *([lang] if lang != "en" else []), "bwd" if learn.dls.backwards else "fwd"]
    place = WEIGHTS / "-".join(names)
    rmtree(place, ignore_errors=True)  # the model before
    learn.to_fp32().export(place, half=True)  # to compute alike on each processor
    (place / "training.json").unlink()  # of this export; the card tells of the training
    stored = load_learner(place)
    valid = evaluate_lm(stored, Corpus(args.valid))
    figures = {"valid": valid}
    if args.wikitext2:
        figures["wikitext2"] = evaluate_lm(stored, articles(args.wikitext2))
        figures |= {"of_file": f"{perplexity_of_file(figures['wikitext2']):.1f}", "n_tokens": f"{N_TOKENS:,}"}
    cells = {name: f"{s.perplexity:.2f} | {s.bits_per_char:.4f} | {s.unknown:.2%} | {s.n_tokens:,}"
             for name, s in figures.items() if not isinstance(s, str)}
    sizes = ", ".join(f"{name} {size}" for name, size in learn.encoder.settings.items() if type(size) is int)
    n_params = sum(p.numel() for p in learn.model.parameters())
    (place / "README.md").write_text(card.format(**figures | cells, name=place.name, versions=versions(),
                                                 size=f"{arch}, {sizes}, {n_params:,} parameters"), encoding="utf-8")
    megabytes = sum(f.stat().st_size for f in place.iterdir()) / 1e6
    print(f"{place.name}: {megabytes:.1f} MB; " + "; ".join(f"{name} {cell}" for name, cell in cells.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a language model")
    parser.add_argument("--card", type=Path, required=True, help="its card, with places for the figures")
    parser.add_argument("--valid", type=Path, required=True, help="texts that the model has not read")
    parser.add_argument("--wikitext2", type=Path)
    parser.add_argument("--mix", type=Path, help="another model with its vocabulary: store the weighted mean of both")
    parser.add_argument("--share", type=float, default=0.5, help="weight of MODEL in that mean")
    args = parser.parse_args()
    ship(args.model.absolute(), args.card.read_text(encoding="utf-8"), args)


if __name__ == "__main__":
    main()
