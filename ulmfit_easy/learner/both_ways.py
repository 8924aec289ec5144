"""Find what an encoder of both directions starts from: one such model, or a forward and a backward one."""

from typing import Any, cast

from ulmfit_easy.bundle.shipped import fitting, named_folder
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.learner.find import find_lm
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm, read_model, shipped_lm
from ulmfit_easy.models.encoder import Encoder


def find_both(pretrained: Any, arch: type[Encoder], config: dict | None,
              dls: DataLoaders) -> tuple[PretrainedLM | None, str]:
    """Find the pretrained models of an encoder that is made of a forward and a backward model, such as `ELMo`.

    Args:
        pretrained: a model of `arch`. Or two models of `arch.one_way`: the language or the wheel that has both, or a
            list with the forward one first. True takes what the data were made with, or else installed models that
            fit.

    Raises: ArgumentError E603 for data that reads backwards, and for a language model to be made of two. E603 for a
        config that shares one embedding between them. FileError E402 for one model of two, for two of other encoders or
        vocabularies. What `read_lm` raises.
    """
    if dls.backwards:
        raise ArgumentError("E603", received=f"data that reads backwards for {arch.__name__}", expected="data that "
                            "reads forwards: this encoder reads both ways by itself", fix="leave out backwards=")
    kind = cast(type[Encoder], arch.one_way)
    given, is_lm = dls.pretrained if pretrained is True else pretrained, not dls.target.labelled
    if pretrained is True and given is None:
        found, why = find_lm(True, arch, config, dls)
        if found or is_lm:
            return found, why
        given, reasons = zip(*(fitting(kind, config or {}, way, dls.tokenizer.config()) for way in (False, True)),
                             strict=True)
        if None in given:
            return None, max(reasons)
    if given is None or given is False:
        return None, ""
    if isinstance(given, PretrainedLM) or not isinstance(given, list | tuple):  # a model is a tuple too
        if (one := read_model(given)).arch != kind.__name__:
            return find_lm(one, arch, config, dls)
        if isinstance(given, PretrainedLM) or named_folder(given) == named_folder(given, True):
            raise FileError("E402", received=f"{one.name}, which reads one way, for {arch.__name__}",
                            expected="two models, one forwards and one backwards", fix="pass both to the learner: "
                            "pretrained=(forwards, backwards)")
        given = given, given
    if len(given) != 2:
        raise ArgumentError("E603", received=f"{len(given)} models for {arch.__name__}", expected="two models, one "
                            "forwards and one backwards", fix="pass both: pretrained=(forwards, backwards)")
    if is_lm or (config or {}).get("shared"):
        raise ArgumentError("E603", received=f"two models for {arch.__name__} with one embedding",
                            expected="a classifier or a tagger that keeps the embeddings of both",
                            fix="tune each model by itself, then pass both: pretrained=(forwards, backwards)")
    return _joined([read_lm(half, way) for half, way in zip(given, (False, True), strict=True)], arch, kind), ""


def shipped_pair(arch: type[Encoder], lang: str = "en") -> PretrainedLM | None:
    """Return the model of both directions that the installed models of a language make, or None without two."""
    halves = [shipped_lm(lang, way) for way in (False, True)]
    kind = cast(type[Encoder], arch.one_way)
    fit = [half for half in halves if half and half.arch == kind.__name__]
    return _joined(fit, arch, kind) if len(fit) == 2 else None


def _joined(halves: list[PretrainedLM], arch: type[Encoder], kind: type[Encoder]) -> PretrainedLM:
    """Return one model of two, which read the same words."""
    ahead, back = halves
    sizes = [{"arch": half.arch, "vocab": half.vocab.sha256[:12], **{
        name: value for name, value in half.config["encoder"]["config"].items() if not name.endswith("_p")}}
        for half in halves]
    if sizes[0] != sizes[1] or ahead.arch != kind.__name__:
        raise FileError("E402", received=f"{ahead.name} with {sizes[0]} and {back.name} with {sizes[1]}",
                        expected=f"two models of {kind.__name__} with one vocabulary and the same sizes",
                        fix="train one on data that were made with the vocabulary of the other and backwards=True")
    weights = arch.joined(*({name.removeprefix("0."): w for name, w in half.weights.items() if name.startswith("0.")}
                            for half in halves))
    own = {"name": arch.__name__, "config": {**ahead.config["encoder"]["config"], "shared": False}}
    config = {"task": CategoryTarget.task, "text": ahead.data, "encoder": own, "head": {"config": {}}}  # no decoder
    return PretrainedLM(f"{ahead.name} and {back.name}", config, ahead.vocab,
                        {f"0.{name}": weight for name, weight in weights.items()})
