"""The plan of a pretraining run: written to a file, and the same after every interruption."""

from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.errors import ArgumentError, FileError, some
from ulmfit_easy.files import is_device, read_json, write_json
from ulmfit_easy.schema import (
    MOST_ROWS,
    checked,
    flag,
    list_of,
    mapping,
    misfits,
    number,
    one_of,
    optional,
    path,
    positive,
    text,
    whole,
)

if TYPE_CHECKING:
    from ulmfit_easy.models.encoder import Encoder

FILE, DEFAULT = "plan.json", "awd_lstm"
OF_A_MODEL = ("objective", "max_vocab", "min_freq", "subword", "arch", "emb", "hid", "layers")  # what it brings


def files(value: object) -> object:
    return [path(value)] if isinstance(value, str | Path) else list_of(path)(value)


def _absolute(path: str | Path | list | None) -> str | tuple | None:
    if path is None:
        return None
    return str(Path(path).absolute()) if isinstance(path, str | Path) else tuple(map(_absolute, path))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides what a run will give, and nothing else.

    Attributes:
        corpus, valid: files to learn from and to validate with, as `Corpus` reads them, or patterns such as
            `corpus/*.parquet`. Copies of an earlier document of the corpus are left out. Without `valid` every k-th
            document of the corpus is kept aside, half a million characters in all.
        text_col: the column of the texts in Parquet files.
        headings: keep lines such as `= Title =`.
        lang: of the tokenizer.
        max_vocab, min_freq: of a vocabulary of words.
        subword: instead, the size of a vocabulary of SentencePiece's pieces.
        objective: the name of a target without labels. "lm" is the next token, "mlm" hidden tokens. "mlm+nsp" also asks
            if two parts of a text follow each other. By default that of `arch`.
        arch: name of the encoder. `emb`, `hid` and `layers` change its sizes. By default "awd_lstm", or a small BERT
            for "mlm".
        drop_mult: factor on every dropout. .1, since a text that is read once or twice cannot be learned by heart.
        softmax, precision: see `language_model_learner`. "sampled", as a corpus has many words, and "auto", which the
            plan of a run then names.
        backwards: read each document from its end.
        pretrained: a language model to start from: its folder, or another library's checkpoint. Its sizes, vocabulary
            and tokenizer hold. So leave out the settings of these.
        vectors: a file of word vectors, see `read_vectors`. They are put into the embedding, where they are a start
            and no more. They know from far more text which words are alike than a model learns in some hours.
        bs, seq_len: rows of a batch, and tokens that are read before the gradient is cut.
        lr: highest rate of the one cycle. By default the encoder's `pretrain_lr`.
        hours, epochs: how long: all in all, tokenizing included, or passes over the corpus (fractions too).
        seed: of the weights, the dropouts and the order of the documents.
        n_epoch, n_batches: the schedule that was made of it: how many validations, and how many steps before each.
        tokenizer, data: the tokenizer's settings, and what tells whether texts or `pretrained` have changed since: the
            names of the token stores, and a hash.
    """

    corpus: tuple[str, ...]
    valid: tuple[str, ...] = ()
    text_col: str = "text"
    headings: bool = False
    lang: str = "en"
    max_vocab: int = 60000
    min_freq: int = 3
    subword: int | None = None
    objective: str | None = None
    arch: str | None = None
    emb: int | None = None
    hid: int | None = None
    layers: int | None = None
    drop_mult: float = 0.1
    softmax: str = "sampled"
    precision: str = "auto"
    backwards: bool = False
    pretrained: str | None = None
    vectors: str | None = None
    bs: int = 64
    seq_len: int = 72
    lr: float | None = None
    hours: float | None = None
    epochs: float | None = None
    seed: int = 0
    n_epoch: int = 0
    n_batches: int = 0
    tokenizer: dict | None = None
    data: tuple[str, ...] = ()

    SETTINGS = {
        "corpus": files, "valid": files, "text_col": text, "headings": flag, "lang": text, "max_vocab": whole(),
        "min_freq": whole(), "subword": optional(whole()), "objective": optional(text), "arch": optional(text),
        "emb": optional(whole()), "hid": optional(whole()),
        "layers": optional(whole()), "drop_mult": number(0), "softmax": text, "precision": text, "backwards": flag,
        "pretrained": optional(path), "vectors": optional(path), "bs": whole(1, MOST_ROWS), "seq_len": whole(),
        "lr": optional(positive), "hours": optional(positive), "epochs": optional(positive),
        "seed": whole(0, (1 << 63) - 1), "n_epoch": whole(0), "n_batches": whole(0), "tokenizer": optional(mapping),
        "data": files}

    def __post_init__(self):
        from ulmfit_easy.learner.tasks import TASKS  # torch, which a command's --help does not need
        from ulmfit_easy.models.archs import resolve_config
        from ulmfit_easy.models.precision import PRECISIONS
        from ulmfit_easy.models.softmax import SOFTMAX
        from ulmfit_easy.text.corpus import matching

        learned = [name for name, task in TASKS.items() if not task.target.labelled]
        later = {"objective": optional(one_of(learned)), "softmax": one_of(SOFTMAX),
                 "precision": one_of(("auto", *PRECISIONS))}
        values = checked({**self.SETTINGS, **later}, **vars(self))
        for name in ("corpus", "valid"):
            values[name] = matching(*values[name])
        for name in ("corpus", "valid", "pretrained", "vectors"):  # so that a run can be resumed from another folder
            values[name] = _absolute(values[name])
        vars(self).update(values | {"data": tuple(values["data"])})  # a frozen class has no other way
        if pipes := [path for path in self.corpus + self.valid if is_device(Path(path))]:
            raise ArgumentError("E602", received=f"{some(map(Path, pipes))}, no regular file",
                                expected="files, to be read twice", fix="write the texts to a file first")
        # what follows is checked before hours of work: it would be found after tokenizing
        arch = self.encoder
        TASKS[self.task].head.check_encoder(arch)
        resolve_config(arch.lm_config, self.config, self.drop_mult)
        if twice := sorted(path for path, n in Counter(self.corpus + self.valid).items() if n > 1):
            raise ArgumentError("E603", received=f"{some(map(Path, twice))} more than once in corpus and valid",
                                expected="each file once", fix="name it once")
        brought = {k: v for k in OF_A_MODEL if (v := getattr(self, k)) != getattr(Plan, k)}
        if self.pretrained is not None and brought:
            raise ArgumentError("E603", received=f"{_as_flags(brought)} with pretrained={self.pretrained}",
                                expected="none of these: the model brings them", fix="leave them out")
        if self.hours is not None and self.epochs is not None:
            raise ArgumentError("E603", received=f"hours={self.hours} and epochs={self.epochs}",
                                expected="one of the two", fix="leave out hours= or epochs=")

    @property
    def encoder(self) -> "type[Encoder]":
        """The class of the encoder: that of `arch`, or else the first one whose own objective it is."""
        from ulmfit_easy.data.targets import TARGETS
        from ulmfit_easy.models.archs import get_arch
        from ulmfit_easy.models.encoder import Encoder

        first = get_arch(self.arch or DEFAULT)
        if self.arch or self.objective in (None, _learned_by(first)):
            return first
        learned = TARGETS[self.objective]
        return next((arch for arch in Encoder.known.filled().values()
                     if arch.objective and issubclass(learned, TARGETS[arch.objective])), first)

    @property
    def task(self) -> str:
        """The name of the target: `objective`, or else that of the encoder."""
        return self.objective or _learned_by(self.encoder)

    @property
    def config(self) -> dict:
        """The sizes that are not the architecture's own."""
        return self.encoder.sized(self.emb, self.hid, self.layers)

    def save(self, folder: Path) -> None:
        """Write the plan to a run's folder."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Return the plan of a run's folder. E404 if there is none, E401 if it is none of ours."""
        values = read_json(folder / FILE, errors="surrogateescape")
        try:
            if wrong := misfits(values, cls.SETTINGS):
                raise ValueError(f"values of the wrong kind: {some(wrong)}")
            return cls(**values)
        except (TypeError, ValueError, LookupError, AttributeError) as e:
            raise FileError("E401", received=f"{folder / FILE}, which is no plan ({e})",
                            expected="the plan of a run, as it was written",
                            fix=f"delete {folder} and start anew") from e

    def check_same(self, given: dict, where: Path) -> None:
        """E603 if settings that were given again are not the plan's."""
        now = Plan(**{"corpus": self.corpus, **given})
        other = {k: getattr(now, k) for k in given if getattr(now, k) != getattr(self, k)}
        if other.get("precision") == "auto":  # the plan tells what that was
            del other["precision"]
        if other:
            planned = {k: getattr(self, k) for k in other}
            raise ArgumentError("E603", received=f"{_as_flags(other)} for a run that was planned with "
                                f"{_as_flags(planned)}", expected="the same settings, or none",
                                fix=f"leave them out, or delete {where} to start anew")


def _learned_by(arch: "type[Encoder]") -> str:
    """Return the name of the target that an encoder learns without labels."""
    from ulmfit_easy.data.targets import MaskedToken, NextToken

    return arch.objective or (NextToken if arch.streams else MaskedToken).task


def _as_flags(values: dict) -> str:
    return some((f"{k}={', '.join(v) if isinstance(v, tuple) else v}" for k, v in values.items()), len(fields(Plan)))
