"""Answer with a tag for each word of a text, and with the spans of words that tags such as B-PER and I-PER name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from ulmfit_easy.data.targets.tags import SPAN_TAG, carriers
from ulmfit_easy.learner.predictor import Named
from ulmfit_easy.reprs import described
from ulmfit_easy.viz import escape, html_table

if TYPE_CHECKING:
    from ulmfit_easy.learner.predictor import Predictor

__all__ = ["Entity", "TagPrediction", "entities"]


class Entity(NamedTuple):
    """A named entity in a text, such as a person: `words[start:stop]`, with its type and its text."""

    type: str
    start: int
    stop: int
    text: str


def entities(tags: Sequence[str], words: Sequence[str] | None = None) -> list[Entity]:
    """Return the entities that the tags of a text mark: "B-PER I-PER O" is a person of two words.

    The schemes IOB2, IOB1 and IOBES are read. An I- tag after O, or after another type, begins an entity, as in the
    script of CoNLL-2000. Tags without B- or I-, such as parts of speech, mark none.

    Args:
        tags: one for each word.
        words: the words, for the `text` of each span.
    """
    found, start, kind = list[Entity](), 0, ""
    for i, tag in enumerate([*map(str, tags), "O"]):
        mark, name = (tag[0], tag[2:]) if SPAN_TAG.match(tag) else ("O", "")
        if kind and (mark in "OBSU" or name != kind):
            found.append(Entity(kind, start, i, " ".join(words[start:i]) if words is not None else ""))
            kind = ""
        if mark != "O" and not kind:
            start, kind = i, name
    return found


class _Fields(NamedTuple):
    label: list
    index: Tensor  # type: ignore[assignment]  # fastai's name; it hides a method of tuples
    probs: Tensor


class TagPrediction(Named, _Fields):
    """The tags of one text, which unpack as `label, index, probs`.

    Attributes:
        label: the tag of each of the W words.
        index: (W,) the number of each tag in `learn.dls.classes`.
        probs: (W, C) the probability of each tag.
        words: the W words.
        entities: the entities that the tags mark, a list of `Entity`. Tags such as parts of speech mark none.
    """

    label: list[str]
    words: list[str]

    @property
    def entities(self) -> list[Entity]:
        return entities(self.label, self.words)

    @classmethod
    def at_places(cls, predictor: "Predictor", logits: Tensor, places: np.ndarray,
                  text: str | tuple[str, ...]) -> "TagPrediction":
        words = (text if isinstance(text, str) else text[0]).split()
        at = carriers(places, len(words), predictor.prepare.backwards)
        at = np.maximum.accumulate(at).clip(0)  # a word of which the tokenizer left nothing has the tag before it
        of_words = logits[at] if len(logits) else logits.new_zeros(len(words), logits.shape[-1])  # (W, C)
        index = predictor.decodes(of_words)
        found = cls(predictor.prepare.target.decode(index), index, predictor.activation(of_words))
        found.words, found.classes = words, predictor.classes
        return found

    def cells(self) -> dict[str, object]:
        """Return the tags, and if they name spans, these too."""
        found: dict[str, object] = {"prediction": self.label}
        spans = {"entities": [each._asdict() for each in self.entities]}
        return found | (spans if any(SPAN_TAG.match(str(c)) for c in self.classes or ()) else {})

    def __repr__(self) -> str:
        shown = " ".join(f"{word}/{tag}" for word, tag in zip(self.words, self.label, strict=True))
        return described(self, repr(shown), f"entities={self.entities}")

    def _repr_html_(self) -> str:
        shown = html_table(list(zip(self.words, self.label, strict=True)), ["word", "tag"])
        return shown + "".join(f"<br>{escape(each.type)}: {escape(each.text)}" for each in self.entities)
