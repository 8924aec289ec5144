"""The texts of a pretraining run, as batches."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ulmfit_easy.data.checks import shown_share, warn_of_language
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.learner.callbacks.recorder import format_time
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes.corpus.parts import look_at, tokens_on
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.terminal import say
from ulmfit_easy.text.corpus import Corpus, Rows, hold_out
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import make_vocab
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from distributed import Client


class CorpusData(NamedTuple):
    """The result of `corpus_data`."""

    dls: TextDataLoaders
    held_out: Iterable[str]  # the raw texts to validate with
    files: list[tuple[str, int, int]]  # name, documents and tokens of each file to learn from
    names: tuple[str, ...]  # of the token stores: they change with the texts


def corpus_data(plan: Plan, start: PretrainedLM | None = None, client: "Client | None" = None) -> CorpusData:
    """Language-model data for a plan: read once to find mistakes early, then tokenized into the cache.

    Args:
        start: the model to continue with, whose words and tokenizer are taken.
        client: of a cluster that reads and tokenizes the corpus, see `connected`. None for this process.
    """
    corpus = Corpus(plan.corpus, plan.headings, plan.text_col)
    every = look_at(corpus, client)
    unique = every.unique()
    n_copies = len(every.n_chars) - len(unique)
    texts, seen = (Rows(corpus, unique), every.only(unique)) if n_copies else (corpus, every)
    n_chars, rows = seen.n_chars, np.arange(len(seen.n_chars))
    held_out: Corpus | Rows
    if plan.valid:
        train, held_out = rows, Corpus(plan.valid, plan.headings, plan.text_col)
    else:
        valid = hold_out(n_chars)
        train, held_out = np.setdiff1d(rows, valid), Rows(texts, valid)
    say(f"{len(rows):,} documents with {n_chars.sum():,} characters, "
        + (f"{n_copies:,} copies of them left out, " if n_copies else "")
        + (f"validated with {names(plan.valid)}" if plan.valid else f"{len(valid):,} of them kept aside")
        + ". Tokenizing, once for these texts ...")
    started = time.perf_counter()
    target = TARGETS[start.config["task"] if start else plan.task].from_config({})
    tokenizer = _tokenizer(plan, start, texts if plan.valid else Rows(texts, train))
    warn_of_language(seen.look.first, tokenizer)
    elsewhere = partial(tokens_on, client, corpus, every.ends, unique, seen.look) if client else None
    store = TokenStore.build(texts, tokenizer, progress=True, look=seen.look, tokens=elsewhere)
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
    files = [(file.name, int(b - a), int(store.lengths[a:b].sum()))
             for file, a, b in zip(corpus.files, seen.ends, seen.ends[1:], strict=False)]
    if plan.subword and len(vocab) < plan.subword:
        warn_user(f"these texts gave {len(vocab):,} pieces, not {plan.subword:,}")
    return CorpusData(dls, held_out, files, tuple({s.path.name: None for s in (store, valid_store)}))


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
