"""Classify texts by a language model that has seen no label, by the answer that it expects after a text."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from string import Formatter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.learner.predictor import Prediction
from ulmfit_easy.learner.text_learner import LMLearner
from ulmfit_easy.models.encoder import Memory, needs_memory
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.softmax import IGNORE, lm_cross_entropy
from ulmfit_easy.schema import flag, mapping, such, takes, text
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.text.vocab import padded

__all__ = ["zero_shot"]

TOKENS = 4096  # of the memory of a batch, all answers together
SETTINGS = {
    "words": such(mapping, lambda words: len({*words.values()}) == len(words) > 1 and all(
        isinstance(word, str) and word.strip() for word in words.values()),
        "a dict from at least two labels to other words for each, such as {'pos': 'good', 'neg': 'bad'}"),
    "template": such(text, lambda text: fields_of(text) and all(map(str.isidentifier, fields_of(text))),
                     "a text with {text}, or other text columns in braces, such as '{text} It was'"),
    "calibrate": flag}


@takes(SETTINGS)
def zero_shot(learn: LMLearner, texts: Iterable, words: Mapping, template: str = "{text} It was", *,
              calibrate: bool = True) -> Any:
    r"""Return a `Prediction` for one text, or a list of these, from a language model alone.

    A label y is as likely as its words after the text x in the template, compared with the same words after an empty
    text. So a label whose words are common anywhere gains nothing:

    $$ score(y) = \ln p(words_y | template(x)) - \ln p(words_y | template()) $$

    The texts of a task need no training, but a language model that has read much.

    Args:
        learn: a learner for a language model that streams and reads forwards.
        texts: one text, or several. A table or rows with the columns that the template names.
        words: what to expect for each label, `{"pos": "good", "neg": "bad"}`. The labels are the classes.
        template: what stands before the words, with `{text}`, or the names of other text columns, in braces.
        calibrate: False leaves out the second term.

    Raises: ArgumentError E601, E602 for `words` or a `template` that cannot work. E603 for an encoder without memory,
        or a backwards model.
    Source: Holtzman et al. 2021 (arXiv 2104.08315), domain conditional PMI. Zhao et al. 2021 (arXiv 2102.09690), who
        calibrate by texts without content.
    """
    needs_memory(learn.encoder, "zero_shot")
    if learn.dls.backwards:
        raise ArgumentError("E603", received="zero_shot with a backwards model", expected="a model that reads forwards",
                            fix="take the forwards model")
    fields, classes = fields_of(template), list(words)
    rows, alone = given_texts(texts, fields)
    rows = [(row,) if len(fields) == 1 else row for row in rows]
    filled = [template.format(**dict(zip(fields, row, strict=True))) for row in [*rows, ("",) * len(fields)]]
    scores = answer_logprobs(learn, filled, list(words.values()))  # (N + 1, C)
    probs = (scores[:-1] - scores[-1] * calibrate).softmax(1).float()
    found = [Prediction(classes[i], i, p).of(classes) for i, p in zip(probs.argmax(1), probs, strict=True)]
    return found[0] if alone else found


def fields_of(template: str) -> list[str]:
    """Return the different names in braces, in order. Empty if the braces do not match."""
    try:
        return list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name is not None))
    except ValueError:
        return []


@without_gradients
def answer_logprobs(learn: LMLearner, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
    """Return the log-likelihood of each answer after each prompt, (N, C) float64, in nats.

    A prompt is read once. Its memory is then copied for each answer. If a prompt and an answer are longer than the
    block of a transformer, its first tokens are left out.

    Raises: ArgumentError E602 if a prompt has no token before its answers.
    """
    n_answers, most = len(answers), getattr(learn.encoder, "span", None)
    spaced = (prompt + " " * (not prompt[-1:].isspace()) for prompt in prompts)
    docs = [*learn.dls.tokenizer.ids((prompt + answer).lstrip() for prompt in spaced for answer in answers)]
    groups = [docs[i:i + n_answers] for i in range(0, len(docs), n_answers)]
    shared = [_shared(group) for group in groups]  # tokens of each prompt
    if 0 in shared:
        raise ArgumentError("E602", received=f"the prompt {prompts[shared.index(0)]!r:.80} before {some(answers)}",
                            expected="a word before the answers", fix="pass a template with words of its own")
    found = torch.zeros(len(groups), n_answers, dtype=torch.float64)
    for n, same in groupby(sorted(range(len(groups)), key=shared.__getitem__), shared.__getitem__):
        order, step = list(same), max(1, TOKENS // (n * n_answers))
        for rows in (order[at:at + step] for at in range(0, len(order), step)):
            longest = max(len(doc) for i in rows for doc in groups[i])
            cut = min(n - 1, max(0, longest - (most or longest)))
            found[rows] = _scores(learn, [[doc[cut:] for doc in groups[i]] for i in rows], n - cut)
    return found


def _shared(docs: Sequence[np.ndarray]) -> int:
    """Return how many tokens are the same in all documents, at most all but one of the shortest."""
    least = min(map(len, docs)) - 1
    same = np.stack([doc[:least] for doc in docs])
    return int((same == same[0]).all(0).cumprod().sum())


def _scores(learn: LMLearner, groups: list[list[np.ndarray]], n: int) -> Tensor:
    """Return the log-likelihoods (b, C) of what comes after the first n tokens of b times C documents."""
    device, vocab, model = learn.dls.device, learn.dls.text_vocab, evaluated(learn.model)
    memory: Memory | None = None
    if n > 1:
        prompts = torch.from_numpy(np.stack([docs[0][:n - 1] for docs in groups])).to(device)
        memory = model(prompts).memory.rows([i for i, docs in enumerate(groups) for _ in docs])
    ids, lengths = (torch.from_numpy(each).to(device) for each in padded(
        [doc[n - 1:] for doc in chain.from_iterable(groups)], vocab.pad_id))  # (b * C, t), (b * C,)
    real = torch.arange(1, ids.shape[1], device=device) < lengths.unsqueeze(1)  # (b * C, t - 1)
    nll = lm_cross_entropy(model(ids[:, :-1], memory), ids[:, 1:].where(real, IGNORE), reduction="none")
    return -nll.double().sum(1).view(len(groups), -1).cpu()
