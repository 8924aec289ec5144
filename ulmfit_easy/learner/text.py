"""Learners for text: a language model, a classifier, and how one passes on to the other what it has learned."""

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import torch

from ulmfit_easy.bundle.artefact import load_bundle, load_state, load_weights, save_bundle, save_weights
from ulmfit_easy.bundle.settings import check_kinds, check_settings
from ulmfit_easy.data.balance import loss_weights
from ulmfit_easy.data.checks import shown_share, warn_of_far_targets
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.errors import FileError, TrainingError, UlmfitError, VocabError, refuse_unknown
from ulmfit_easy.learner import score, writing
from ulmfit_easy.learner.callbacks.rnn import HiddenState, RNNCallback, RNNRegularizer
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.learner.memory import is_full, too_large
from ulmfit_easy.learner.pretrained import (
    PretrainedLM,
    direction_error,
    find_lm,
    find_pair,
    start_from,
    take_over,
    with_sizes,
)
from ulmfit_easy.learner.record import phase_of, record_of
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.weights import model_file
from ulmfit_easy.models import classifier, language_model
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.encoder import Encoder, needs_memory, text_split
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.precision import chosen
from ulmfit_easy.terminal import say
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab
from ulmfit_easy.user_code import warn_user
from ulmfit_easy.values import checked, plain

__all__ = ["LMLearner", "TextLearner", "language_model_learner", "load_learner", "text_classifier_learner"]

GIVEN = ("model", "settings")  # what the functions below give a learner themselves


