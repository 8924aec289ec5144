"""Text to the pieces of a model of the library `transformers`, by its `tokenizer.json`."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import FileError, UlmfitError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import read_json
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import json_object, text
from ulmfit_easy.text.alignment import NO_WORD
from ulmfit_easy.text.special import FAKE
from ulmfit_easy.text.vocab import Vocab

ROLES = {"unk": ("unk_token", "eos_token"), "pad": ("pad_token", "eos_token"), "bos": ("cls_token", "bos_token"),
         "sep": ("sep_token", "eos_token"), "mask": ("mask_token",)}  # names in a tokenizer_config.json, best first
BATCH = 256  # texts that are split at once


class HFTokenizer:
    """The tokenizer of a pretrained transformer: `Iterable[str] -> Iterator[list[str]]`, order kept.

    It adds the special tokens that the model expects, such as `[CLS]` and `[SEP]`. A special token that a user typed
    is split like any other text. A tuple of fields becomes what the model expects of pairs, such as
    `[CLS] a [SEP] b [SEP]`, and further fields follow as the second does. If it expects nothing, as GPT-2, its `sep`
    ends each field (Radford et al. 2018, section 3.3).

    Args:
        folder: of a saved model, with `tokenizer.json` and `tokenizer_config.json`.
        tokenizer: instead of a folder, the content of such a `tokenizer.json`, as `params()` gives it.
        specials: with `tokenizer`, the special tokens by their roles, see `Vocab`.
    Raises: FileError E404 or E401 for a folder without a tokenizer that can be read. TrainingError E507 without the
        package tokenizers.
    """

    package = "tokenizers"
    SETTINGS = {"tokenizer": text, "specials": json_object}  # of `params()`

    def __init__(self, folder: str | Path | None = None, *, tokenizer: str | None = None,
                 specials: Mapping[str, str] | None = None):
        try:
            if folder is not None:
                tokenizer, specials = read_text(Path(folder) / "tokenizer.json"), special_tokens(
                    read_json(Path(folder) / "tokenizer_config.json"))
            self.json, self.specials = tokenizer, dict(specials or {})
            self.own = optional_package(self.package).Tokenizer.from_str(tokenizer)
            self.own.no_padding()
            self.own.no_truncation()
            self.own.encode_special_tokens = True  # what a user typed is no special token
            self.joins_fields = self._joins_pairs()
        except UlmfitError:
            raise
        except Exception as e:  # the package raises plain Exceptions
            raise FileError("E401", received=f"a tokenizer.json or tokenizer_config.json that cannot be read ({e})",
                            expected="the one of a saved model", fix="pass the folder of the model") from e

    def __repr__(self) -> str:
        return described(self, f"{self.own.get_vocab_size():,} pieces")

    def params(self) -> dict:
        """Return what makes the tokenizer again, as values that JSON can hold."""
        return {"tokenizer": self.json, "specials": self.specials}

    def __reduce__(self) -> tuple:
        return partial(type(self), **self.params()), ()  # the package pickles special tokens, not that users type none

    @cached_property
    def vocab(self) -> Vocab:
        """The vocabulary of the model: each piece at its id, and `xxfake` at ids that no piece has."""
        pieces = {i: piece for piece, i in self.own.get_vocab().items()}
        return Vocab([pieces.get(i, FAKE) for i in range(max(pieces) + 1)], self.specials)

    def _joins_pairs(self) -> bool:
        """Tell if it marks the fields of a pair. One without special tokens puts its separator after each."""
        of_text, of_pair = map(self.own.num_special_tokens_to_add, (False, True))
        if of_pair > of_text:
            return True
        sep = self.specials.get("sep")
        if sep is None or of_text:
            return False
        make = optional_package("tokenizers.processors")
        marks = make.TemplateProcessing(single="$A", pair=f"$A {sep} $B:1 {sep}:1", special_tokens=[
            (sep, self.own.token_to_id(sep))])
        own = self.own.post_processor
        self.own.post_processor = marks if own is None else make.Sequence([own, marks])
        return True

    def _third(self, field: str) -> tuple[Any, int]:
        """Return a pair of nothing and a field, encoded, and where in it begins what a further field adds to a pair."""
        found = self.own.encode("", field)
        alone = self.own.num_special_tokens_to_add(is_pair=False)
        return found, next((i for i, kind in enumerate(found.type_ids) if kind), alone)

    def __call__(self, texts: Iterable[str | tuple[str, ...]]) -> Iterator[list[str]]:
        texts = iter(texts)
        while batch := list(islice(texts, BATCH)):
            pairs = [given if isinstance(given, str) else given[:2] for given in batch]
            for given, encoding in zip(batch, self.own.encode_batch(pairs), strict=True):
                tokens = encoding.tokens
                for field in () if isinstance(given, str) else given[2:]:
                    found, at = self._third(field)
                    tokens += found.tokens[at:]
                yield tokens

    def spans(self, texts: Iterable[str | tuple[str, ...]]) -> Iterator[list[tuple[int, ...]]]:
        """Yield the first character of each token, and the one after its last. (0, 0) for special tokens.

        A span in a tuple has the number of its field too, `(start, stop, field)`. Special tokens have -1.
        """
        for given in texts:
            if isinstance(given, str):
                yield [tuple(span) for span in self.own.encode(given).offsets]
            else:
                parts = [(self.own.encode(*given[:2]), 0), *map(self._third, given[2:])]
                yield [(*span, NO_WORD if which is None else which + i) for i, (found, at) in enumerate(parts)
                       for span, which in zip(found.offsets[at:], found.sequence_ids[at:], strict=True)]

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text that some tokens stand for."""
        return self.own.decode([self.own.token_to_id(token) for token in tokens])


def special_tokens(named: Mapping) -> dict:
    """Return special tokens by their roles, see `Vocab`, from what a tokenizer_config.json calls them."""
    found = {role: next((named[key] for key in keys if named.get(key)), None) for role, keys in ROLES.items()}
    return {role: token["content"] if isinstance(token, dict) else token for role, token in found.items() if token}
