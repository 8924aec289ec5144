"""Labels to numbers and back, one file for each kind of target. A file with a subclass of `Target` adds a kind."""

from collections.abc import Collection, Sequence

from ulmfit_easy.data.sources import is_missing
from ulmfit_easy.data.targets.category import NA, CategoryBlock, CategoryMap, CategoryTarget
from ulmfit_easy.data.targets.labels import SEVERAL, plain_labels, twins, unpacked
from ulmfit_easy.data.targets.masked import MaskedToken
from ulmfit_easy.data.targets.multi import MultiCategoryBlock, MultiCategoryTarget
from ulmfit_easy.data.targets.next_token import NextToken
from ulmfit_easy.data.targets.regression import RegressionBlock, RegressionTarget
from ulmfit_easy.data.targets.tags import TagBlock, TagTarget
from ulmfit_easy.data.targets.target import KINDS, TARGETS, Block, Target
from ulmfit_easy.errors import LabelError

__all__ = [
    "SEVERAL", "TARGETS", "CategoryBlock", "CategoryMap", "CategoryTarget", "MaskedToken", "MultiCategoryBlock",
    "MultiCategoryTarget", "NextToken", "RegressionBlock", "RegressionTarget", "TagBlock", "TagTarget", "Target",
    "kind_of", "plain_labels", "read_labels", "twins", "unpacked",
]  # fmt: skip


def kind_of(y_block: str | Block | None, several: bool = False) -> type[Target]:
    """Return the kind of target that `y_block` names. None is one class for each text, or `several`.

    Raises: E207 for a kind that nobody has defined.
    """
    default = MultiCategoryTarget if several else CategoryTarget
    kind = default.kind if y_block is None else getattr(y_block, "kind", y_block)
    if not isinstance(kind, str) or kind not in KINDS.filled():
        raise LabelError("E207", received=f"y_block={y_block!r}", expected=f"one of {', '.join(KINDS)}",
                         fix="choose one of these, or CategoryBlock(), MultiCategoryBlock() or RegressionBlock(); "
                         "if it is yours, first import the file that defines it")
    return KINDS[kind]


def read_labels(columns: Sequence, *, delim: str | None = None, y_block: str | Block | None = None,
                rows: Collection | None = None) -> tuple[type[Target], list]:
    """Return the kind of target and the label of each row, from one or more label columns.

    Without `y_block`, one column is one class for each text. Several columns are zeros and ones, with the names of
    the columns as classes. `delim` splits text into several classes.

    Args:
        y_block: the name of a kind, a block, or the target of training.
        rows: the row numbers that an error shall name, (N,).

    Raises: E202 with the rows of missing labels. E207 for fractions that nobody called classes or numbers, and
        for lists where a text has one class.
    """
    kind = kind_of(y_block, bool(delim) or len(columns) > 1)
    values = [plain_labels(column) for column in columns]
    if getattr(y_block, "add_na", False):
        values = [[NA if is_missing(v) else v for v in column] for column in values]
    return kind, kind.read(columns, values, delim, y_block, rows)
