"""Start a pretraining run from random weights or a language model, with or without word vectors."""

import torch

from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm
from ulmfit_easy.learner.text_learner import LMLearner
from ulmfit_easy.models.remap import with_vectors
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.text.vectors import read_vectors


def put_vectors(learn: LMLearner, file: str) -> int:
    """Put word vectors into the embedding of a language model. Return how many of its words have one.

    Raises: ArgumentError E603 for vectors with more numbers than half the embedding has. What `read_vectors` raises.
    """
    embedding = learn.encoder.embedding.weight  # (V, E); a tied decoder shares it
    vectors, known = map(torch.from_numpy, read_vectors(file, words := list(learn.dls.vocab)).of(words))
    if 2 * vectors.shape[1] > embedding.shape[1]:
        raise ArgumentError("E603", received=f"vectors of {vectors.shape[1]} numbers for an embedding of "
                            f"{embedding.shape[1]}", expected="at most half as many",
                            fix="choose smaller vectors; choose a larger emb=")
    with torch.no_grad():
        embedding.copy_(with_vectors(embedding, vectors.to(embedding.device), known.to(embedding.device)))
    return int(known.sum())


def start_of(plan: Plan) -> PretrainedLM | None:
    """Return the language model that a plan continues from, None if it starts from random weights.

    Raises: what `read_lm` raises for `plan.pretrained`. FileError E402 if it has no decoder. ArgumentError E603 for
        another language.
    """
    if plan.pretrained is None:
        return None
    found = read_lm(plan.pretrained, plan.backwards)
    if not any(name.startswith("1.decoder.") for name in found.weights):
        raise FileError("E402", received=f"{plan.pretrained}, an encoder without a decoder",
                        expected="a language model", fix="name the language model's file")
    lang = (found.data.get("tokenizer") or {"tok": {}})["tok"].get("params", {}).get("lang", plan.lang)
    if plan.lang not in (Plan.lang, lang):
        raise ArgumentError("E603", received=f"lang={plan.lang!r} for {plan.pretrained}, whose texts were {lang!r}",
                            expected="the language of its tokenizer", fix="leave out lang=")
    return found
