"""Text to pieces of words: SentencePiece, for languages and vocabularies that words do not suit."""

import base64 as b64
import heapq
import io
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError
from ulmfit_easy.files import regular_file
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import language, optional
from ulmfit_easy.schema import text as string
from ulmfit_easy.text.given import in_batches
from ulmfit_easy.text.rules import neutralize
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.vocab import Vocab, add_words, detokenize

SAMPLE = 1 << 25  # characters that are learned from: more change the pieces little
BATCH = 1 << 18  # characters that are encoded at once
THREADS = 4  # of learning; a fixed number, because the sums and so the pieces depend on it
EU = set("bg cs da de el en es et fi fr ga hr hu it lt lv mt nl pl pt ro sk sl sv".split())
SPECIALS = frozenset(SPECIAL_TOKENS)
_CONTROL = re.compile(rf"(?<!\S)({'|'.join(SPECIAL_TOKENS)})(?!\S)")


class SentencePieceTokenizer:
    """Split texts into pieces of words with SentencePiece. The pieces are learned from your texts, or given.

    It is called with an iterable of texts, and yields the list of pieces of each. fastai's name is `SubwordTokenizer`.
    The first piece of a word begins with `▁`. Special tokens such as `xxbos` are never split. A character that is in no
    piece becomes a token by itself, which the vocabulary reads as `xxunk`.

    Args:
        lang: spaCy's code of the language, by which the default of `char_coverage` is chosen.
        special_toks: Ignored; kept for fastai compatibility.
        sp_model: a model file of SentencePiece. Without one, `setup` learns the pieces.
        vocab_sz: the number of tokens, the nine special ones included. By default a quarter of the number of different
            words, at most `max_vocab_sz`, and at least the number of different characters.
        model_type: "unigram" or "bpe".
        char_coverage: the share of characters that pieces must cover, 0 to 1. By default .99999 for 24 European
            languages, else .9998.
        cache_dir: Ignored; kept for fastai compatibility.
        base64: the content of a model file as text, instead of `sp_model`. `params()` returns it.

    Raises: FileError E404 or E401 for the file `sp_model`. ArgumentError E602 for an impossible `vocab_sz` or
        `model_type`. TrainingError E506 if it is called before `setup`.
    Source: Kudo 2018 (arXiv 1804.10959). Eisenschlos et al. 2019 (arXiv 1909.04761) use it for ULMFiT.
    """

    SETTINGS = {"lang": language, "base64": optional(string)}  # of `params()`

    def __init__(self, lang: str = "en", special_toks: Sequence[str] | None = None,
                 sp_model: str | Path | None = None, vocab_sz: int | None = None, max_vocab_sz: int = 30000,
                 model_type: str = "unigram", char_coverage: float | None = None, cache_dir: str = "tmp", *,
                 base64: str | None = None):
        self.lang, self.vocab_sz, self.max_vocab_sz, self.model_type = lang, vocab_sz, max_vocab_sz, model_type
        self.char_coverage = char_coverage or (0.99999 if lang in EU else 0.9998)
        self.model = b64.b64decode(base64) if base64 else None
        if sp_model:
            with regular_file(sp_model) as f:
                self.model = f.read()
        self._vocab: Vocab | None = None

    def __repr__(self) -> str:
        return described(self, repr(self.lang), self.vocab_sz and f"vocab_sz={self.vocab_sz}", self.model_type,
                         not self.model and "no model yet")

    def params(self) -> dict:
        """Language and model, as values that JSON can hold. No file is needed to make the tokenizer again."""
        return {"lang": self.lang, "base64": None if self.model is None else b64.b64encode(self.model).decode()}

    def setup(self, items: Iterable[str | tuple[str, ...]],
              rules: Sequence[Callable] | None = None) -> "SentencePieceTokenizer":
        """Learn the pieces from texts, if there are none yet.

        Return this tokenizer. The same texts give the same pieces.

        Learns from a random sample of 32 million characters at most, so that memory does not grow with the corpus.

        Args:
            items: what the first rule takes: strings.
            rules: applied to each item in the sample. None by default, for texts that went through them.
        """
        if self.model is None:
            texts = _sample(items, SAMPLE)
            for rule in rules or ():
                texts = list(map(rule, texts))
            lines = chain.from_iterable(map(str.splitlines, chain.from_iterable(map(_plain, texts))))
            self.model = self._learn([line for line in lines if line.strip()])
        return self

    def _learn(self, lines: list[str]) -> bytes:
        from sentencepiece import SentencePieceTrainer

        if not lines:
            raise TextError("E104", received="no text to learn pieces from", expected="some", fix="give more text")
        vocab_sz, model = self.vocab_sz, io.BytesIO()
        if vocab_sz is None:
            n_words, n_chars = (len(set(chain.from_iterable(of))) for of in (map(str.split, lines), lines))
            vocab_sz = max(min(8 * -(-n_words // 32), self.max_vocab_sz), 2 * n_chars + len(SPECIAL_TOKENS))
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=model, model_type=self.model_type,
                vocab_size=vocab_sz - len(SPECIAL_TOKENS) + 1, hard_vocab_limit=False,  # one is SentencePiece's <unk>
                character_coverage=self.char_coverage, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
                max_sentence_length=1 << 30, num_threads=THREADS, minloglevel=2)
        except (RuntimeError, ValueError, OSError) as e:
            raise ArgumentError("E602", received=f"vocab_sz={self.vocab_sz}, model_type={self.model_type!r} "
                                f"(SentencePiece: {e})", expected="a size and a type that fit these texts",
                                fix="choose another vocab_sz, or leave it out") from e
        return model.getvalue()

    @property
    def vocab(self) -> Vocab | None:
        """The control tokens and all pieces, in the order of the model. None before `setup`."""
        if self._vocab is None and self.model is not None:
            p = self._processor
            kinds = p.IsUnknown, p.IsControl, p.IsUnused
            pieces = [p.IdToPiece(i) for i in range(len(p)) if not any(is_one(i) for is_one in kinds)]
            self._vocab = Vocab(add_words(SPECIAL_TOKENS, pieces))
        return self._vocab

    def __call__(self, texts: Iterable[str]) -> Iterator[list[str]]:
        for batch in in_batches(texts, len, BATCH):
            parts = [_CONTROL.split(text) for text in batch]  # plain, control, plain, ..., plain
            plain = [part for text in parts for part in text[::2]]
            pieces = map(_checked, self._processor.encode(plain, out_type=str, num_threads=1))
            for text in parts:
                tokens = next(pieces)
                for control in text[1::2]:
                    tokens += [control, *next(pieces)]
                yield tokens

    @staticmethod
    def detokenize(tokens: Iterable[str]) -> str:
        """Return the text that pieces stand for, in their own spacing."""
        return detokenize(_words(tokens), tighten=False)

    @cached_property
    def _processor(self) -> Any:
        if self.model is None:
            raise TrainingError("E506", received="a SentencePieceTokenizer without a model",
                                expected="pieces that were learned", fix="call .setup(texts), pass sp_model=, "
                                "or take a language model's: tok_tfm=dls_lm.tokenizer")
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(self.model)
        except (RuntimeError, ValueError, OSError) as e:
            raise FileError("E401", received=f"{len(self.model):,} bytes that SentencePiece cannot read ({e})",
                            expected="a model file of SentencePiece", fix="pass another sp_model") from e
        return processor


SubwordTokenizer = SentencePieceTokenizer


def _plain(text: str) -> list[str]:
    """Return what stands between the control tokens of a text."""
    return _CONTROL.split(text)[::2]


def _checked(pieces: list[str]) -> list[str]:
    """Return the pieces, and split those that look like a control token. Wide letters may have become such."""
    if SPECIALS.isdisjoint(pieces):
        return pieces
    return [part for piece in pieces for part in neutralize(piece).split(" ")]


def _words(tokens: Iterable[str]) -> Iterator[str]:
    """Yield the words that tokens make up, and the control tokens between them."""
    word = ""
    for token in chain(tokens, ["▁"]):
        control = token in SPECIALS
        if word and (control or token.startswith("▁")):
            yield neutralize(word)
            word = ""
        if control:
            yield token
        else:
            word += token.removeprefix("▁")


def _sample(items: Iterable, max_chars: int) -> list:
    """Return a random choice of items in their order, `max_chars` characters in all. All of them if they are fewer."""
    rng, kept, size = random.Random(0), list[tuple](), 0

    def length(item: str | tuple[str, ...]) -> int:
        return len(item) if isinstance(item, str) else sum(map(len, item))

    for i, item in enumerate(items):
        heapq.heappush(kept, (-rng.random(), i, item))
        size += length(item)
        while size > max_chars and len(kept) > 1:
            size -= length(heapq.heappop(kept)[2])  # the one with the highest number
    return [item for _, _, item in sorted(kept, key=lambda entry: entry[1])]
