"""Long reviews: stage 2 on IMDb reviews without labels, then `ULMFiT` with 1,000 to 25,000 labels; see imdb.sh.

Stage 2 runs once for each direction, so the reviews with labels are not among its texts. A cell (see cells.py) is a row
(the directions), a number of labels, and the seed that draws them. It gives the accuracy of the model alone, of each
linear member and of the mixture, on the 2,000 test reviews (standard error of one figure: .008). Both stages keep
checkpoints, and resume from them.
"""

from functools import partial
from pathlib import Path

from cells import Cell, arguments, run, table
from few_labels import scores

from ulmfit_easy.all import CheckpointCallback, finetune_lm, get_preset, lm_data, new_lm, set_seed, shipped_lm

PRESET = get_preset("laptop", adapts=False)  # stage 2 is done
DIRECTIONS = {"forward": (False,), "both": (False, True)}
LABELS, MANY = (1_000, 5_000, 25_000), 20_000
SECONDS = 0.4  # for a labelled review, with one thread and bfloat16


def language_model(folder: Path, place: Path, n: int, backwards: bool) -> Path:
    """Return the folder of the language model that has read `n` unlabelled reviews. Train it if it is not there."""
    model = place / f"{'backward' if backwards else 'forward'}-{n}"
    if not model.exists():
        set_seed(0)
        source = shipped_lm(backwards=backwards)
        texts = table(folder, "imdb/unsup")["text"].sample(n, random_state=0)
        dls = lm_data(texts, PRESET, source, backwards=backwards, valid_pct=0.02, seed=0)
        kept = CheckpointCallback(model.with_suffix(".checkpoints"), resume=True)
        finetune_lm(new_lm(dls, PRESET, source), PRESET, kept).export(model)
    return model


def start(folder: Path, out: Path, n: int, row: str) -> dict:
    """Return the parameters of an estimator that starts where stage 2 has ended. It runs if it has not yet."""
    models = [language_model(folder, out.parent / "imdb", n, backwards) for backwards in DIRECTIONS[row]]
    return {"preset": PRESET, "bidir": len(models) > 1, "pretrained": models if len(models) > 1 else models[0]}


def cell(args, row, column, seed):
    given = start(args.folder, args.out, args.reviews, row)
    train = table(args.folder, "imdb/train").sample(int(column), random_state=seed)
    epochs = 1 if len(train) > MANY else None  # the last phase then has about as many steps as with 5,000
    resume = args.out.parent / "imdb" / f"{row}-{args.reviews}-{column}-{seed}"
    return scores(train, table(args.folder, "imdb/test_sample"), seed, resume, epochs=epochs, **given)


def main():
    parser = arguments(__doc__, "imdb.jsonl")
    parser.add_argument("--reviews", type=int, default=25_000, help="of stage 2, 50000 at most (default: 25000)")
    args = parser.parse_args()
    todo = [Cell(SECONDS * n * len(DIRECTIONS[row]), row, str(n), seed)
            for row in DIRECTIONS for n in LABELS for seed in range(3)]
    run(todo, partial(cell, args), args)


if __name__ == "__main__":
    main()
