"""Build a learner for text: a language model, a classifier, or what `export` wrote of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ulmfit_easy.bundle.hub import pull_folder
from ulmfit_easy.data.balance import loss_weights
from ulmfit_easy.data.checks import warn_of_far_targets
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.errors import ArgumentError, refuse_unknown
from ulmfit_easy.learner.both_ways import find_both
from ulmfit_easy.learner.callbacks.cache_features import CacheFeatures
from ulmfit_easy.learner.find import Arch, find_arch, find_lm
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.load import load_parts
from ulmfit_easy.learner.pretrained import PretrainedLM, Start, find_pair, sizes_in, start_from, with_sizes
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner, learner_for
from ulmfit_easy.models import classifier, language_model
from ulmfit_easy.models.archs import special_ids
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.encoder import Encoder, text_split
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.precision import chosen
from ulmfit_easy.models.readers import HEAD_TAIL
from ulmfit_easy.schema import flag, list_of, mapping, optional, path, such, takes, whole
from ulmfit_easy.schema import text as string
from ulmfit_easy.text.tokenizers import Tokenizer

__all__ = ["language_model_learner", "load_learner", "text_classifier_learner"]

GIVEN = ("model",)  # what the functions below give a learner themselves


def _check_data(dls: DataLoaders, backwards: bool, is_lm: bool) -> None:
    if dls.target is None or dls.target.labelled == is_lm:
        raise ArgumentError("E603", received=f"data for the task {dls.task!r}",
                            expected="text alone, for a language model" if is_lm else "texts with labels",
                            fix="pass loaders made with is_lm=True" if is_lm else "pass loaders made with label_col=")
    if backwards and not dls.backwards:
        raise ArgumentError("E603", received="backwards=True with data that reads forwards",
                            expected="one direction for data and model",
                            fix="build the data with backwards=True; the learner then follows it")


SETTINGS = {"config": optional(mapping), "backwards": flag, "pretrained_fnames": optional(such(
    list_of(path), lambda names: len(names) == 2, "two names: of a file of weights, and of a word list"))}


@takes({**SETTINGS, **language_model.SETTINGS})
def language_model_learner(dls: DataLoaders, arch: Arch, config: dict | None = None,
                           drop_mult: float = 1.0, backwards: bool = False,
                           pretrained: Start = True,
                           pretrained_fnames: Sequence[str] | None = None, *, softmax: str = "full",
                           precision: str = "auto", **kwargs: Any) -> LMLearner:
    """Return a learner for a language model.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        arch: `AWD_LSTM`, `AWD_QRNN` or an `Encoder` class of yours, with `streams = True`, or its name. Or a model that
            `pretrained` takes: its folder, its file, or a name such as "smollm2". It brings the encoder and, unless
            `pretrained` says something else, the weights.
        config: changes to the architecture's config, e.g. `dict(emb_sz=200, n_hid=600)`. A pretrained model brings
            its own sizes.
        drop_mult: a factor on every dropout of the config. 0 is no dropout. With less text, use more.
        backwards: the direction of reading. By default that of the data.
        pretrained: True for the model that brought the data's tokenizer, or else the first installed one that fits this
            architecture and tokenizer. If none fits, a warning tells, and weights are random. Or the folder of an
            exported language model, another library's checkpoint (docs/CHECKPOINTS.md), or what `read_lm` made of one.
            Or its learner. A classifier also takes the learner or the folder of one for another task, whose encoder
            goes under a new head. False starts from scratch.
        pretrained_fnames: instead, the names of a weights file and a word list under `path/models`. See `find_pair`.
        softmax: "full", or "sampled" to train faster with a large vocabulary. The training loss is then an estimate.
            The validation loss is exact with both.
        precision: "fp32", "bf16" or "fp16" to train in. "auto" is bf16 on a CPU that trains faster with it, else fp32,
            unless the environment variable `ULMFIT_EASY_PRECISION` says "fp32" or "bf16".
        kwargs: more arguments of `TextLearner` and `Learner`, such as `metrics` and `cbs`.

    Returns:
        The learner. With pretrained weights only its last layer group (embedding and decoder) trains at first.
    """
    refuse_unknown(kwargs, language_model_learner, TextLearner, Learner, but=GIVEN)
    _check_data(dls, backwards, is_lm=True)
    task, train_in = TASKS[dls.task], chosen(precision, dls.device)  # decided before anything random
    arch, pretrained, config = find_arch(arch, pretrained, config, "lm_config", dls)
    config = with_sizes(sizes_in(dls, arch), config, arch.lm_config)
    found, why = _found(pretrained, pretrained_fnames, arch, config, dls, kwargs)
    config = with_sizes(found and found.model, config, arch.lm_config) | special_ids(dls.text_vocab, arch.lm_config)
    model = get_language_model(arch, len(dls.text_vocab), config, drop_mult, softmax=softmax, head=task.head)
    kwargs = {"loss_func": task.loss(None), "splitter": text_split, **kwargs}
    learn: LMLearner | Any = learner_for(dls.target)(dls, model, **kwargs)
    learn.to_precision(train_in, chosen_by_library=precision == "auto")
    return start_from(learn, found, why)


def _found(pretrained: Start, fnames: Sequence[str] | None, arch: type[Encoder],
           config: dict | None, dls: DataLoaders, kwargs: dict) -> tuple[PretrainedLM | None, str]:
    """Return the model to start from, as `find_lm` does, or that of a pair of files in the learner's folder."""
    if not fnames:
        find = find_lm if arch.one_way is None else find_both
        return find(pretrained, arch, config, dls)
    folder = Path(kwargs.get("path") or dls.path) / kwargs.get("model_dir", "models")
    return find_pair(fnames, folder, arch, dls), ""


