"""Heads that read the fields of a text in texts of their own: two sentences, their two orders, or several choices.

A text of several columns comes as one row of tokens, with marks or separators between its fields. These heads turn each
row into K texts, which the encoder reads, and combine their states into one answer. Data and saved models stay as they
are for other heads.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier, masked_concat_pool
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import ascending, optional, whole


class FieldsHead(Head):
    """Read the pooled states (3 E) of the K texts that `orders` makes of a row. The heads below differ in these.

    Args:
        layers: as those of `PoolingLinearClassifier`.
        n_fields: of a row.
        tokens: the ids of the special tokens, which the vocabulary decides: `pad_token`, `bos_token`, `sep_token` and
            `fld_token`, -1 for none. A field begins with its mark `xxfld 1`, or else ends with the separator.

    Raises: ArgumentError E603 for a text with another number of fields, or that is read backwards.
    """

    SETTINGS = {**Head.SETTINGS, "y_range": optional(ascending),
                **{f"{role}_token": whole(-1) for role in ("pad", "bos", "sep", "fld")}}
    rearranges, whole = True, True
    hidden: ClassVar[tuple[int, ...]] = ()  # widths of hidden layers

    def __init__(self, layers: PoolingLinearClassifier, n_fields: int, tokens: dict[str, int]):
        super().__init__()
        self.layers, self.n_fields, self.tokens = layers.layers, n_fields, tokens

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float, y_range: tuple[float, float] | None = None,
             pad_token: int = 0, bos_token: int = -1, sep_token: int = -1, fld_token: int = -1) -> "FieldsHead":
        width, n_fields, n_last = cls.sizes(3 * encoder.width, n_out)
        dims, ps = [width, *cls.hidden, n_last], [output_p, *[0.1] * len(cls.hidden)]
        tokens = {"pad": pad_token, "bos": bos_token, "sep": sep_token, "fld": fld_token}
        return cls(PoolingLinearClassifier(dims, ps, y_range), n_fields, tokens)

    @classmethod
    def sizes(cls, width: int, n_out: int) -> tuple[int, int, int]:
        """Return what the layers read, the fields of a row, and what the layers give, for pooled states of a width."""
        return width, 2, n_out

    def orders(self) -> Sequence[tuple[int, ...]]:
        """Return the positions of the fields in each of the K texts that are read."""
        raise NotImplementedError

    def arranged(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids (B K, T') and lengths (B K,) of what is read for rows of ids (B, T): row 0's K texts first."""
        texts = [text for row, n in zip(ids, lengths.tolist(), strict=True) for text in self._texts(row[:n])]
        return (pad_sequence(texts, batch_first=True, padding_value=self.tokens["pad"]),
                torch.tensor([len(text) for text in texts], device=ids.device))

    def _texts(self, ids: Tensor) -> list[Tensor]:
        """Return the texts that are read for one row of ids (T,)."""
        bos, sep, fld = (self.tokens[role] for role in ("bos", "sep", "fld"))
        marked = fld >= 0
        at = (ids == (fld if marked else sep)).nonzero().flatten().tolist()
        if marked:
            start, bounds = ids[:at[0] if at else 0], [*at, len(ids)]
        else:
            start = ids[:1] if len(ids) and ids[0] == bos != sep else ids[:0]
            bounds = [len(start), *(i + 1 for i in at)]
        fields, n_marks = [ids[i:j] for i, j in pairwise(bounds)], 2 * marked  # the mark and its number
        backwards = len(ids) > 0 and ids[-1] == bos != ids[0] and marked
        if len(fields) != self.n_fields or backwards:
            raise ArgumentError("E603", received=f"a text of {len(fields)} fields{' read backwards' * bool(backwards)} "
                                f"for {type(self).__name__}", expected=f"{self.n_fields} fields, with marks or "
                                "separators between them", fix='name the columns: text_col=["a", "b"]; leave out '
                                "mark_fields= and backwards=")
        return [torch.cat([start, *(torch.cat([fields[place][:n_marks], fields[i][n_marks:]])
                                    for place, i in enumerate(order))]) for order in self.orders()]

    def pooled(self, read: Read) -> Tensor:
        """Return the pooled states of the K texts of each row, (B, K, 3 E)."""
        found = masked_concat_pool(read.raw, read.mask)
        return found.view(-1, len(self.orders()), found.shape[1])


class SiameseHead(FieldsHead):
    """Reads each of two sentences alone: `[u, v, |u - v|, u * v]`, and one hidden layer.

    Source: Conneau et al. 2017 (arXiv 1705.02364), section 3.1, InferSent.
    """

    hidden = (50,)

    @classmethod
    def sizes(cls, width: int, n_out: int) -> tuple[int, int, int]:
        return 4 * width, 2, n_out

    def orders(self) -> Sequence[tuple[int, ...]]:
        return (0,), (1,)

    def answer(self, pooled: Tensor) -> Tensor:
        u, v = pooled.unbind(1)  # (B, 3 E) each
        return self.layers(torch.cat([u, v, (u - v).abs(), u * v], 1))


class SimilarityHead(FieldsHead):
    """Reads a pair in both orders and adds their states, so that the order does not count.

    Source: Radford et al. 2018, section 3.3, "Similarity".
    """

    def orders(self) -> Sequence[tuple[int, ...]]:
        return (0, 1), (1, 0)

    def answer(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled.sum(1))


class ChoiceHead(FieldsHead):
    """Scores each choice with the context: the first column is the context, and each other column is a choice.

    The classes are the choices, in the order of the columns: such as "A" to "D" for four columns after the first.

    Source: Radford et al. 2018, section 3.3, "Question Answering and Commonsense Reasoning".
    """

    @classmethod
    def sizes(cls, width: int, n_out: int) -> tuple[int, int, int]:
        return width, n_out + 1, 1

    def orders(self) -> Sequence[tuple[int, ...]]:
        return [(0, i) for i in range(1, self.n_fields)]

    def answer(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled.flatten(0, 1)).view(pooled.shape[:2])  # of (B, C, 3 E)
