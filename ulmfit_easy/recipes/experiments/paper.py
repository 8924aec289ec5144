"""The experiments of Howard & Ruder 2018 as tables of ways: tables 4 to 7, figures 3 and 4, and both directions."""

from typing import NamedTuple

from ulmfit_easy.recipes.experiments.ways import Way
from ulmfit_easy.recipes.strategies import STRATEGIES, Strategy

BASELINE = "TF-IDF + logistic regression"  # a row of each experiment
RATES = (2e-3, 8e-3, 3.2e-2)  # that are tried, unless a way names its own
DATA = ("imdb", "trec", "ag")  # of the paper's figures
Row = Way | tuple[str, ...]  # or the rows whose probabilities are averaged


class Experiment(NamedTuple):
    """A table or a figure.

    Attributes:
        title, about: of its page.
        rows: ways by their names.
        paper: error in per cent of a row in the paper, for IMDb, TREC-6 and AG.
        kind: "table", "labels" (a curve over numbers of labels) or "epochs" (a curve over epochs).
    """

    title: str
    about: str
    rows: dict[str, Row]
    paper: dict[str, tuple[float, float, float]] = {}
    kind: str = "table"


FROM_SCRATCH = Way(pretrained=False, lm=None, clas=STRATEGIES["from scratch"])
CURVES = (("full", STRATEGIES["full"]), ("ULMFiT", Way.clas))

EXPERIMENTS = {
    "table4": Experiment(
        "Impact of pretraining (table 4)",
        "Without pretraining, stage 2 begins with random weights of the same sizes. Both read the same texts for the "
        "same number of steps.",
        {"without pretraining": Way(pretrained=False), "with pretraining": Way()},
        {"without pretraining": (5.63, 10.67, 5.52), "with pretraining": (5.00, 5.69, 5.38)}),
    "table5": Experiment(
        "Impact of the quality of the language model (table 5)",
        "The same network with all dropouts of the AWD-LSTM, and without any, in stages 2 and 3. In the paper stage 1 "
        "has none either. Here both rows begin with the same pretrained weights.",
        {"without dropout": Way(dropout=False), "AWD-LSTM": Way()},
        {"without dropout": (5.98, 7.41, 5.76), "AWD-LSTM": (5.00, 5.69, 5.38)}),
    "table6": Experiment(
        "Impact of fine-tuning the language model (table 6)",
        "The rate of stage 2 is tuned, and stage 3 has a rate of 0.008 for all. Without stage 2 the vocabulary still "
        "has the words of the texts, guessed from word vectors.",
        {"none": Way(lm=None, lr=8e-3), "full": Way(lm=STRATEGIES["full"], tunes="stage 2"),
         "full + discr": Way(lm=STRATEGIES["full + discr"], tunes="stage 2"),
         "full + discr + stlr": Way(lm=Strategy(discr=True, schedule="stlr"), tunes="stage 2")},
        {"none": (6.99, 6.38, 6.09), "full": (5.86, 6.54, 5.61), "full + discr": (5.55, 6.36, 5.47),
         "full + discr + stlr": (5.00, 5.69, 5.38)}),
    "table7": Experiment(
        "Impact of fine-tuning the classifier (table 7)",
        "The rows are `STRATEGIES` of the library. All but the first begin with the same language model after stage 2.",
        {name: FROM_SCRATCH if name == "from scratch" else Way(clas=strategy) for name, strategy in STRATEGIES.items()},
        {"from scratch": (9.93, 13.36, 6.81), "full": (6.87, 6.86, 5.81), "full + discr": (5.57, 6.21, 5.62),
         "last": (6.49, 16.09, 8.38), "chain-thaw": (5.39, 6.71, 5.90), "freez": (6.37, 6.86, 5.81),
         "freez + discr": (5.39, 5.86, 6.04), "freez + stlr": (5.04, 6.02, 5.35), "freez + cos": (5.70, 6.38, 5.29),
         "freez + discr + stlr": (5.00, 5.69, 5.38)}),
    "lowshot": Experiment(
        "Few labels (figure 3)",
        "Supervised: stage 2 reads the labelled texts only. Semi-supervised: it reads all texts of the training part. "
        "A rate is tuned for the largest number of labels, and holds for all.",
        {"from scratch": FROM_SCRATCH, "ULMFiT, supervised": Way(own_texts=True), "ULMFiT, semi-supervised": Way()},
        kind="labels"),
    "behaviour": Experiment(
        "How a classifier behaves while it learns (figure 4)",
        "The validation error after each of 20 epochs of full fine-tuning and of the recipe, at each of three rates. "
        "No rate is chosen.",
        {f"{name}, rate {lr}": Way(clas=strategy, lr=lr, epochs=20) for name, strategy in CURVES for lr in RATES},
        kind="epochs"),
    "bidirectional": Experiment(
        "Two directions (section 5, bidirectionality)",
        "Two models that were trained apart, and the mean of their probabilities. In the paper this is worth 0.5 to "
        "0.7 points: on IMDb 5.30 forwards, 4.58 both.",
        {"forwards": Way(), "backwards": Way(backwards=True), "both": ("forwards", "backwards")}),
}
