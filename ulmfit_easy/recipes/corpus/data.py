"""The texts of a pretraining run, as batches."""

import time
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulmfit_easy.data.checks import shown_share, warn_of_language
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.learner.callbacks.recorder import format_time
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.terminal import say
from ulmfit_easy.text.corpus import Corpus, Rows, hold_out
from ulmfit_easy.text.look import SAMPLE, Look
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import make_vocab
from ulmfit_easy.user_code import warn_user


class CorpusData(NamedTuple):
    """The result of `corpus_data`."""

    dls: TextDataLoaders
    held_out: Iterable[str]  # the raw texts to validate with
    files: list[tuple[str, int, int]]  # name, documents and tokens of each file to learn from
    names: tuple[str, ...]  # of the token stores: they change with the texts


def corpus_data(plan: Plan, start: PretrainedLM | None = None) -> CorpusData:
    """Language-model data for a plan: read once to find mistakes early, then tokenized into the cache.

    Args:
        start: the model to continue with, whose words and tokenizer are taken.
    """
    texts = Corpus(plan.corpus, plan.headings)
    per_file = [array("q") for _ in texts.files]  # characters of each document
    look = Look(_walked(texts, per_file), SAMPLE).finish()
    n_chars = np.concatenate(per_file)  # (N,)
    rows = np.arange(len(n_chars))
    held_out: Corpus | Rows
    if plan.valid:
        train, held_out = rows, Corpus(plan.valid, plan.headings)
    else:
        valid = hold_out(n_chars)
        train, held_out = np.setdiff1d(rows, valid), Rows(texts, valid)
    say(f"{len(rows):,} documents with {n_chars.sum():,} characters, "
        + (f"validated with {names(plan.valid)}" if plan.valid else f"{len(valid):,} of them kept aside")
        + ". Tokenizing, once for these texts ...")
    started = time.perf_counter()
    target = TARGETS[start.config["task"] if start else plan.task].from_config({})
    tokenizer = _tokenizer(plan, start, texts if plan.valid else Rows(texts, train))
    warn_of_language(look.first, tokenizer)
    store = TokenStore.build(texts, tokenizer, progress=True, look=look)
    valid_store = TokenStore.build(held_out, tokenizer) if plan.valid else store
    if tokenizer.vocab is None:
        tokenizer = tokenizer.with_vocab(make_vocab(store.count(train), plan.min_freq, plan.max_vocab))
    tokenizer = tokenizer.with_vocab(target.vocab_for(tokenizer.vocab))
    vocab = tokenizer.vocab
    ids = store.numericalize(vocab)
    valid_ids = ids if valid_store is store else valid_store.numericalize(vocab)
    if plan.valid:
        valid = np.arange(len(valid_store))
    unknown = shown_share(valid_ids.unk_rate(valid))
    say(f"{store.n_tokens:,} tokens in {format_time(time.perf_counter() - started)}, {len(store.lexicon):,} distinct; "
        f"{len(vocab):,} in the vocabulary" + (f"; {unknown} unknown in validation" if unknown else ""))
    sizes: dict = {"seq_len": plan.seq_len, "bs": plan.bs, "backwards": plan.backwards}
    prepare = Preparation(tokenizer, target, **sizes)
    dls = TextDataLoaders(target.loader(ids, train, vocab=vocab, shuffle=True, seed=plan.seed, **sizes),
                          target.loader(valid_ids, valid, vocab=vocab, **sizes), prepare=prepare)
    ends = np.cumsum([0, *map(len, per_file)])
    files = [(file.name, int(b - a), int(store.lengths[a:b].sum()))
             for file, a, b in zip(texts.files, ends, ends[1:], strict=False)]
    if plan.subword and len(vocab) < plan.subword:
        warn_user(f"these texts gave {len(vocab):,} pieces, not {plan.subword:,}")
    return CorpusData(dls, held_out, files, tuple({s.path.name: None for s in (store, valid_store)}))


def _walked(texts: Corpus, per_file: list[array]) -> Iterator[str]:
    """Yield the documents of a corpus, and note the characters of each."""
    for file, n_chars in zip(texts.files, per_file, strict=True):
        for document in Corpus(file, texts.headings):
            n_chars.append(len(document))
            yield document


def _tokenizer(plan: Plan, start: PretrainedLM | None, texts: Iterable[str]) -> Tokenizer:
    if known := plan.tokenizer or (start and start.data.get("tokenizer")):
        tokenizer = Tokenizer.from_config(known)
    else:
        tok = SentencePieceTokenizer(plan.lang, vocab_sz=plan.subword) if plan.subword else None
        tokenizer = Tokenizer(tok, lang=plan.lang).setup(texts)
    return tokenizer.with_vocab(start.vocab) if start else tokenizer


def names(files: Iterable[str]) -> str:
    """Return the names of files without their folders."""
    return ", ".join(Path(file).name for file in files)
