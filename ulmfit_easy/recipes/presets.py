"""Numbers for the three stages, each set with its source. A preset is data: the recipes read it, and so can you."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ulmfit_easy.errors import refuse_stranger
from ulmfit_easy.schema import (
    MOST,
    MOST_ROWS,
    any_of,
    checked,
    flag,
    mapping,
    number,
    one_of,
    optional,
    positive,
    share,
    text,
    tuple_of,
    whole,
)


@dataclass(frozen=True)
class Phase:
    """The settings of one fit in a `Preset`: epochs, rates, and which layer groups train.

    Attributes:
        epochs: passes over the data.
        lr: the highest rate of the last layer group.
        freeze_to: the first layer group that trains. 0 trains all groups, -1 only the last.
        factor: the rate of each group is that of the group above, divided by this factor. None is the factor of the
            encoder: 2.6 for an LSTM.
        divisors: instead of `factor`, one divisor of `lr` for each group, input side first.
        schedule: "stlr" (slanted triangular) or "one_cycle".
        cut_frac, ratio: settings of "stlr", see `slanted_triangular`.
    """

    epochs: int
    lr: float
    freeze_to: int = 0
    factor: float | None = 1.0
    divisors: tuple[float, ...] | None = None
    schedule: str = "one_cycle"
    cut_frac: float = 0.1
    ratio: float = 32

    SETTINGS = {"epochs": whole(0), "lr": positive, "freeze_to": whole(-MOST), "factor": optional(positive),
                "divisors": optional(tuple_of(positive)), "schedule": one_of(("stlr", "one_cycle")),
                "cut_frac": share, "ratio": positive}

    def __post_init__(self):
        vars(self).update(checked(self.SETTINGS, **vars(self)))  # a frozen class has no other way


def _phase(value: object) -> Phase:
    return value if isinstance(value, Phase) else Phase(**mapping(value))


@dataclass(frozen=True)
class Preset:
    """The settings of the three stages: sizes, dropouts, batch sizes, rates and epochs. `PRESETS` has them by name.

    Attributes:
        source: where the numbers are from.
        arch: name of the encoder, if nothing pretrained brings one.
        adapts: run stage 2 even if there are no other texts than the labelled ones.
        config: sizes of the model, if it does not start from a pretrained one.
        lm_config, clas_config: dropouts of the two models, before `*_drop_mult`.
        pool_words: the head also reads the mean of the rows of the embedding.
        seq_len: tokens per row of a batch of stage 2, and per window of a classifier. None is 72 and the encoder's own.
        max_len: the classifier reads about the last `max_len` tokens of a text. None for all. "head+tail" for BERT: see
            `text_classifier_learner`.
        max_vocab, min_freq: the most words of a vocabulary, and how often a word must occur.
        lm_bs, clas_bs: rows of a batch of the language model and of the classifier.
        mom: Adam's beta1, for schedules that keep it constant.
        moms: its cycle, for "one_cycle".
        lm_wd, clas_wd: weight decay of the two models.
        lm_clip, clas_clip: the largest norm of the gradient, above which it is scaled down. None never scales it.
        pretrain, lm, clas: the phases of stages 1, 2 and 3.
    """

    name: str
    source: str
    pretrain: tuple[Phase, ...]
    lm: tuple[Phase, ...]
    clas: tuple[Phase, ...]
    arch: str = "AWD_LSTM"
    adapts: bool = True
    config: dict = field(default_factory=dict)
    lm_config: dict = field(default_factory=dict)
    clas_config: dict = field(default_factory=dict)
    pretrain_drop_mult: float = 0.5
    lm_drop_mult: float = 1.0
    clas_drop_mult: float = 0.5
    pool_words: bool = False
    max_vocab: int = 60000
    min_freq: int = 3
    seq_len: int | None = 72
    max_len: int | str | None = 72 * 20
    lm_bs: int = 64
    clas_bs: int = 64
    mom: float = 0.9
    moms: tuple[float, float, float] = (0.8, 0.7, 0.8)
    lm_wd: float = 0.01
    clas_wd: float = 0.01
    lm_clip: float | None = None
    clas_clip: float | None = None

    SETTINGS = {"name": text, "source": text, "pretrain": tuple_of(_phase), "lm": tuple_of(_phase),
                "clas": tuple_of(_phase), "arch": text, "adapts": flag, "config": mapping, "lm_config": mapping,
                "clas_config": mapping, "pretrain_drop_mult": number(0), "lm_drop_mult": number(0),
                "clas_drop_mult": number(0), "pool_words": flag, "max_vocab": whole(), "min_freq": whole(),
                "seq_len": optional(whole()), "max_len": optional(any_of(whole(), one_of(["head+tail"]))),
                "lm_bs": whole(1, MOST_ROWS), "clas_bs": whole(1, MOST_ROWS),
                "mom": share, "moms": tuple_of(share), "lm_wd": number(0),
                "clas_wd": number(0), "lm_clip": optional(positive), "clas_clip": optional(positive)}

    def __post_init__(self):
        vars(self).update(checked(self.SETTINGS, **vars(self)))

    def to_json(self) -> dict:
        """Return the preset as plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> "Preset":
        """Return the preset that `to_json` described."""
        return cls(**values)

    def tuned(self, stage: str = "clas", *, epochs: int | None = None, lr: float | None = None, bs: int | None = None,
              min_freq: int | None = None) -> "Preset":
        """Return the preset with a few other values. None keeps a value as it is.

        Args:
            stage: "pretrain", "lm" or "clas", the stage whose phases change.
            epochs: the epochs of its last phase, in which all layers train.
            lr: the highest rate of that phase. The rates of the phases before it change by the same factor.
            bs: rows per batch of that stage. With "clas" it is the most rows for the language model too.
            min_freq: how often a word must occur to be in the vocabulary.
        """
        refuse_stranger("stage=", stage, ("pretrain", "lm", "clas"))
        phases: tuple[Phase, ...] = getattr(self, stage)
        if phases and lr is not None:
            phases = tuple(replace(phase, lr=lr * (phase.lr / phases[-1].lr)) for phase in phases)
        if phases and epochs is not None:
            phases = (*phases[:-1], replace(phases[-1], epochs=epochs))
        sizes: dict[str, Any] = {"min_freq": min_freq, "lm_bs": bs}
        if stage == "clas":
            sizes |= {"clas_bs": bs, "lm_bs": bs and min(bs, self.lm_bs)}
        changes = {stage: phases} | {name: value for name, value in sizes.items() if value is not None}
        return replace(self, **changes)


