"""A model as an ONNX graph, next to its tokenizer and its classes, for programs without torch."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy.bundle.record import versions
from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.errors import FileError, TrainingError, counted
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import atomic_folder, read_json, write_json
from ulmfit_easy.models.encoder import Encoded, Encoder
from ulmfit_easy.models.evaluated import without_gradients
from ulmfit_easy.models.readers import TextClassifier, Whole
from ulmfit_easy.places import members
from ulmfit_easy.schema import flag, path, takes
from ulmfit_easy.text.vocab import Vocab, padded
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.learner.predictor import Asked, Predictor

FILES = ("model.onnx", "vocab.json", "config.json")
FORMAT = 1
LONG = 1024  # tokens of the longest text that the numbers are compared with
CLOSE = 1e-3  # how far a number of the graph may be from torch's
FAR = 0.1  # how far a probability in 8 bits may be from it without a warning
COMPARED = 100  # texts in 8 bits


@takes({"path": path, "quantize": flag})
@without_gradients
def to_onnx(learn: "Asked", path: str | Path = "onnx", *, quantize: bool = False) -> Path:
    """Export a model to ONNX, to predict without torch: `model.onnx`, `vocab.json`, `config.json`. Return the folder.

    The graph takes `ids` (B, T) and `lengths` (B,), int64, of any B and T, padded on the right. It returns `probs` (B,
    C) and `index` (B,), the probabilities and the decision of `learn.predict`, for one class per text. Padding and
    other rows do not change the answer for a text. A transformer reads a text that is longer than its positions in
    windows, as in torch. Before the folder is written, the numbers of the graph are compared with torch's.

    Args:
        learn: a learner, a `Predictor`, or what `calibrate` returned, whose temperature is in the graph.
        path: the folder. An older one of this kind is replaced.
        quantize: keep the weights in 8 bits (dynamic quantisation of onnxruntime). The file has about a quarter of the
            size, and answers differ a little. "int8" in `config.json` tells how much, for the first validation texts of
            a learner, or for random words. A warning tells if a label changes.

    Raises:
        TrainingError: E506 for a language model, and for a model that cannot be exported. E507 if the packages onnx
            and onnxruntime are not installed.
        FileError: E412 if the folder has any other files in it.
    """
    for package in ("onnx", "onnxruntime.quantization"):
        optional_package(package)
    predictor = learn.predictor
    if not isinstance(predictor.model, TextClassifier) or predictor.prepare.target.per not in ("text", "token"):
        raise TrainingError("E506", received=f"to_onnx() of a model for the task {predictor.prepare.task!r}",
                            expected="classes, numbers or tags", fix="export a classifier, a regression or a tagger")
    with atomic_folder(path, _foreign) as tmp, no_warnings():
        graph = Graph(predictor)
        _write(graph, tmp / FILES[0])
        _compare(graph, predictor, tmp / FILES[0])
        config = {"onnx": FORMAT, **predictor.prepare.config(), "max_tokens": graph.max_tokens, "made_with": versions()}
        if quantize:
            _quantize(tmp / FILES[0])
            config["int8"] = changes = _changes(graph, predictor, tmp / FILES[0], _own_docs(learn))
        write_json(tmp / FILES[1], predictor.vocab.config())
        write_json(tmp / FILES[2], config)
    if quantize and (changes["labels_changed"] or predictor.classes and changes["largest_difference"] > FAR):
        warn_user(f"8-bit weights {told(changes)}: measure the graph's accuracy before you use it")
    return Path(path)


def told(changes: dict) -> str:
    """Return a few words on what 8-bit weights change, see `to_onnx`."""
    labels = changes["labels_changed"]
    return (f"move {changes['of']} by up to {changes['largest_difference']:.3f} in {changes['texts']} {changes['in']}"
            + (f", and change {counted(labels, 'label')}" if labels is not None else ""))


class Graph(nn.Module):
    """`graph(ids, lengths)` gives probabilities and decisions, in operations that a trace keeps for any size.

    Attributes:
        max_tokens: of a text. None for any number.
    """

    def __init__(self, predictor: "Predictor"):
        super().__init__()
        model, self.max_tokens = predictor.model.whole(), None  # type: ignore[operator]  # a `TextClassifier`
        read, encoder = cast(Whole, model[0]), model.encoder
        if hasattr(encoder, "span") and not read.head_tail:
            if getattr(encoder, "stride", -1) > 0 or len(predictor.prepare.text_cols) > 1 and not encoder.streams:
                self.max_tokens = encoder.span  # windows that share tokens
            else:
                read.module = Blocks(encoder)  # type: ignore[assignment]  # it is read as an encoder is
        self.model = model if predictor.device.type == "cpu" else deepcopy(model).cpu()
        self.activation, self.decodes, self.temperature = predictor.activation, predictor.decodes, predictor.temperature
        self.eval()

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(ids, lengths).logits / self.temperature
        return self.activation(logits), self.decodes(logits)


class Blocks(nn.Module):
    """Reads texts of any length with a transformer in windows of `span` tokens, each by itself."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, lengths: Tensor) -> Encoded:
        size = ids.shape[1]  # T, which a trace keeps as a number that may change: so no `if`, `min` or `len` below
        n = torch.arange(size)[:cast(Any, self.encoder).span].shape[0]
        n_blocks = (size + n - 1) // n
        at = torch.arange(n_blocks * n).clamp_max(size - 1)
        own = lengths.unsqueeze(1) - torch.arange(n_blocks) * n  # (B, n_blocks)
        states = self.encoder(ids[:, at].reshape(-1, n), own.clamp_min(1).reshape(-1)).raw  # (B n_blocks, n, E)
        raw = states.reshape(ids.shape[0], -1, self.encoder.width)[:, :size]
        return Encoded(raw, embedded=self.encoder.embedding(ids))


