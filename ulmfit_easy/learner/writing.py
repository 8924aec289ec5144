"""What a language model's learner writes: prompts to ids, and what `generate` adds back to text."""

from collections.abc import Collection

from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.models.generate import generate
from ulmfit_easy.text.special import FAKE


def write(learn, text, n_words: int, no_unk: bool = True, decoder=None, stop: str | Collection[str] = (),
          num_samples: int | None = None, **options):
    """See `LMLearner.predict`; `options` are those of `generate`."""
    vocab, (texts, alone) = learn.dls.text_vocab, learn.dls.given(text)
    prompts = [_prompt(tokens, learn) for tokens in learn.dls.tokenizer.pipe(texts)]
    never = {vocab.specials["pad"], FAKE} | ({vocab.specials["unk"]} if no_unk else set())
    added = generate(learn.model, prompts, n_words, banned=[i for i, token in enumerate(vocab) if token in never],
                     stop=_stop_ids(stop, vocab), num_samples=num_samples or 1, **options)
    decoder = decoder or learn.dls.tokenizer.detokenize

    def whole(prompt, new):
        ids = (prompt + new)[::-1] if learn.dls.backwards else prompt + new
        return decoder([vocab[i] for i in ids])

    found = [[whole(prompt, new) for new in samples] for prompt, samples in zip(prompts, added, strict=True)]
    found = found if num_samples else [samples[0] for samples in found]
    return found[0] if alone else found


def _prompt(tokens: list[str], learn) -> list[int]:
    """The ids of a prompt in the order in which the model reads."""
    vocab = learn.dls.text_vocab
    if learn.dls.backwards and len(tokens) > 1 and tokens[0] == vocab.specials.get("bos"):
        tokens = tokens[1:]  # read from the end, it would close the text: nothing comes before
    ids = vocab.ids(tokens).tolist()
    return ids[::-1] if learn.dls.backwards else ids


def _stop_ids(stop, vocab) -> list[int]:
    stop = [stop] if isinstance(stop, str) else list(stop)
    if unknown := [token for token in stop if token not in vocab.stoi]:
        raise TrainingError("E502", received=f"stop={some(map(repr, unknown))}, not in the vocabulary",
                            expected="single tokens that the model can write",
                            fix="pass tokens as show_batch() shows them, such as '.', or 'xxbos' for the next text")
    return [vocab.stoi[token] for token in stop]
