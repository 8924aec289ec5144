"""Which words of a text decide: what an answer loses when some of them are hidden."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.apps.gradients import integrated_gradients
from ulmfit_easy.errors import ArgumentError, TextError, TrainingError, refuse_stranger, some
from ulmfit_easy.learner.inference import one_answer_a_text
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.readers import TextClassifier
from ulmfit_easy.recipes.base import TextEstimator
from ulmfit_easy.schema import one_of, optional, takes, whole
from ulmfit_easy.terminal import in_notebook, line_width, printable, say
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.user_code import UNCHANGED, interrupted
from ulmfit_easy.viz import escape, html_tokens, text_tokens

READINGS = 200  # of a text, at most, unless the caller names a window
CERTAIN = 1e-6  # probabilities nearer to 0 or 1 have the log-odds of this one


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """A score for each token of one text: above 0 it speaks for the model's answer, below 0 against it.

    Attributes:
        tokens: as the tokenizer splits the text. The model may know some of them as `xxunk` only.
        scores: (T,) in units of `evidence`. Tokens that were hidden together share the score of all of them.
        label: the class in question. None for a regression.
        evidence: what the model says of the whole text: log-odds of the class, ln(p / (1 - p)), or the number.
    """

    tokens: list[str]
    scores: np.ndarray
    label: object
    evidence: float

    @property
    def title(self) -> str:
        """The answer in words."""
        if self.label is None:
            return f"predicted: {self.evidence:.4g}"
        return f"{printable(self.label)}: probability {1 / (1 + np.exp(-self.evidence)):.3f}"

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """Return the k tokens with the largest scores, whatever their sign, with these."""
        return [(self.tokens[i], float(self.scores[i])) for i in np.argsort(-abs(self.scores), kind="stable")[:k]]

    def show(self):
        """Show the text: coloured in a notebook (blue for, orange against), with the main scores in a terminal."""
        if in_notebook():
            from IPython.display import display

            display(self)
        else:
            say(self)

    def __repr__(self) -> str:
        return f"{self.title}\n{text_tokens(self.tokens, self.scores.tolist(), line_width())}"

    def _repr_html_(self) -> str:
        return f"<b>{escape(self.title)}</b>{html_tokens(self.tokens, self.scores.tolist())}"


@takes({"method": one_of(("occlusion", "gradients")), "baseline": one_of(("unknown", "delete")), "n_steps": whole(),
        "bs": whole(), "window": optional(whole())})
@interrupted(UNCHANGED)
def explain(learn: Learner | TextEstimator, text: Iterable, target: object = None, *, method: str = "occlusion",
            window: int | None = None, baseline: str = "unknown", n_steps: int = 50,
            bs: int = 64) -> Attribution | list[Attribution]:
    """Attribute the answer of a classifier or a regression to the tokens of a text, as an `Attribution`.

    Occlusion hides one window of tokens after another and asks again. It needs no gradient and sees all of a text of
    any length. It costs 1 + T / window readings of T tokens, at most 201 unless `window` says otherwise. Integrated
    gradients (Sundararajan et al. 2017) go from a text of unknown words to this one in `n_steps` steps. Each step is a
    reading with its gradient. The scores add up to the difference between the two answers. `xxbos`, which begins every
    text, stays and scores 0.

    An estimator, such as `ULMFiT`, answers as a whole, with its mixture. Words are left out of its text, so the tokens
    are words. Explain `model.learners_[0]` for one of its parts.

    Args:
        learn: a learner, or an estimator.
        text: one text, or several, which give a list. Of a table its texts, such as `df["text"]`.
        target: the name of a class, by default the likeliest one. For a regression the number of the output, by default
            0.
        method: "occlusion", or "gradients", which needs the package captum.
        window: tokens hidden together, 1 or more. By default 1, and more for texts above 200 tokens.
        baseline: "unknown" puts `xxunk` in their place, "delete" nothing.
        n_steps: of the integral. More are more exact.
        bs: texts read at once.

    Raises: E101 for what is no text. E506 for a language model. E507 without captum. E604 for an unknown class.
    """
    if isinstance(learn, TextEstimator):
        return _of_estimator(learn, text, target, method)
    if learn.dls.target is None or not learn.dls.target.labelled:
        raise TrainingError("E506", received="a learner without classes or numbers to explain",
                            expected="a classifier or a regression of texts", fix="use learn.validate()")
    one_answer_a_text(learn, "explain")
    texts, alone = given_texts(text, learn.dls.prepare.text_cols)
    found = [_explained(learn, one, target, method, window, baseline, n_steps, bs) for one in _checked(learn, texts)]
    return found[0] if alone else found


def _of_estimator(model: TextEstimator, text: Iterable, target: object,
                  method: str) -> Attribution | list[Attribution]:
    from ulmfit_easy.apps.word_by_word import WholeEstimator, word_by_word

    whole, learn = WholeEstimator(model), model.learners_[0]
    if method != "occlusion":
        raise ArgumentError("E603", received=f"method={method!r} for an estimator, whose linear models have no "
                            "gradients", expected='"occlusion"',
                            fix="leave out method=, or explain model.learners_[0], a part of it")
    if target is not None:
        refuse_stranger("target=", target, model.classes_.tolist())
    texts, alone = given_texts(text, learn.dls.prepare.text_cols)
    found = [word_by_word(whole, one, target) for one in _checked(learn, texts)]
    return found[0] if alone else found


def _explained(learn: Learner, text: str | tuple, target: object, method: str, window: int | None, baseline: str,
               n_steps: int, bs: int) -> Attribution:
    tokens, ids = learn.dls.tokenizer(text), learn.dls.prepare.ids([text])[0]  # T strings, (T,)
    vocab = learn.dls.text_vocab
    first = int(tokens[:1] == [vocab.specials.get("bos")])
    window = window or max(1, -(-len(ids) // READINGS))
    starts = range(first, len(ids), window) if method == "occlusion" else ()
    spans = [(0, 0), *((i, min(i + window, len(ids))) for i in starts)]  # the whole text, then N windows
    ask = replace(learn.predictor, bs=bs, max_tokens=None)
    batches = (spans[i:i + bs] for i in range(0, len(spans), bs))  # all of the variants might fill the memory
    marks = [vocab.stoi[vocab.specials[role]] for role in ("sep", "fld") if role in vocab.specials]
    fixed = np.isin(ids, marks) & (len(learn.dls.prepare.text_cols) > 1)  # (T,) what parts the fields stays
    outputs = torch.cat([ask.logits([_hidden(ids, *span, vocab.unk_id, baseline, fixed) for span in batch])
                         for batch in batches]).double()  # (1 + N, C)
    column = _column(learn, target, outputs[0])

    def score(outputs: Tensor) -> Tensor:  # (B, C) -> (B,)
        return evidence(_logits(learn, outputs), column, learn.dls.target.one_class)

    said, *without = score(outputs).tolist()
    if method == "occlusion":
        scores = np.zeros(len(ids))  # (T,)
        for span, rest in zip(spans[1:], without, strict=True):
            scores[slice(*span)] = said - rest
    else:
        assert isinstance(ask.model, TextClassifier)
        if cast(Head, ask.model.head).rearranges:
            raise TrainingError("E506", received=f'method="gradients" for a {type(ask.model.head).__name__}, whose '
                                "texts are not those of the rows", expected='"occlusion"', fix="leave out method=")
        scores = integrated_gradients(learn, ask.model, ids, score, first, n_steps, bs)
    return Attribution(tokens, scores, learn.dls.classes and learn.dls.classes[column], said)


def evidence(logits: Tensor, column: int, one_class: bool) -> Tensor:
    """Return the log-odds (B,) of one class in logits (B, C). For a regression they are the number itself.

    Log-odds, unlike probabilities, still move where a model is nearly certain.
    """
    if not one_class:
        return logits[:, column]  # (B,)
    others = torch.cat([logits[:, :column], logits[:, column + 1:]], 1)  # (B, C - 1)
    return logits[:, column] - others.logsumexp(1)


def _logits(learn: Learner, outputs: Tensor) -> Tensor:
    """Return the model's outputs (B, C) as `evidence` wants them: where they are probabilities, their logits."""
    if not learn.dls.target.has_classes or not isinstance(learn.loss_func, BCELossFlat):
        return outputs
    return outputs.logit(eps=CERTAIN)