def _write(graph: Graph, file: Path) -> None:
    ids, lengths = torch.ones(2, 7, dtype=torch.int64), torch.tensor([7, 3])
    rows, tokens = {0: "rows"}, {0: "rows", 1: "tokens"}
    per_token = graph(ids, lengths)[0].ndim > 2
    out = tokens if per_token else rows
    try:
        # The exporter by tracing keeps an LSTM as one operation for any T. The newer one writes out each step.
        torch.onnx.export(graph, (ids, lengths), file, dynamo=False, input_names=["ids", "lengths"],
                          output_names=["probs", "index"],
                          dynamic_axes={"ids": tokens, "lengths": rows, "probs": out, "index": out})
    except Exception as e:  # torch raises errors of many kinds
        raise _no_graph(graph, f"torch.onnx says {e!s:.200}") from e


Answers = tuple[np.ndarray, np.ndarray]  # probabilities and decisions, for each row or for each real token


def _answers(graph: Graph, predictor: "Predictor", file: Path,
             batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Answers, Answers]]:
    """Yield the answers of the graph in a file, and torch's, for batches of ids and lengths."""
    session = optional_package("onnxruntime").InferenceSession(file)
    for ids, lengths in batches:
        logits = predictor.model(ids.to(predictor.device), lengths.to(predictor.device)).logits / predictor.temperature
        wanted = [f(logits).cpu().numpy() for f in (predictor.activation, predictor.decodes)]
        try:
            found = session.run(None, {"ids": ids.numpy(), "lengths": lengths.numpy()})
        except Exception as e:  # those of onnxruntime have no common base
            raise _no_graph(graph, f"onnxruntime says {e!s:.200}") from e
        if found[0].shape != wanted[0].shape:
            raise _no_graph(graph, f"the graph gives {found[0].shape} for {wanted[0].shape}")
        real = np.arange(ids.shape[1]) < lengths.numpy()[:, None] if wanted[0].ndim > 2 else np.full(len(ids), True)
        yield cast(Answers, tuple(each[real] for each in found)), cast(Answers, tuple(each[real] for each in wanted))


def _compare(graph: Graph, predictor: "Predictor", file: Path) -> None:
    """Raise E506 if the graph differs from torch for some texts, which are noise."""
    longest = getattr(graph.model.encoder, "span", 95) + 5
    sizes = [(1, 1), (3, 11), (2, longest)]  # some have more tokens than a transformer has positions
    for (found, _), (wanted, _) in _answers(graph, predictor, file, _noise(graph, predictor.vocab, sizes)):
        if not np.allclose(found, wanted, CLOSE, CLOSE):
            raise _no_graph(graph, f"the graph gives other numbers, by {np.abs(found - wanted).max():.1g}")


def _changes(graph: Graph, predictor: "Predictor", file: Path, docs: list[np.ndarray]) -> dict:
    """Return how far the answers of an 8-bit graph are from torch's, for texts or for noise."""
    batches = ([tuple(map(torch.from_numpy, padded([doc[:graph.max_tokens]], predictor.vocab.pad_id,
                                                   predictor.prepare.backwards))) for doc in docs]
               or _noise(graph, predictor.vocab, [(4, n) for n in range(5, 85, 5)]))
    both = list(_answers(graph, predictor, file, cast(Any, batches)))
    labels = None if not docs or predictor.classes is None else sum(
        bool((found[1] != wanted[1]).any()) for found, wanted in both)  # one text a batch
    return {"texts": sum(len(found[0]) for found, _ in both) if not docs else len(docs), "labels_changed": labels,
            "in": "validation texts" if docs else "texts of random words",
            "of": "a number" if predictor.classes is None else "a probability",
            "largest_difference": float(max(np.abs(found[0] - wanted[0]).max() for found, wanted in both))}


def _own_docs(learn: "Asked") -> list[np.ndarray]:
    """Return the ids of a learner's first validation texts, none for a predictor."""
    valid: Any = getattr(getattr(learn, "dls", None), "valid", None)
    return [valid.ids[row] for row in valid.rows[:COMPARED]] if hasattr(valid, "ids") else []


def _noise(graph: Graph, vocab: Vocab, sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of random words: ids and lengths, with (B, T) of each of the sizes."""
    generator, most = torch.Generator().manual_seed(0), graph.max_tokens or LONG
    special = {*vocab.specials.values()}
    words = torch.tensor([i for i, token in enumerate(vocab) if token not in special])
    for n_rows, n_tokens in sizes:
        size = n_rows, min(n_tokens, most)
        yield (words[torch.randint(len(words), size, generator=generator)],
               torch.tensor([size[1], *[max(1, size[1] // 2)] * (n_rows - 1)]))


def _quantize(file: Path) -> None:
    model = optional_package("onnx").load(file)
    kit = optional_package("onnxruntime.quantization")
    kit.quant_utils.add_pre_process_metadata(model)  # or it asks for steps that change nothing here
    kit.quantize_dynamic(model, file)


def _no_graph(graph: Graph, why: str) -> TrainingError:
    parts = f"{type(graph.model.encoder).__name__} under {type(graph.model.head).__name__}"
    return TrainingError("E506", received=f"to_onnx() of {parts}: {why}", expected="an encoder and a head "
                         "that do the same for any batch, such as those of the library that pool states",
                         fix="answer with torch: load_predictor(folder).predict(texts)")


def _foreign(folder: Path) -> list[str]:
    """Return the names of what in a folder is not of an exported model. All of them if nothing proves that it is."""
    names = [part.name for part in members(folder)]
    with suppress(FileError, TypeError):
        if "onnx" in read_json(folder / FILES[2]):
            return [name for name in names if name not in FILES]
    return names