CHANGES = {"epochs": optional(whole()), "lr": optional(positive), "bs": optional(whole(1, MOST_ROWS)),
           "min_freq": optional(whole())}  # the checks of what `Preset.tuned` takes


def _stlr(epochs: int, lr: float, **kwargs: Any) -> Phase:
    return Phase(epochs, lr, schedule="stlr", **kwargs)


PAPER_DROPOUTS = {"output_p": 0.4, "hidden_p": 0.3, "input_p": 0.4, "embed_p": 0.05, "weight_p": 0.5}

PAPER = Preset(
    name="paper",
    source="Howard & Ruder 2018, sections 3 and 4.1; what it leaves unsaid (decay, clipping, stage 1) is its code's",
    config={"n_hid": 1150},
    lm_config=PAPER_DROPOUTS,
    clas_config=PAPER_DROPOUTS,
    clas_drop_mult=1.0,
    seq_len=70,
    max_len=None,
    mom=0.7,
    lm_wd=1e-7,
    clas_wd=1e-6,
    lm_clip=0.3,
    clas_clip=25.0,
    pretrain=(_stlr(12, 1e-3),),
    lm=(_stlr(15, 4e-3, factor=None),),
    clas=(
        *(_stlr(1, 1e-2, freeze_to=-k, factor=None) for k in (1, 2, 3, 4)),  # one more layer group each epoch
        _stlr(46, 1e-2, factor=None),
    ),
)

