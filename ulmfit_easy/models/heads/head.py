"""The contract of a head: the states of an encoder in, the outputs of a task out."""

from typing import ClassVar

from torch import Tensor, nn

from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.readers import Read


class Head(nn.Module):
    """What reads an encoder's states. A subclass in a file of its own is a new kind; a row of `TASKS` names it.

    Attributes:
        pool_words: True if it reads the tokens' own rows, `read.embedded`, too.
    """

    known: ClassVar[dict[str, type["Head"]]] = {}  # those with an `over` of their own, by name, for saved models
    pool_words = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "over" in vars(cls):  # torch.export makes subclasses of the same name, which have none
            Head.known[cls.__name__] = cls

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float) -> "Head":
        """Return a fresh head for an encoder. Further arguments are its settings, with defaults.

        Args:
            n_out: C, the number of outputs.
            output_p: the dropout of what it reads.
        """
        raise NotImplementedError

    def forward(self, read: Read) -> Tensor:
        """Return the logits, (B, C) for a text or (B, K, C) for each of its tokens."""
        raise NotImplementedError