class TextLearner(Learner):
    """A learner whose model is an encoder under a decoder or a head.

    Args:
        settings: what `export` needs to build the model again: kind, arch, and the arguments of its builder.
        alpha, beta: weights of activation and temporal activation regularisation (Merity et al. 2017).
        moms: of `fit_one_cycle`; .8, .7, .8 as in fastai, near the paper's beta1 of .7.
        kwargs: passed on to `Learner`.
    """

    def __init__(self, dls, model, alpha=2.0, beta=1.0, moms=(0.8, 0.7, 0.8), *, settings: dict, **kwargs):
        super().__init__(dls, model, moms=moms, **kwargs)
        self.settings, self.warning = settings, None
        self.phases, self.started_from, self.encoder_record = [], None, None  # for the card of a saved model
        if dls.prepare is not None:
            self._check_exportable()
        self.add_cbs([RNNCallback(), RNNRegularizer(alpha, beta)])

    def fit(self, *args, **kwargs):
        """As `Learner.fit`; the first one warns if pretrained weights were asked for and none were loaded."""
        if self.warning:
            warn_user(self.warning)
            self.warning = None
        super().fit(*args, **kwargs)
        self.phases = [*self.phases, phase_of(self)]

    def _do_batch(self):
        try:
            return super()._do_batch()
        except (RuntimeError, MemoryError) as e:
            if not (self.training and is_full(e)):
                raise
            why = str(e).partition("\n")[0]
        raise too_large(self, why)  # here, so that the error does not hold what the batch has computed

    @property
    def encoder(self):
        """The encoder: what the language model and the classifier share."""
        return self.model.encoder

    @property
    def head(self):
        """The decoder of a language model, or the head of a classifier."""
        return self.model.head

    def save_encoder(self, file):
        """Write the encoder's weights and its vocabulary's hash to `path/model_dir/file.safetensors`."""
        save_weights(model_file(self, file), self.encoder.state_dict(), arch=self.settings["arch"],
                     vocab_sha256=self.dls.text_vocab.sha256, backwards=self.dls.backwards)
        return self

    def load_encoder(self, file, device=None):
        """Read an encoder from `save_encoder`, freeze all but the last layer group, return the learner.

        Raises:
            VocabError: E302 if it was trained with another vocabulary.
            FileError: E402 if its sizes or direction differ.
        """
        path = model_file(self, file)
        weights, metadata = load_weights(path, device or self.dls.device)
        return self._set_encoder(weights, metadata.get("vocab_sha256"), metadata.get("backwards"), path)

    def take_encoder(self, other: "TextLearner"):
        """As `load_encoder`, straight from another learner in memory."""
        weights = {k: v.clone() for k, v in other.encoder.state_dict().items()}
        self._set_encoder(weights, other.dls.text_vocab.sha256, other.dls.backwards, "the encoder")
        self.started_from, self.encoder_record = other.started_from, record_of(other)
        return self

    def _set_encoder(self, weights, vocab_sha256, backwards, source):
        own = self.dls.text_vocab.sha256
        if vocab_sha256 is None or any(name.startswith("model.") for name in weights):  # as `save` names them
            raise VocabError("E302", received=f"{source}, which is no encoder with its vocabulary's hash",
                             expected="what learn.save_encoder wrote",
                             fix="write it with learn.save_encoder; learn.save is for learn.load")
        if vocab_sha256 != own:
            raise VocabError("E302", received=f"{source}, trained with the vocabulary {vocab_sha256}",
                             expected=f"the vocabulary of this learner's data, {own}",
                             fix="build the classifier's data with text_vocab=dls_lm.vocab")
        if backwards != self.dls.backwards:
            raise direction_error(source, backwards, self.dls.backwards)
        load_state(self.encoder, weights, source)
        self.warning = None
        return self.freeze()

    def load_pretrained(self, weights: dict, vocab: Vocab, source="pretrained weights"):
        """Take over the weights of a language model with another vocabulary; returns the learner, frozen.

        Words of both vocabularies keep their rows; new ones start from rows guessed from the word vectors that the
        library has for their language, or from the mean row (and the mean bias). Names that this model lacks are left
        out: a classifier takes the encoder only. See `learner.pretrained`. Both may also be names of files, as those of
        `pretrained_fnames`.
        """
        if isinstance(weights, str | Path):
            found = find_pair((weights, vocab), self.path / self.model_dir, get_arch(self.settings["arch"]), self.dls)
            weights, vocab, source = found.weights, found.vocab, found.name
        return take_over(self, weights, vocab, source)

    def export(self, fname="export", *, half: bool = False) -> Path:
        """Write a bundle folder, `path/fname`, from which `load_learner` builds this learner for inference.

        Of the loss, only what its kind decides (probabilities or numbers) and its `thresh` are kept. `half` stores
        weights in 16 bits: half the size, and probabilities that differ by about a thousandth of themselves.
        An older bundle is replaced; E502 for a folder with anything else in it.
        """
        weights = self.model.state_dict()
        return save_bundle(self.path / fname, weights, self.dls.text_vocab, self._check_exportable(weights), half=half,
                           record=record_of(self))

    def _check_exportable(self, weights=None) -> dict:
        """The settings of a bundle; E502 if they, or the `weights`, are none that `load_learner` would take."""
        config = {**self.settings, "thresh": plain(getattr(self.loss_func, "thresh", None)),
                  "takes_probabilities": isinstance(self.loss_func, BCELossFlat), "precision": self.precision,
                  "data": self.dls.config()}
        try:
            if weights is None:
                check_kinds(config, "this learner")
            else:
                check_settings(config, self.dls.text_vocab, weights, "this learner")
        except FileError as e:
            raise TrainingError("E502", received=e.received, expected="a learner that load_learner can build again",
                                fix="make the learner from other values, or train the model by code of your own") from e
        return config


class LMLearner(TextLearner):
    """A learner whose model guesses each next word."""

    def __init__(self, dls, model, *args, **kwargs):
        needs_memory(model.encoder, "a language model on streams of text")
        super().__init__(dls, model, *args, **kwargs)
        self.add_cbs(HiddenState())
        self.told_unknown = False

    def fit(self, *args, **kwargs):
        """As `TextLearner.fit`; the first one tells how many tokens a perplexity counts as `xxunk`."""
        valid = self.dls.valid
        if self.verbose and not self.told_unknown and len(valid):
            if share := shown_share(valid.ids.unk_rate(valid.rows)):
                say(f"{share} of the validation tokens are out of vocabulary. Perplexity counts each as xxunk.")
            self.told_unknown = True
        super().fit(*args, **kwargs)

    predict, logprob = writing.predict, score.logprob


def _check_data(dls, backwards, is_lm):
    if dls.target is None or dls.target.labelled == is_lm:
        raise TrainingError("E502", received=f"data for the task {dls.task!r}",
                            expected="text alone, for a language model" if is_lm else "texts with labels",
                            fix="pass loaders made with is_lm=True" if is_lm else "pass loaders made with label_col=")
    if backwards and not dls.backwards:
        raise TrainingError("E502", received="backwards=True with data that reads forwards", expected="one direction",
                            fix="build the data with backwards=True; the learner then follows it")