CODE_2018 = Preset(
    name="code_2018",
    source="the authors' scripts finetune_lm.py and train_clas.py (fastai 0.7): weak LM dropout, beta1 .8, ratio 8",
    config={"n_hid": 1150},
    clas_drop_mult=1.0,
    max_vocab=30000,
    min_freq=2,
    seq_len=70,
    max_len=20 * 70,
    clas_bs=32,
    mom=0.8,
    lm_wd=1e-7,
    clas_wd=1e-6,
    lm_clip=0.3,
    clas_clip=25.0,
    pretrain=(_stlr(12, 1e-3, divisors=(6, 3, 1, 1)),),
    lm=(_stlr(25, 4e-3, divisors=(6, 3, 1, 2)),),
    clas=(
        _stlr(1, 1e-2, freeze_to=-1, factor=None, cut_frac=1 / 3, ratio=8),
        _stlr(1, 1e-2, freeze_to=-2, factor=None, cut_frac=1 / 3, ratio=8),
        _stlr(50, 1e-2, factor=None, cut_frac=1 / 8, ratio=8),
    ),
)

FASTAI = Preset(
    name="fastai",
    source="fastai's text tutorial (version 2), 94.3 % on IMDb with one forward model; stage 1 as in its version 1",
    pretrain_drop_mult=0.1,
    lm_wd=0.1,
    pretrain=(Phase(12, 1e-2),),
    lm=(Phase(1, 1e-2, freeze_to=-1), Phase(10, 1e-3)),
    clas=(
        Phase(1, 2e-2, freeze_to=-1),
        Phase(1, 1e-2, freeze_to=-2, factor=None),
        Phase(1, 5e-3, freeze_to=-3, factor=None),
        Phase(2, 1e-3, factor=None),
    ),
)

LAPTOP = Preset(
    name="laptop",
    source="our own runs on two CPU cores (docs/LOG.md, 1 and 13): hundreds of labels, the library's language model",
    config={"emb_sz": 128, "n_hid": 320, "n_layers": 2},
    lm_drop_mult=0.5,
    clas_drop_mult=0.5,
    pool_words=True,
    max_vocab=30000,
    min_freq=2,  # a row guessed from word vectors is worth more than xxunk, however rare its word
    lm_bs=32,
    clas_bs=16,
    clas_wd=0.1,
    lm_clip=0.5,
    pretrain=(Phase(5, 8e-3),),
    lm=(Phase(1, 4e-3),),  # once: stage 2 takes most of the time
    clas=(
        Phase(2, 2e-2, freeze_to=-1),
        Phase(4, 6e-3),  # one rate for all, between two that were tried
    ),
)

TRANSFORMER = Preset(
    name="transformer",
    source="our own runs with MiniLM and 500 labels (docs/LOG.md); decay of rates as in Sun et al. 2019, section 5.3.4",
    seq_len=None,
    adapts=False,  # it has read much text, and to read little more takes long
    clas_drop_mult=1.0,
    lm_bs=16,
    clas_bs=16,
    lm_clip=1.0,
    clas_clip=1.0,
    pretrain=(Phase(10, 5e-4),),
    lm=(Phase(1, 5e-5, factor=None),),
    clas=(
        Phase(2, 2e-3, freeze_to=-1),
        Phase(4, 1e-4, factor=None),  # blocks that join two at a time gained nothing, and 3e-4 is too fast
    ),
)

DECODER = replace(
    TRANSFORMER,
    name="decoder",
    source="our own runs with SmolLM2 and 500 labels (docs/LOG.md, 35)",
    clas=(Phase(6, 1e-4),),  # all at one rate: ahead of the head first, and of blocks that join two at a time
)

PRESETS = {p.name: p for p in (PAPER, CODE_2018, FASTAI, LAPTOP, TRANSFORMER, DECODER)}


def get_preset(preset: str | Preset, **changes: Any) -> Preset:
    """Return the preset of a name (or the preset itself), with changes: `get_preset("laptop", clas_bs=16)`."""
    if not isinstance(preset, Preset):
        refuse_stranger("preset=", preset, PRESETS)
        preset = PRESETS[preset]
    return replace(preset, **changes)
