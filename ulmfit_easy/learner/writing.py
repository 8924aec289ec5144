"""Write texts with a language model's learner, from prompts."""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.models.generate import generate
from ulmfit_easy.text.special import FAKE
from ulmfit_easy.user_code import UNCHANGED, interrupted

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import LMLearner
    from ulmfit_easy.text.vocab import Vocab


@interrupted(UNCHANGED)
def predict(learn: "LMLearner", text: Iterable, n_words: int = 1, no_unk: bool = True, temperature: float = 1.0,
            min_p: float | None = None, no_bar: bool = False, decoder: Callable[[list[str]], str] | None = None,
            only_last_word: bool = False, *, top_k: int | None = None, top_p: float | None = None,
            seed: int | None = None, num_samples: int | None = None, stop: str | Collection[str] = (),
            beam: int | None = None) -> str | list:
    """`text` and up to `n_words` words after it (before it, for a backwards model). O(n), see `generate`.

    A list of texts gives a list. With `num_samples` there is a list of that many for each.

    Args:
        temperature, min_p, top_k, top_p, seed, beam: as for `generate`. `beam` looks for the likeliest text.
        no_unk: never write an unknown word.
        decoder: makes a string of the tokens, by default the tokenizer's `detokenize`.
        stop: a token, or several, at which a text ends.
        no_bar, only_last_word: Ignored; kept for fastai compatibility.
    """
    vocab, (texts, alone) = learn.dls.text_vocab, learn.dls.given(text)
    prompts = [_prompt(tokens, learn) for tokens, _ in learn.dls.tokenizer.pipe(texts)]
    never = {vocab.specials["pad"], FAKE} | ({vocab.specials["unk"]} if no_unk else set())
    added = generate(learn.model, prompts, n_words, banned=[i for i, token in enumerate(vocab) if token in never],
                     stop=_stop_ids(stop, vocab), num_samples=num_samples or 1, temperature=temperature, min_p=min_p,
                     top_k=top_k, top_p=top_p, seed=seed, beam=beam)
    decoder = decoder or learn.dls.tokenizer.detokenize

    def whole(prompt: list[int], new: list[int]) -> str:
        ids = (prompt + new)[::-1] if learn.dls.backwards else prompt + new
        return decoder([vocab[i] for i in ids])

    written = [[whole(prompt, new) for new in samples] for prompt, samples in zip(prompts, added, strict=True)]
    found = written if num_samples else [samples[0] for samples in written]
    return found[0] if alone else found


def _prompt(tokens: list[str], learn: "LMLearner") -> list[int]:
    """Return the ids of a prompt in the order in which the model reads."""
    vocab = learn.dls.text_vocab
    if learn.dls.backwards and len(tokens) > 1 and tokens[0] == vocab.specials.get("bos"):
        tokens = tokens[1:]  # read from the end, it would close the text: nothing comes before
    ids = vocab.ids(tokens).tolist()
    return ids[::-1] if learn.dls.backwards else ids


def _stop_ids(stop: str | Collection[str], vocab: "Vocab") -> list[int]:
    stop = [stop] if isinstance(stop, str) else list(stop)
    if unknown := [token for token in stop if token not in vocab.stoi]:
        raise ArgumentError("E604", received=f"stop={some(map(repr, unknown))}, not in the vocabulary",
                            expected="single tokens that the model can write",
                            fix="pass tokens as show_batch() shows them, such as '.', or 'xxbos' for the next text")
    return [vocab.stoi[token] for token in stop]
