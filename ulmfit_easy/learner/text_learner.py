"""Learners for text, and how one passes on to another what it has learned. `text` builds them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import torch
from torch import Tensor, nn

from ulmfit_easy.bundle.artefact import load_state, load_weights, save_bundle, save_weights
from ulmfit_easy.bundle.parts import check_config, check_parts
from ulmfit_easy.data import ranks
from ulmfit_easy.data.checks import shown_share
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.targets import MaskedToken, NextToken, Target
from ulmfit_easy.data.targets.both_ways import BothWays
from ulmfit_easy.errors import FileError, TrainingError, VocabError
from ulmfit_easy.learner import filling, score, writing
from ulmfit_easy.learner.callbacks.rnn import HiddenState, RNNCallback, RNNRegularizer
from ulmfit_easy.learner.features import features
from ulmfit_easy.learner.hub import of_hub, push_to_hub
from ulmfit_easy.learner.learner import Learner, Moms
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.learner.memory import is_full, too_large
from ulmfit_easy.learner.onnx import to_onnx
from ulmfit_easy.learner.pretrained import direction_error, find_pair, take_over
from ulmfit_easy.learner.record import phase_of, record_of
from ulmfit_easy.learner.vectors import load_vectors
from ulmfit_easy.learner.weights import model_file
from ulmfit_easy.models.encoder import Encoder, Headed, needs_memory
from ulmfit_easy.models.tried import try_parts
from ulmfit_easy.processes import is_main
from ulmfit_easy.schema import flag, path, plain, takes
from ulmfit_easy.terminal import say
from ulmfit_easy.text.store import IdStore
from ulmfit_easy.text.vocab import Vocab


class TextLearner(Learner):
    """A learner of texts: an encoder with a decoder (language model) or a head (classifier) on top.

    Args:
        alpha, beta: the weights of activation regularisation (AR) and temporal AR (Merity et al. 2017). By default
            those of the encoder: 2 and 1 for an AWD-LSTM.
        moms: the momentum at the start, the middle and the end of `fit_one_cycle`. By default .8, .7, .8 as in fastai.
        kwargs: passed on to `Learner`.
    """

    learns: ClassVar[type[Target] | None] = None  # what texts alone teach; a subclass with one is a kind of its own
    model: Headed
    phases: list[dict]
    started_from: str | None
    encoder_record: dict | None
    news: Callable[[], None] | None
    n_matched: int  # words of the vocabulary that pretrained weights brought
    reference: dict | None  # scores of texts that it was not trained on, for `drift`

    def __init__(self, dls: DataLoaders, model: Headed, alpha: float | None = None, beta: float | None = None,
                 moms: Moms = (0.8, 0.7, 0.8), **kwargs: Any):
        super().__init__(dls, model, moms=moms, **kwargs)
        self.news = None  # for the first fit: `load_encoder` may come before it
        self.phases, self.encoder_record = [], None  # these, and the next two, for the card of a saved model
        self.started_from, self.n_matched, self.reference = None, 0, None
        if dls.prepare is not None:
            self._check_exportable()
            try_parts(self.model, dls.prepare)
        given = zip((alpha, beta), model.encoder.penalties, strict=True)
        self.add_cbs([RNNCallback(), RNNRegularizer(*(own if value is None else value for value, own in given))])

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """As `Learner.fit`. The first one tells which pretrained weights a classifier starts from, or that it has none.

        An encoder that was loaded since needs no such line.
        """
        if self.news:
            self.news()
            self.news = None
        self.reference = None  # of the weights before
        super().fit(*args, **kwargs)
        self.phases = [*self.phases, phase_of(self)]

    def _do_batch(self) -> Any:
        try:
            return super()._do_batch()
        except (RuntimeError, MemoryError) as e:
            if not (self.training and is_full(e)):
                raise
            why = str(e).partition("\n")[0]
        raise too_large(self, why)  # here, so that the error does not hold what the batch has computed

    @property
    def encoder(self) -> Encoder:
        """The encoder: what the language model and the classifier share."""
        return self.model.encoder

    @property
    def head(self) -> nn.Module:
        """The decoder of a language model, or the head of a classifier."""
        return self.model.head

    @takes({"file": path})
    def save_encoder(self, file: str | Path) -> Self:
        """Write the encoder's weights and its vocabulary's hash to `path/model_dir/file.safetensors`."""
        if is_main():
            save_weights(model_file(self, file), self.encoder.state_dict(), arch=type(self.encoder).__name__,
                         vocab_sha256=self.dls.text_vocab.sha256, backwards=self.dls.backwards)
        return self

    @takes({"file": path})
    def load_encoder(self, file: str | Path, device: torch.device | str | None = None) -> Self:
        """Load an encoder that `save_encoder` wrote. Freeze all but the last layer group. Return the learner.

        Raises:
            VocabError: E302 if it was trained with another vocabulary.
            FileError: E402 if its sizes or direction differ.
        """
        place = model_file(self, file)
        ranks.wait()  # for the main process, which may still be writing it
        weights, metadata = load_weights(place, device or self.dls.device)
        return self._set_encoder(weights, metadata.get("vocab_sha256"), metadata.get("backwards"), place)

    def take_encoder(self, other: "TextLearner") -> Self:
        """Take the encoder of another learner, as `load_encoder` takes it from a file."""
        weights = {k: v.clone() for k, v in other.encoder.state_dict().items()}
        self._set_encoder(weights, other.dls.text_vocab.sha256, other.dls.backwards, "the encoder")
        self.started_from, self.encoder_record = other.started_from, record_of(other)
        self.n_matched = other.n_matched
        return self

    def _set_encoder(self, weights: dict[str, Tensor], vocab_sha256: str | None, backwards: bool | None,
                     source: str | Path) -> Self:
        own = self.dls.text_vocab.sha256
        if vocab_sha256 is None or any(name.startswith("model.") for name in weights):  # as `save` names them
            raise VocabError("E302", received=f"{source}, which is no encoder with its vocabulary's hash",
                             expected="what learn.save_encoder wrote",
                             fix="write it with learn.save_encoder; learn.save is for learn.load")
        if vocab_sha256 != own:
            raise VocabError("E302", received=f"{source}, trained with the vocabulary {vocab_sha256}",
                             expected=f"the vocabulary of this learner's data, {own}",
                             fix="build the classifier's data with pretrained=learn, the language model's learner")
        if backwards != self.dls.backwards:
            raise direction_error(source, backwards, self.dls.backwards)
        load_state(self.encoder, self.encoder.part_of(weights), source)
        self.news = None
        return self.freeze()

    def load_pretrained(self, weights: Mapping[str, Tensor] | str | Path, vocab: Vocab | str | Path,
                        source: str = "pretrained weights") -> Self:
        """Load the weights of a language model with another vocabulary. Return the learner, frozen.

        Words of both vocabularies keep their rows of the embedding. A new word starts from a row that is guessed from
        word vectors, if the library has some for its language. Otherwise it starts from the mean row. A classifier
        takes the weights of the encoder only. Weights and vocabulary may also be names of files under `path/models`.
        """
        if isinstance(weights, str | Path) or isinstance(vocab, str | Path):
            names = str(weights), str(vocab)
            found = find_pair(names, self.path / self.model_dir, type(self.encoder), self.dls)
            return take_over(self, found.weights, found.vocab, found.name)
        return take_over(self, weights, vocab, source)

    @takes({"fname": path, "half": flag})
    def export(self, fname: str | Path = "export", *, half: bool = False) -> Path:
        """Write a bundle folder, `path/fname`, from which `load_learner` builds this learner for inference.

        `half` stores weights in 16 bits: half the size, and probabilities that differ by about a thousandth of
        themselves. An older bundle in the folder is replaced. Of the loss function only the activation and the
        threshold are kept.

        Raises: FileError E412 if the folder has any other files in it.
        """
        weights = self.model.state_dict()
        if not is_main():
            return self.path / fname
        return save_bundle(self.path / fname, weights, self.dls.text_vocab, self._check_exportable(weights), half=half,
                           record=record_of(self))

    features, load_vectors, to_onnx = features, load_vectors, to_onnx
    push_to_hub, of_hub = push_to_hub, of_hub

    def _check_exportable(self, weights: Mapping[str, Tensor] | None = None) -> dict:
        """Return the settings of a bundle. E506 if they, or the `weights`, are none that `load_learner` would take."""
        loss = {"thresh": plain(getattr(self.loss_func, "thresh", None)),
                "takes_probabilities": isinstance(self.loss_func, BCELossFlat)}
        config = {**self.dls.config(), **self.model.config(), "loss": loss, "precision": self.precision}
        if self.reference is not None:
            config["reference"] = self.reference
        try:
            if weights is None:
                check_parts(config, "this learner")
            else:
                check_config(config, self.dls.text_vocab, weights, "this learner")
        except FileError as e:
            raise TrainingError("E506", received=e.received, expected="a learner that load_learner can build again",
                                fix="make the learner from other values, or train the model by code of your own") from e
        return config


def learner_for(target: Target) -> type[TextLearner]:
    """Return the class of learner for a target: the one that learns such from texts alone, or `TextLearner`."""
    kinds = (kind for kind in TextLearner.__subclasses__() if kind.learns and isinstance(target, kind.learns))
    return next(kinds, TextLearner)


class LMLearner(TextLearner):
    """A learner of a language model, which predicts the next token. `language_model_learner` makes it."""

    learns = NextToken

    def __init__(self, dls: DataLoaders, model: Headed, *args: Any, **kwargs: Any):
        needs_memory(model.encoder, "a language model on streams of text")
        super().__init__(dls, model, *args, **kwargs)
        self.add_cbs(HiddenState())
        self.told_unknown = False

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """As `TextLearner.fit`. The first one tells how many tokens a perplexity counts as `xxunk`."""
        ids = getattr(self.dls.valid, "ids", None)
        if self.verbose and not self.told_unknown and isinstance(ids, IdStore):
            if share := shown_share(ids.unk_rate(self.dls.valid.rows)):
                say(f"{share} of the validation tokens are out of vocabulary. Perplexity counts each as xxunk.")
            self.told_unknown = True
        super().fit(*args, **kwargs)

    predict, logprob = writing.predict, score.logprob  # type: ignore[assignment]  # it writes


class BothWaysLearner(TextLearner):
    """A learner whose model guesses each next word forwards and backwards. What it learned is for a head to read."""

    learns = BothWays

    def __init__(self, dls: DataLoaders, model: Headed, *args: Any, **kwargs: Any):
        super().__init__(dls, model, *args, **kwargs)
        self.add_cbs(HiddenState())

    def predict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise TrainingError E506: two directions write no text, and a product of theirs is no probability of one."""
        raise TrainingError("E506", received="a question to a language model that reads both ways",
                            expected="a head over it, or a model that reads one way",
                            fix="make a classifier: text_classifier_learner(dls, ELMo, pretrained=learn); train with "
                            'objective="lm" to write and to score texts')

    logprob = predict


class MaskedLearner(TextLearner):
    """A learner of a masked language model such as BERT, which predicts hidden tokens."""

    learns, predict = MaskedToken, filling.predict  # it fills masks
    logprob = score.logprob  # which refuses it: a score is of texts read from their beginning
