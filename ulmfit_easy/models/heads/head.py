"""The contract of a head: the states of an encoder in, the outputs of a task out."""

from typing import ClassVar

from torch import Tensor

from ulmfit_easy.errors import ArgumentError, refuse_unknown, some
from ulmfit_easy.known import Known
from ulmfit_easy.models.encoder import Encoder, Part
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import checked, share


class Head(Part):
    """Reads an encoder's states. A subclass in a file of its own is a new kind, which a row of `TASKS` names.

    Attributes:
        SETTINGS: a check for each argument of `over` besides `encoder` and `n_out`.
        pool_words: True if it reads the tokens' own rows, `read.embedded`, too.
        rearranges: True if it has the encoder read other texts than the rows, see `arranged`.
        whole: True if it needs every token of a text: `max_len` cuts none off.
    """

    known: ClassVar[Known[type["Head"]]] = Known("head", "ulmfit_easy.models.heads")
    SETTINGS: ClassVar[dict] = {"output_p": share}
    pool_words = False
    rearranges: ClassVar[bool] = False
    whole: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.is_copy():
            Head.known[cls.__name__] = cls

    @classmethod
    def check_encoder(cls, arch: type[Encoder]) -> None:
        """Raise E603 for an encoder that it cannot read."""

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float) -> "Head":
        """Return a fresh head for an encoder. Further arguments are its settings, with defaults.

        `text_classifier_learner(..., head_config={"depth": 5})` passes them.

        Args:
            n_out: C, the number of outputs.
            output_p: the dropout of what it reads.
        """
        raise NotImplementedError

    @classmethod
    def built(cls, encoder: Encoder, n_out: int, settings: dict) -> "Head":
        """Return a head as `over` makes it, which remembers its settings.

        Raises: E604 for a setting that `over` does not have. E603 for one without a check in `SETTINGS`. E601 or E602
            for a value that does not pass it.
        """
        refuse_unknown(settings, cls.over, but=("encoder", "n_out"))
        if unchecked := settings.keys() - cls.SETTINGS.keys():
            raise ArgumentError("E603", received=f"{some(sorted(unchecked))} for {cls.__name__}, without a check",
                                expected="each argument of over() in SETTINGS",
                                fix="add a check of ulmfit_easy.schema to its SETTINGS, such as whole() or flag")
        settings = checked(cls.SETTINGS, **settings)
        head = cls.over(encoder, n_out, **settings)
        head.settings = settings
        return head

    def arranged(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the encoder reads for ids (B, T) and lengths (B,): these, unless a head rearranges fields."""
        return ids, lengths

    def pooled(self, read: Read) -> Tensor:
        """Return the numbers (B, ...) of each text that `answer` reads, without weights of the head.

        A head with these two, in place of `forward`, can learn from features that were kept: see `CacheFeatures`.
        """
        raise NotImplementedError

    def answer(self, pooled: Tensor) -> Tensor:
        """Return the logits (B, C) for what `pooled` returned."""
        raise NotImplementedError

    def forward(self, read: Read) -> Tensor:
        """Return the logits, (B, C) for a text or (B, K, C) for each of its tokens."""
        return self.answer(self.pooled(read))

    @classmethod
    def check_pools(cls, what: str) -> None:
        """Raise E603 for `what` with a head that does not make the same numbers of a text each time."""
        if cls.pooled is Head.pooled or cls.forward is not Head.forward:
            raise ArgumentError("E603", received=f"{what} with {cls.__name__}", expected="a head that pools the states "
                                "of a text, with methods pooled() and answer() in place of forward()",
                                fix=f"leave out {what}")
