"""Try an encoder or a head of the user on a few tokens: one that breaks its contract may train without a sign of it.

The library's own parts are held to their contracts by tests/contracts/.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor

from ulmfit_easy.cleanup import surely
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoder, Headed, text_split
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.text.vocab import padded

TEXTS = "it is a film that i saw again .", "a film"
NEAR = 0.02  # of the size of what is compared: more than a product in 16 bits is off
Promises = Iterator[tuple[str, Callable[[], tuple]]]  # what a contract asks for; what was found, and what should be


def try_parts(model: Headed, prepare: Preparation) -> None:
    """Raise E603 if an encoder, a head or a target that is not the library's own goes against its contract."""
    encoder, head = type(model.encoder), type(model.head)
    ours = [part.__module__.startswith("ulmfit_easy.") for part in (encoder, head, type(prepare.target))]
    if all(ours):
        return
    tried, before = evaluated(model), random_state()

    def body() -> None:
        text_split(model)
        if not ours[0]:
            _hold(encoder.__name__, "encoder", _of_encoder(tried.encoder, prepare.vocab.pad_id))
        _hold(f"{head.__name__} over {encoder.__name__}", "heads/head", _of_head(tried, prepare))

    surely(without_gradients(body), lambda: [(set_random_state, before)])


def _hold(name: str, file: str, promises: Promises) -> None:
    """Raise E603 for the first promise that is not kept."""
    for promise, result in promises:
        fault, why = "", None
        try:
            found, wanted = result()
            if isinstance(wanted, Tensor):
                fault = "gives others" * bool((found - wanted).nan_to_num().norm() > NEAR * wanted.norm())
            elif found != wanted:
                fault = f"gives {found}, not {wanted}"
        except Exception as e:  # whatever the user's code raises
            fault, why = f"raises {type(e).__name__}: {e}", e
        if fault:
            fix = f"mend the class, or take another; the contract is in ulmfit_easy/models/{file}.py"
            raise ArgumentError("E603", received=f"{name}, which {fault}", expected=promise, fix=fix) from why


def _of_encoder(encoder: Encoder, pad: int) -> Promises:
    weight, n = encoder.embedding.weight, 2
    ids = (torch.arange(10, device=weight.device).view(2, 5) + pad + 1) % len(weight)  # (2, T), each token another
    lengths, padded_ids = torch.tensor([5, n], device=weight.device), ids.clone()
    padded_ids[1, n:] = pad
    whole, first, beside = (cache(partial(encoder, *of)) for of in ((ids,), (ids[:, :n],), (padded_ids, lengths)))
    yield "states `raw` (B, T, width)", lambda: (tuple(beside().raw.shape), (2, 5, encoder.width))
    if encoder.streams:
        yield "a Memory of tensors (B, ...) from an encoder with `streams = True`", lambda: (
            [len(t) for t in whole().memory.rows([1])], [1] * len(whole().memory))
        yield "with `streams = True` states that know no later token", lambda: (first().raw, whole().raw[:, :n])
        yield "from `memory`, batch first, the states of reading at once", lambda: (
            encoder(ids[1:, n:], memory=first().memory.rows([1])).raw, whole().raw[1:, n:])
    yield "the same states beside padding and other texts as alone", lambda: (
        beside().raw[1:, :n], encoder(ids[1:, :n], lengths[1:]).raw)
    yield "the embedding in the first of `groups()`", lambda: (weight in set(encoder.groups()[0]), True)


def _of_head(model: Headed, prepare: Preparation) -> Promises:
    target, n_fields, device = prepare.target, len(prepare.text_cols), model.encoder.embedding.weight.device
    docs = [*prepare.tokenizer.ids(text if n_fields == 1 else (text,) * n_fields for text in TEXTS)]
    ids, lengths = (torch.from_numpy(each).to(device) for each in padded(docs, prepare.vocab.pad_id, prepare.backwards))
    if model.head.decodes:
        yield "logits (B, T, V); to share the embedding's weight (`tie_weights`) states are as wide as it", lambda: (
            tuple(model(ids).logits().shape), (*ids.shape, len(prepare.vocab)))
        return
    each, n, together = ids.shape[1:] * (target.per == "token"), len(docs[1]), cache(lambda: model(ids, lengths).logits)
    yield f"logits for the task {prepare.task!r}, {target.c} for each {target.per}", lambda: (
        tuple(together().shape), (2, *each, target.c))
    yield "the same logits beside padding and other texts as alone", lambda: (
        together()[1][:n if each else None], model(ids[1:, :n], lengths[1:]).logits[0])
