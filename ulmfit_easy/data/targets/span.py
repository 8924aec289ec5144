"""The answer to a question as a span of its context, as in SQuAD: extractive question answering."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ulmfit_easy.data.targets.target import Block, Target
from ulmfit_easy.errors import ArgumentError, LabelError, counted, in_rows
from ulmfit_easy.schema import number, optional
from ulmfit_easy.schema import whole as integer

if TYPE_CHECKING:
    from torch import Tensor

START, END, CLS, NO_TARGET = 1, 2, 4, -100  # bits of a token's number, and the number of one that counts nowhere
NULL = -1, -1  # the span of no answer


class SpanTarget(Target):
    """The answer of a text: a span of its last field. The first token, such as `[CLS]`, stands for no answer.

    A label is SQuAD's list of `{"text": ..., "answer_start": ...}`, or one object of two lists, as the library
    `datasets` has it. An empty list is no answer. The model learns the first of several.

    Args:
        max_answer: tokens of an answer at most.
        null_threshold: an answer must score so much higher than no answer. None always answers, as for data in which
            every question has an answer. Otherwise the default is 0. Set it in `dls.target` before you predict.

    Source: Devlin et al. 2019 (arXiv 1810.04805), sections 4.2 and 4.3.
    """

    columns = ("text", "answer")
    task, per, whole, places, c = "span", "token", True, "chars", 2
    SETTINGS = {"max_answer": integer(), "null_threshold": optional(number())}

    def __init__(self, max_answer: int = 30, null_threshold: float | None = None):
        self.max_answer, self.null_threshold = max_answer, null_threshold

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        cells, wrong = super().read(columns, values, delim, y_block, rows), list[int]()
        for i, cell in enumerate(cells):
            try:
                cells[i] = answers_of(cell)
            except (KeyError, TypeError, ValueError):
                wrong.append(i if rows is None else list(rows)[i])
        if wrong:
            raise LabelError("E207", received=f"{counted(len(wrong), 'label')} that are no answers, {in_rows(wrong)}",
                             expected='for each row a list such as [{"text": "Oslo", "answer_start": 17}], empty for '
                             "no answer", fix="read the file by read_squad, or write the lists yourself")
        return cells

    @classmethod
    def check_texts(cls, texts: Iterable, labels: Sequence, rows: Iterable[int]) -> None:
        bad = [row for row, text, answers in zip(rows, texts, labels, strict=True) for context in [_context(text)]
               if any(not said.strip() or context[at:at + len(said)] != said for said, at in answers)]
        if bad:
            raise LabelError("E207", received=f"answers that do not stand at their `answer_start`, {in_rows(bad)}",
                             expected="a character of the last text column, counted from 0, at which the text of the "
                             "answer begins", fix="correct these rows, or leave them out: df.drop(index=[...])")

    @classmethod
    def learned(cls, labels: Sequence, classes: Sequence | None = None,
                block: str | Block | None = None) -> "SpanTarget":
        return cls(null_threshold=None if all(labels) else 0.0)

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """Return the first character of each answer and the one after its last, (N, 2) int64. -1 is for no answer."""
        firsts = [answers[0] if answers else None for answers in labels]
        return np.array([(-1, -1) if each is None else (each[1], each[1] + len(each[0])) for each in firsts])

    def aligned(self, y: np.ndarray, places: Sequence[np.ndarray], backwards: bool) -> np.ndarray:
        """Return a number for each token, (N, T) int8: 0 if it may be in an answer, with the bits `START` and `END`.

        The first token has `CLS`, unless it may be in an answer too. It is the place of no answer.

        Raises: E603 for a model that reads from the end, which would have read the answer before the question.
        """
        if backwards:
            raise ArgumentError("E603", received="backwards=True for answers", expected="a model that has read the "
                                "question before the context", fix="pass backwards=False")
        aligned = np.full((len(y), max(map(len, places))), NO_TARGET, np.int8)
        field = max(int(spans[:, 2].max(initial=-1)) for spans in places)
        for row, (start, stop), spans in zip(aligned, y, places, strict=True):
            is_context = spans[:, 2] == field  # (T,)
            row[0] = CLS
            row[:len(spans)][is_context] = 0
            inside = np.flatnonzero(is_context & (spans[:, 0] < stop) & (spans[:, 1] > start))
            row[inside[:1]] |= START
            row[inside[-1:]] |= END
        return aligned

    def best(self, logits: np.ndarray, may_answer: np.ndarray) -> tuple[int, int]:
        """Return the first and the last token of the best answer, or `NULL` for none.

        Args:
            logits: (T, 2) of the first and the last token.
            may_answer: (T,) bool, the tokens of the context.
        """
        if not may_answer.any():
            return NULL
        start, end = np.where(may_answer[:, None], logits, -np.inf).T  # (T,) each
        ends = sliding_window_view(np.pad(end, (0, self.max_answer - 1), constant_values=-np.inf), self.max_answer)
        scores = start[:, None] + ends  # (T, max_answer)
        first, n_more = np.unravel_index(scores.argmax(), scores.shape)
        least = -np.inf if self.null_threshold is None else logits[0].sum() + self.null_threshold
        return (int(first), int(first + n_more)) if scores[first, n_more] > least else NULL

    def decode(self, decision: "Tensor") -> tuple[int, int]:
        """Return the first and the last token of a target (T,), or `NULL` for no answer."""
        first, last = (int((decision & bit).argmax()) for bit in (START, END))
        return (first, last) if decision[first] & START else NULL

    def shown(self, xb: Sequence["Tensor"], *each: Any, words: Callable[["Tensor"], str]) -> list[list]:
        """As `Target.shown`, with the words of the answers. What a model says are logits (B, T, 2)."""
        rows = []
        for i, (ids, n) in enumerate(zip(xb[0], xb[1].tolist(), strict=True)):
            y = None if not each or each[0] is None else each[0][i, :n].cpu()  # (n,)
            may_answer = np.ones(n, bool) if y is None else answering(y)
            spans = [NULL if y is None else self.decode(y),
                     *(self.best(logits[i, :n].cpu().numpy(), may_answer) for logits in each[1:])]
            told = ["" if span == NULL else words(ids[span[0]:span[1] + 1]) for span in spans]
            rows.append([words(ids[:n]), *told[:len(each)]])
        return rows

    def config(self) -> dict:
        return {"max_answer": self.max_answer, "null_threshold": self.null_threshold}

    @classmethod
    def from_config(cls, config: dict) -> "SpanTarget":
        return cls(**config)


def answering(y: "Tensor") -> np.ndarray:
    """Return which tokens of a text with the target (T,) may be in an answer, (T,) bool."""
    return ((y >= 0) & (y < CLS)).numpy()


def answers_of(cell: Any) -> list[tuple[str, int]]:
    """Return the text and the first character of each answer in a cell.

    Raises: KeyError, TypeError or ValueError for a cell of another form.
    """
    if isinstance(cell, Mapping):
        found = list(zip(cell["text"], map(int, cell["answer_start"]), strict=True))
    else:
        found = [(each["text"], int(each["answer_start"])) for each in cell]
    if not all(isinstance(text, str) and start >= 0 for text, start in found):
        raise ValueError("texts, and numbers from 0 on")
    return found


def texts_of(cell: Any) -> list[str]:
    """Return the texts of the answers in a cell, which may also be a list of texts."""
    if isinstance(cell, Mapping):
        return list(cell["text"])
    return [each["text"] if isinstance(each, Mapping) else each for each in cell]


def _context(text: str | tuple[str, ...]) -> str:
    return text if isinstance(text, str) else text[-1]