def language_model_learner(dls: DataLoaders, arch: type[Encoder] | str, config: dict | None = None,
                           drop_mult: float = 1.0, backwards: bool = False,
                           pretrained: bool | str | Path | PretrainedLM = True,
                           pretrained_fnames: Sequence[str] | None = None, *, softmax: str = "full",
                           precision: str = "auto", **kwargs) -> LMLearner:
    """A learner for a language model.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        arch: `AWD_LSTM`, `AWD_QRNN` or an `Encoder` class of yours, with `streams = True`; or its name.
        config: changes to the architecture's config, e.g. `dict(emb_sz=200, n_hid=600)`; a pretrained model brings
            its own sizes.
        drop_mult: factor on every dropout; less text wants more.
        backwards: need not be said: the learner follows its data.
        pretrained: True for the model that comes with the library, where there is one for this architecture and
            tokenizer (else a warning, and random weights); the folder of an exported language model, another library's
            checkpoint (docs/CHECKPOINTS.md), or what `read_lm` made of one; False starts anew.
        pretrained_fnames: instead, the names of a weights file and a word list under `path/models`; see `find_pair`.
        softmax: "full", or "sampled": faster for large vocabularies, with a training loss that is an estimate.
            Validation is exact with both.
        precision: "fp32", "bf16" or "fp16" to train in. "auto" is bf16 on a CPU that trains faster with it, else fp32,
            unless the environment variable `ULMFIT_EASY_PRECISION` says "fp32" or "bf16".
        kwargs: of `Learner`, and `alpha`, `beta`.

    Returns:
        The learner; with pretrained weights only its last layer group (embedding and decoder) trains at first.
    """
    refuse_unknown(kwargs, language_model_learner, TextLearner, Learner, but=GIVEN)
    _check_data(dls, backwards, is_lm=True)
    train_in = chosen(precision, dls.device)  # decided before anything random
    arch = get_arch(arch)
    found = _found(pretrained, pretrained_fnames, arch, config, dls, kwargs)
    config = with_sizes(found and found.model["config"], config, arch.lm_config)
    options = {"config": config, **checked(language_model.SETTINGS, drop_mult=drop_mult, softmax=softmax)}
    settings = {"kind": "language_model", "arch": arch.__name__, "model": options}
    model = get_language_model(arch, len(dls.text_vocab), pad_idx=dls.text_vocab.pad_id, **options)
    kwargs = {"loss_func": TASKS[dls.task].loss(None), "splitter": text_split, **kwargs}
    learn = LMLearner(dls, model, settings=settings, **kwargs)
    learn.to_precision(train_in, chosen_by_library=precision == "auto")
    return start_from(learn, found, warn=pretrained is True)


def _found(pretrained, fnames, arch, config, dls, kwargs):
    """The model to start from, if there is one, of a pair of files in the learner's folder or as `find_lm` has it."""
    if not fnames:
        return find_lm(pretrained, arch, config, dls)
    folder = Path(kwargs.get("path") or dls.path) / kwargs.get("model_dir", "models")
    return find_pair(fnames, folder, arch, dls)