@takes({**SETTINGS, **classifier.SETTINGS, "n_out": optional(whole()), "cache_features": flag})
def text_classifier_learner(dls: DataLoaders, arch: Arch, seq_len: int | None = None, config: dict | None = None,
                            backwards: bool = False, pretrained: Start = True,
                            drop_mult: float = 0.5, n_out: int | None = None, lin_ftrs: Sequence[int] | None = None,
                            ps: Sequence[float] | None = None, max_len: int | str | None = 72 * 20,
                            y_range: tuple[float, float] | None = None, *,
                            class_weight: str | dict | Sequence[float] | None = None,
                            pretrained_fnames: Sequence[str] | None = None, pool_words: bool = False,
                            precision: str = "auto", head: type[Head] | str | None = None,
                            head_config: dict | None = None, cache_features: bool = False,
                            **kwargs: Any) -> TextLearner:
    """Return a learner for a classifier of texts (or a regression, if the data has numbers for labels).

    Args:
        dls: labelled data. To load the encoder of a language model, make it with `pretrained=` that learner.
        arch: a class of encoders, its name, or a pretrained model, as for `language_model_learner`. "minilm", or the
            folder of a model that transformers saved, are models too, if `dls` was made with `pretrained=` the same.
        seq_len: tokens per window. Gradients do not cross its border (section 3.3 of the paper). None is the
            encoder's own: 72 as in fastai, 512 for a `CausalTransformer`.
        n_out: the number of outputs. It must fit the labels, so you need not give it.
        lin_ftrs, ps: the widths and dropouts of the head's hidden layers. By default [50] and [.1].
        max_len: a text is judged by about its last `max_len` tokens. None for all of them, as always for a target or
            a head with `whole`, and for a target that is one per token. A transformer such as BERT reads a text that
            is longer than its positions in windows. The head pools the states of all. With "head+tail" it reads the
            beginning and the end instead, in training and in prediction. This is faster, and better on IMDb (Sun et
            al. 2019, section 5.3.1).
        y_range: (low, high), the range of a regression target. Give it if the numbers are far from 0, because outputs
            start near 0.
        pool_words: the head also reads the mean of the rows of the embedding. The paper's head reads the last layer
            only. With a few hundred labels this helps much if the embedding is a good one (docs/LOG.md, 13).
        class_weight: "balanced" gives each class the same weight in the loss, however rare it is. Or give weights: a
            dict by class names, with 1 for all others, or a list in the order of `dls.classes`. To change how often a
            row is drawn, use `balanced=` of the data instead.
        precision: as for `language_model_learner`, but "auto" takes bf16 only if `ULMFIT_EASY_PRECISION` says so.
        head: the class of a head, or its name: "CLSHead" or "LastTokenHead", over one token. "SiameseHead",
            "SimilarityHead" or "ChoiceHead", over texts of several columns. By default the head of the data's task,
            which pools the states of all tokens.
        head_config: settings of the head by name, such as those of a head of your own.
        cache_features: read each text once while the encoder is frozen, and keep what the head reads of it. Later
            epochs are then 50 times as fast or more. The dropouts of the frozen encoder are off. See `CacheFeatures`.
        config, drop_mult, backwards, pretrained, pretrained_fnames, kwargs: as for `language_model_learner`, but
            the warning waits for the first fit, since `load_encoder` usually comes before it. `ELMo` also
            starts from the forward and the backward model of a language ("en"), or from two: `(forwards, backwards)`.
    """
    refuse_unknown(kwargs, text_classifier_learner, TextLearner, Learner, but=GIVEN)
    _check_data(dls, backwards, is_lm=False)
    task, train_in = TASKS[dls.task], chosen(precision, dls.device, bf16_if_fast=False)
    head = Head.find(task.head if head is None else head)
    if cache_features:
        head.check_pools("cache_features=True")
    if task.target.per != "text" or task.target.whole:
        if max_len == HEAD_TAIL:
            raise ArgumentError("E603", received=f'max_len="{HEAD_TAIL}" for the task {dls.task!r}', expected="texts "
                                "that are read whole: each token may matter", fix="leave out max_len=")
        max_len = None
    arch, pretrained, config = find_arch(arch, pretrained, config, "clas_config", dls)
    config = with_sizes(sizes_in(dls, arch), config, arch.clas_config)
    found, why = _found(pretrained, pretrained_fnames, arch, config, dls, kwargs)
    config = with_sizes(found and found.model, config, arch.clas_config) | special_ids(dls.text_vocab, arch.clas_config)
    if n_out not in (None, dls.c):
        raise ArgumentError("E603", received=f"n_out={n_out}", expected=f"{dls.c}, which the labels need",
                            fix="leave n_out out; classes that no row has go into the data")
    model = get_text_classifier(arch, len(dls.text_vocab), dls.c, seq_len, config, drop_mult, lin_ftrs, ps,
                                max_len=max_len, y_range=y_range, pool_words=pool_words, head=head,
                                head_config=special_ids(dls.text_vocab, head.SETTINGS) | (head_config or {}))
    weights = loss_weights(dls, class_weight, kwargs.get("loss_func"))
    kwargs = {"loss_func": task.loss(weights), "splitter": text_split, **kwargs}
    learn = TextLearner(dls, model, **kwargs).add_cbs(CacheFeatures() if cache_features else None)
    if task.target.per == "text" and not dls.target.has_classes and y_range is None:
        warn_of_far_targets(getattr(dls.train, "targets", None))
    learn.to_precision(train_in, chosen_by_library=precision == "auto")
    return start_from(learn, found, why)


