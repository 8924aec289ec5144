"""A `Way` says what of the three stages a row of an experiment changes. `Bench` trains it."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from ulmfit_easy.data.splits import IndexSplitter
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.events import TRACK, Callback
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm, with_sizes
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.recipes.best_epoch import BestEpoch
from ulmfit_easy.recipes.experiments.draws import Draw
from ulmfit_easy.recipes.presets import Preset, get_preset
from ulmfit_easy.recipes.stages import classifier_data, lm_data, new_classifier, new_lm
from ulmfit_easy.recipes.strategies import STRATEGIES, Strategy

LM_RATE, LM_EPOCHS = 8e-3, 1  # of stage 2, if an experiment does not ask about its rate
RATE = 8e-3  # of stage 3, if an experiment tunes that of stage 2
STEPS, EPOCHS = 150, (8, 50)  # of stage 3: how many batches there are about, and the fewest and most epochs
BATCH = 32  # rows of stage 3


@dataclass(frozen=True)
class Way:
    """A row of an experiment. The defaults are ULMFiT as in the paper.

    Attributes:
        pretrained: stage 1. False begins with random weights of the same sizes, and with the same words.
        lm: stage 2. None leaves it out. The words of the texts are in the vocabulary all the same.
        own_texts: stage 2 reads the labelled texts only.
        clas: stage 3.
        tunes: whose rate is tuned, "stage 2" or "stage 3".
        lr: that rate, if it is not tuned.
        epochs: of stage 3. None is as many as `STEPS` batches take.
        dropout: False takes all dropouts of both models away, but that of the last layer of the head.
        backwards: read texts from their end.
    """

    pretrained: bool = True
    lm: Strategy | None = Strategy(discr=True, schedule="stlr")
    own_texts: bool = False
    clas: Strategy = STRATEGIES["freez + discr + stlr"]
    tunes: str = "stage 3"
    lr: float | None = None
    epochs: int | None = None
    dropout: bool = True
    backwards: bool = False


class Fitted(NamedTuple):
    """A classifier that was trained, its error in per cent on the rows to choose by, and that after each epoch."""

    learner: TextLearner
    valid_error: float
    curve: list[float]


class Curve(Callback):
    """Keeps the validation error in per cent after each epoch of all fits."""

    order = TRACK

    def __init__(self):
        self.errors = list[float]()

    def after_epoch(self):
        self.errors.append(_error(self.recorder.value_of("accuracy")))


class Bench:
    """Trains classifiers in several ways. It keeps the last ones in memory, because rows have parts in common."""

    def __init__(self):
        self.preset = get_preset("laptop", clas_bs=BATCH)  # dropouts and weight decay of all models
        self.start = lru_cache(maxsize=2)(read_lm)
        self.language_model = lru_cache(maxsize=3)(self._language_model)
        self.classifier = lru_cache(maxsize=3)(self._classifier)

    def _preset(self, draw: Draw, way: Way) -> tuple[Preset, PretrainedLM]:
        """Return the preset of a way, with the sizes of the model it would start from, and that model."""
        found, mult = self.start(draw.lang, way.backwards), self.preset.lm_drop_mult * way.dropout
        sizes = with_sizes(found.config["encoder"]["config"], None, get_arch(found.arch).lm_config)
        return replace(self.preset, config=sizes, pretrain_drop_mult=mult, lm_drop_mult=mult,
                       clas_drop_mult=self.preset.clas_drop_mult * way.dropout), found

    def _language_model(self, draw: Draw, way: Way) -> LMLearner:
        """Return the language model of stages 1 and 2."""
        p, found = self._preset(draw, way)
        set_seed(draw.seed)
        texts = [*draw.labelled["text"]] if way.own_texts else draw.texts
        dls = lm_data(texts, p, found, backwards=way.backwards, seed=draw.seed, cache_dir=False)
        learn = new_lm(dls, p, found if way.pretrained else None, verbose=False)
        if way.lm is not None:
            lr = way.lr if way.tunes == "stage 2" and way.lr is not None else LM_RATE
            way.lm.fit(learn, lr, LM_EPOCHS, **_fit(p.lm_wd, p.lm_clip))
        return learn

    def _classifier(self, draw: Draw, way: Way) -> Fitted:
        """Return the classifier of all stages. The way names its rate."""
        p, _ = self._preset(draw, way)
        of_lm = way if way.tunes == "stage 2" else replace(way, lr=None)  # one stage 2 for all of one
        lm = self.language_model(draw, replace(of_lm, clas=Way.clas, epochs=None))
        set_seed(draw.seed)
        rows = draw.rows()
        dls = classifier_data(rows, p, lm, splitter=IndexSplitter(range(len(draw.labelled), len(rows))),
                              backwards=way.backwards, seed=draw.seed, cache_dir=False)
        learn = new_classifier(dls, p, lm, verbose=False)
        curve, least, most = Curve(), *EPOCHS
        epochs = way.epochs or min(most, max(least, round(STEPS / len(dls.train))))
        best = [BestEpoch("accuracy", patience=epochs)] if way.clas.schedule == "flat" else []
        lr = RATE if way.tunes == "stage 2" or way.lr is None else way.lr
        way.clas.fit(learn, lr, epochs, **_fit(p.clas_wd, p.clas_clip, curve, *best))
        return Fitted(learn, _error(learn.validate()[1]), curve.errors)


def _fit(wd: float, clip: float | None, *cbs: Callback) -> dict:
    """Return the arguments of all fits of a learner."""
    clips = [GradientClip(clip)] if clip is not None else []
    return {"wd": wd, "cbs": [TerminateOnNaNCallback(), *clips, *cbs]}


def _error(accuracy: float | None) -> float:
    return round(100 * (1 - float(accuracy or 0)), 2)