def text_classifier_learner(dls: DataLoaders, arch: type[Encoder] | str, seq_len: int = 72, config: dict | None = None,
                            backwards: bool = False, pretrained: bool | str | Path | PretrainedLM = True,
                            drop_mult: float = 0.5, n_out: int | None = None, lin_ftrs: Sequence[int] | None = None,
                            ps: Sequence[float] | None = None, max_len: int | None = 72 * 20,
                            y_range: tuple[float, float] | None = None, *,
                            class_weight: str | dict | Sequence[float] | None = None,
                            pretrained_fnames: Sequence[str] | None = None, pool_words: bool = False,
                            precision: str = "auto", head: type[Head] | str | None = None, **kwargs) -> TextLearner:
    """A learner for a classifier of texts (or a regression, if the data has numbers for labels).

    Args:
        dls: labelled data, with `text_vocab=` the language model's vocabulary if an encoder is to be loaded.
        seq_len: tokens a window; gradients do not cross its border (section 3.3 of the paper).
        n_out: number of outputs, which must be what the labels need; kept for fastai's signature.
        lin_ftrs, ps: widths and dropouts of the head's hidden layers; [50] and [.1].
        max_len: a text is judged by about its last `max_len` tokens; None for all of them.
        y_range: (low, high) of a regression target. Outputs begin near 0, so that numbers far from it need one.
        pool_words: the head also reads the mean of the words' own rows, beside what the paper's reads of the last
            layer. With some hundred labels it is worth much where the rows know what words mean (docs/LOG.md, 13).
        class_weight: "balanced" lets each class count alike in the loss, however rare it is; or a number for each,
            by its name in a dict (1 for the others) or in the order of `dls.classes`. Batches stay as they are (for
            those see `balanced=` of the data).
        precision: as for `language_model_learner`, but "auto" never takes bf16 by itself: how much a classifier gains
            by it has not been measured.
        head: the class of a head, or its name; by default the head of the data's task.
        config, drop_mult, backwards, pretrained, pretrained_fnames, kwargs: as for `language_model_learner`, but
            the warning waits for the first fit, since `load_encoder` usually comes before it.
    """
    refuse_unknown(kwargs, text_classifier_learner, TextLearner, Learner, but=GIVEN)
    _check_data(dls, backwards, is_lm=False)
    task, train_in = TASKS[dls.task], chosen(precision, dls.device, bf16_if_fast=False)
    head = task.head if head is None else head
    max_len = max_len if task.target.per == "text" else None  # each token needs an answer
    arch = get_arch(arch)
    found = _found(pretrained, pretrained_fnames, arch, config, dls, kwargs)
    config = with_sizes(found and found.model["config"], config, arch.clas_config)
    options = {"config": config, **checked(
        classifier.SETTINGS, seq_len=seq_len, drop_mult=drop_mult, lin_ftrs=lin_ftrs, ps=ps, max_len=max_len,
        y_range=y_range, pool_words=pool_words, n_class=_outputs(dls, n_out), head=getattr(head, "__name__", head))}
    settings = {"kind": "classifier", "arch": arch.__name__, "model": options}
    model = get_text_classifier(arch, len(dls.text_vocab), pad_idx=dls.text_vocab.pad_id, **options)
    weights = loss_weights(dls, class_weight, kwargs.get("loss_func"))
    kwargs = {"loss_func": task.loss(weights), "splitter": text_split, **kwargs}
    learn = TextLearner(dls, model, settings=settings, **kwargs)
    if not dls.target.has_classes and options["y_range"] is None:
        warn_of_far_targets(getattr(dls.train, "targets", None))
    learn.to_precision(train_in, chosen_by_library=precision == "auto")
    return start_from(learn, found, warn=pretrained is True)


def _outputs(dls: DataLoaders, n_out) -> int:
    """The number of outputs that the labels need, which `n_out` may repeat."""
    if n_out is not None and not (isinstance(n_out, Real) and n_out == dls.c):
        raise TrainingError("E502", received=f"n_out={n_out!r}", expected=f"{dls.c}, which the labels need",
                            fix="leave n_out out; classes that no row has go into the data")
    return dls.c


BUILD = {"language_model": language_model_learner, "classifier": text_classifier_learner}


def load_learner(fname: str | Path, cpu: bool = True, *, tokenizer: Tokenizer | None = None) -> TextLearner:
    """The learner that `export` wrote, for inference, on the CPU or (`cpu=False`) on a GPU where there is one.

    Args:
        tokenizer: the data's `Tokenizer`, if it had rules or a word splitter of your own: no file holds code.

    Raises:
        FileError: E401, E402, E404 for anything that is not a whole bundle; no code in it is ever run.
    """
    config, vocab, weights = load_bundle(fname)
    try:
        build, options, data = BUILD[config["kind"]], dict(config["model"]), dict(config["data"])
        options |= {"n_out": options.pop("n_class")} if "n_class" in options else {}
        device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
        dls = DataLoaders.empty(data, vocab, device=device, tokenizer=tokenizer)
        learn = build(dls, config["arch"], pretrained=False, precision=config.get("precision", "fp32"), **options)
        if config.get("takes_probabilities"):
            learn.loss_func = BCELossFlat()
        if config.get("thresh") is not None:
            learn.loss_func.thresh = config["thresh"]
    except UlmfitError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as e:
        raise FileError("E401", received=f"{fname}, whose settings lack or miss something ({type(e).__name__}: {e})",
                        expected="the config.json that learn.export wrote", fix="export the learner again") from e
    load_state(learn.model, weights, fname)
    learn.model.eval()
    return learn