@takes({"fname": path, "revision": optional(string)})
def load_learner(fname: str | Path, cpu: bool = True, *, tokenizer: Tokenizer | None = None,
                 revision: str | None = None) -> TextLearner:
    """Return the learner that `export` wrote, on the CPU or (`cpu=False`) on a GPU if there is one.

    It has no data: set `learn.dls` to train it further. If you only predict, use `load_predictor`.

    Args:
        tokenizer: the `Tokenizer` of the training data, if it has rules or a splitter of your own. No file holds code.
        revision: a commit, branch or tag of the Hugging Face hub. `fname` is then a repository, `owner/name`, which is
            fetched once. None reads a folder, and fetches nothing.

    Raises: FileError E404 if the folder or a file of it is missing. E401 or E402 if it is not a bundle. E410 if the
        hub does not send it. No code in it is run.
    """
    if revision is not None:
        found = pull_folder(str(fname), revision)
        return load_learner(found.folder, cpu, tokenizer=tokenizer).of_hub(found)
    config, prepare, model, loss_func, device = load_parts(fname, cpu, tokenizer)
    dls = DataLoaders([], [], device=device, prepare=prepare)
    learn = learner_for(prepare.target)(dls, model, loss_func=loss_func, splitter=text_split)
    learn.reference = config.get("reference")
    return learn.to_precision(chosen(config.get("precision", "fp32"), device))