def _hidden(ids: np.ndarray, start: int, stop: int, unk_id: int, baseline: str, fixed: np.ndarray) -> np.ndarray:
    """Return a text with the tokens of a span unknown, or without them. Those that are `fixed` (T,) stay."""
    position = np.arange(len(ids))
    gone = (position >= start) & (position < stop) & ~fixed
    return np.where(gone, ids.dtype.type(unk_id), ids) if baseline == "unknown" else ids[~gone]


def _checked(learn: Learner, texts: Iterable) -> list:
    """Return texts as a list. E101 unless each is a string, or a tuple of fields if texts have several."""
    texts = list(texts)
    if not all(map(learn.dls.is_one_text, texts)):
        columns = learn.dls.prepare.text_cols
        one = "a string" if len(columns) == 1 else f"a tuple of {some(columns)}"
        raise TextError("E101", received="what is no list of texts", expected=f"a text, or several, each {one}",
                        fix='pass the texts themselves; of a table, df["text"]')
    return texts


def _column(learn: Learner, target: object, answer: Tensor) -> int:
    """Return the index of the output to explain, of an answer (C,)."""
    classes = learn.dls.classes
    if target is None:
        return 0 if classes is None else int(answer.argmax())
    known = list(range(len(answer))) if classes is None else classes
    refuse_stranger("target=", target, known)
    return known.index(target)

