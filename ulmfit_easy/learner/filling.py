"""Fill the masks of texts with a masked language model's learner."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ulmfit_easy.data.masked import mask_of
from ulmfit_easy.errors import ArgumentError, in_rows
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import takes, whole
from ulmfit_easy.text.special import FAKE
from ulmfit_easy.text.vocab import padded
from ulmfit_easy.user_code import UNCHANGED, interrupted
from ulmfit_easy.viz import html_table

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import MaskedLearner


class Filled(NamedTuple):
    """A text whose masks were filled, and the k likeliest tokens for each of its m masks."""

    text: str  # with the likeliest token in each mask
    tokens: list[list[str]]  # m lists of k
    probs: Tensor  # (m, k)

    def __repr__(self) -> str:
        pairs = zip(self.tokens, self.probs.tolist(), strict=True)
        return described(self, repr(self.text), *(
            {token: round(p, 4) for token, p in zip(*pair, strict=True)} for pair in pairs))

    def _repr_html_(self) -> str:
        rows = [[i, token, round(p, 4)] for i, (tokens, probs) in enumerate(
            zip(self.tokens, self.probs.tolist(), strict=True), 1) for token, p in zip(tokens, probs, strict=True)]
        return html_table(rows, ["mask", "token", "probability"])


@interrupted(UNCHANGED)
@takes({"k": whole()})
@without_gradients
def predict(learn: "MaskedLearner", item: Iterable, k: int = 5) -> Filled | list[Filled]:
    """Return the likeliest tokens for each mask of a text, best first. A list for a list of texts.

    >>> learn.predict("a [MASK] film").tokens  # doctest: +SKIP
    [['good', 'great', 'funny', 'new', 'bad']]

    Each mask is predicted on its own, while all others stay hidden.

    Args:
        item: a text with one or more masks, as the vocabulary names them, or a list of such texts.
        k: tokens for each mask.

    Raises: TextError E101 if a text is missing or not a string, E104 if there are none. ArgumentError E602 for a text
        without a mask.
    """
    dls, vocab, model = learn.dls, learn.dls.text_vocab, evaluated(learn.model)
    mask = mask_of(vocab)
    given, alone = dls.given(item)
    texts = dls.prepare.texts(given)
    if without := [i for i, text in enumerate(texts) if mask not in text]:
        raise ArgumentError("E602", received=f"texts without a mask, {in_rows(without)}", expected=f"{mask} in each",
                            fix=f'write it where a token is to be guessed: learn.predict("a {mask} film")')
    never = [i for i, token in enumerate(vocab) if token == FAKE or token in vocab.specials.values()]
    found, step = [], -1 if dls.backwards else 1
    for text in texts:
        tokens = with_masks(learn, text)
        ids, lengths = padded([vocab.ids(tokens)], vocab.pad_id, dls.backwards)  # (1, T), (1,)
        at = [i for i, token in enumerate(tokens[::step]) if token == mask][::step]
        inputs = (torch.from_numpy(ids), torch.from_numpy(lengths), torch.tensor(at))
        logits = model(*(each.to(dls.device) for each in inputs)).logits()[0].float().cpu()  # (m, V)
        logits[:, never] = -torch.inf
        probs, best = logits.softmax(1).topk(min(k, len(vocab) - len(never)), 1)  # (m, k)
        likely = [[vocab[i] for i in row] for row in best.tolist()]
        filled = iter(row[0] for row in likely)
        whole = [next(filled) if token == mask else token for token in tokens]
        found.append(Filled(dls.tokenizer.detokenize(whole), likely, probs))
    return found[0] if alone else found


def with_masks(learn: "MaskedLearner", text: str) -> list[str]:
    """Return the tokens of a text with masks. The tokenizer reads what is between them: it takes no typed mask."""
    vocab, tokenizer = learn.dls.text_vocab, learn.dls.tokenizer
    bos, sep, mask = (vocab.specials.get(role) for role in ("bos", "sep", "mask"))
    parts = [tokens for tokens, _ in tokenizer.pipe([part.rstrip() for part in text.split(mask)])]
    joined = list[str]()
    for i, tokens in enumerate(parts):
        if i and tokens[:1] == [bos]:
            tokens = tokens[1:]
        if i < len(parts) - 1:
            tokens = [*(tokens[:-1] if tokens[-1:] == [sep] else tokens), mask]
        joined += tokens
    return joined
