"""Pretrained language models: where their weights come from, and how a learner takes them over."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from ulmfit_easy.bundle.artefact import load_state, load_weights, storage_of
from ulmfit_easy.bundle.foreign import load_any, load_foreign
from ulmfit_easy.bundle.packages import MODELS
from ulmfit_easy.bundle.shipped import named_folder, shipped_folder, shipped_name, shipped_vectors
from ulmfit_easy.bundle.wordlist import read_words
from ulmfit_easy.data.checks import UNKNOWN
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.languages import language_name
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.errors import ArgumentTypeError, FileError
from ulmfit_easy.files import read_json, sha256_bytes
from ulmfit_easy.models.archs import plain_config, sizes_of, without_tokens
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.reprs import compact, described
from ulmfit_easy.terminal import say
from ulmfit_easy.text.special import FAKE
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vectors import WordVectors
from ulmfit_easy.text.vocab import Vocab
from ulmfit_easy.text.words import SpacyTokenizer
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import TextLearner

L = TypeVar("L", bound="TextLearner")
NO_WEIGHTS = ("No installed weights fit ({}). The model starts from random weights, and nothing is frozen. Pass "
              "pretrained= the folder of an exported language model, or pretrained=False to silence this warning")


class PretrainedLM(NamedTuple):
    """A language model to start from."""

    name: str  # for messages
    config: dict  # of its bundle; `text`, how its texts were read, says as much as its files tell
    vocab: Vocab
    weights: dict[str, Tensor]  # float32

    def __repr__(self) -> str:
        n = sum({storage_of(weight): weight.numel() for weight in self.weights.values()}.values())  # tied ones once
        return described(self, self.name, self.arch, self.vocab.told, f"{compact(n)} weights")

    @property
    def arch(self) -> str:
        """The name of its encoder."""
        return self.config["encoder"]["name"]

    @property
    def model(self) -> dict:
        """The settings of encoder and decoder."""
        return {**self.config["head"]["config"], **self.config["encoder"]["config"]}

    @property
    def data(self) -> dict:
        """The settings by which its texts were read, such as `tokenizer` and `backwards`, if its files tell."""
        return self.config["text"]

    @property
    def sha256(self) -> str:
        """Changes with the words and the weights."""
        parts = [self.vocab.sha256, *(name + sha256_bytes(t.numpy().tobytes()) for name, t in self.weights.items())]
        return sha256_bytes("".join(parts).encode())


Start: TypeAlias = "bool | str | Path | PretrainedLM | TextLearner | None"  # what `pretrained` may be


def read_model(source: "str | Path | PretrainedLM | TextLearner", backwards: bool | None = None) -> PretrainedLM:
    """Return a language model, as `read_lm`, or the encoder of a classifier. Either may also be a learner in memory."""
    if not isinstance(source, PretrainedLM):
        source = _read(source, bool(backwards))
    if (way := source.data.get("backwards")) is not None and backwards not in (None, way):
        raise direction_error(source.name, way, backwards)
    return source


def read_lm(source: "str | Path | PretrainedLM | TextLearner", backwards: bool | None = None) -> PretrainedLM:
    """Read a language model from a file, a folder or an installed package.

    Args:
        source: a path. Or the language ("ko") or the name of an installed model. Or a learner of a language model.
        backwards: the direction that the model must have. By default any, and forwards if `source` is a language.

    Raises: ArgumentError E601 if `source` is of another type. FileError E404 if there is no such file or model. E401
        if a file has an unknown format. E402 for a model of another kind or direction.
    """
    found = read_model(source, backwards)
    if TARGETS[found.config["task"]].labelled:
        raise FileError("E402", received=f"{found.name}, a classifier", expected="a language model",
                        fix="pass the folder that a language model's learner exported")
    return found


def _read(source: "str | Path | TextLearner", backwards: bool) -> PretrainedLM:
    weights: Mapping[str, Tensor]
    if isinstance(source, str | Path):
        name, folder = str(source), named_folder(source, backwards)
        config, vocab, weights = load_any(folder)
        name = name if name.lower() in MODELS else shipped_name(folder)
    elif isinstance(model := getattr(source, "model", None), Headed) and hasattr(source, "dls"):
        name, vocab, weights = f"a learner of {type(model.encoder).__name__}", source.dls.text_vocab, model.state_dict()
        config = {**source.dls.config(), **model.config()}
    else:
        raise ArgumentTypeError("E601", received=f"pretrained={source!r}", expected="a folder, a checkpoint or a "
                                "learner", fix="pass its path, or the learner of a language model or a classifier")
    if not Head.find(config["head"]["name"]).decodes:  # of a classifier only the encoder
        weights = {name.replace("0.module.", "0.", 1): t for name, t in weights.items() if name.startswith("0.")}
        config = {**config, "head": {"name": "LMDecoder", "config": {}}}
    once = {storage_of(t): t.float().cpu() for t in weights.values()}  # tied weights stay one tensor
    return PretrainedLM(name, config, vocab, {name: once[storage_of(t)] for name, t in weights.items()})


def shipped_lm(lang: str = "en", backwards: bool = False) -> PretrainedLM | None:
    """Return the language model that is installed for a language and direction, or None if there is none.

    Models come with the library (English and Korean) and with Python packages of weights.
    """
    folder = shipped_folder(lang, bool(backwards))
    return None if folder is None else read_lm(folder)


def sizes_in(dls: DataLoaders, arch: type[Encoder]) -> dict | None:
    """Return the settings of the learner's encoder that data were made with, if it is of this class."""
    return dls.encoder.get("config") if dls.encoder.get("name") == arch.__name__ else None


def with_sizes(theirs: dict | None, config: dict | None, defaults: dict) -> dict:
    """`config` with plain values, after what another model's has for the keys of `defaults`, dropouts aside.

    Special tokens are left out, because the vocabulary decides them.
    """
    theirs = {k: v for k, v in (theirs or {}).items() if k in defaults and not k.endswith("_p")}
    sizes = {**theirs, **plain_config(config or {}, defaults)}
    return without_tokens(sizes)


def find_pair(fnames: Sequence[str | Path], folder: Path, arch: type[Encoder], dls: DataLoaders) -> PretrainedLM:
    """Return the language model of `pretrained_fnames`: the names of a weights file and a word list in a folder.

    The weights are what `learn.save` wrote or fastai's `.pth`. The words are a list in JSON, or pickled. Suffixes may
    be left out.

    Raises: FileError E402 for words of another model, another architecture or the other direction. E404 for a file that
        is not there. What `load_weights`, `read_words` and `load_foreign` raise.
    """
    name, words = (re.sub(r"\.(pth|safetensors|pkl|json)$", "", str(name)) for name in fnames)
    json_list, pickled = (folder / f"{words}{end}" for end in (".json", ".pkl"))
    if not (json_list.exists() or pickled.exists()):
        raise FileError("E404", received=f"the weights {name} without {json_list} or {pickled.name}",
                        expected="the words of the model",
                        fix=f"write them: json.dump(dls.text_vocab.config(), open({str(json_list)!r}, 'w'))")
    if (theirs := folder / f"{name}.pth").exists():
        _, vocab, weights = load_foreign(theirs, pickled)
        backwards = None
    else:
        weights, metadata = load_weights(folder / f"{name}.safetensors")
        weights = {k.removeprefix("model."): v for k, v in weights.items() if not k.startswith("opt.")}
        vocab = Vocab.from_config(read_json(json_list) if json_list.exists() else read_words(pickled))
        if metadata.get("vocab_sha256", vocab.sha256) != vocab.sha256:
            raise FileError("E402", received=f"the words {words} for the weights {name}", expected="the words that "
                            "these weights were trained with",
                            fix=f"write dls.text_vocab.config() of the learner that saved them to {words}")
        backwards = metadata.get("backwards")
    sizes = sizes_of(weights)
    if sizes.pop("arch", None) != (wanted := arch.__name__):
        raise FileError("E402", received=f"{folder / name}", expected=f"weights of the encoder {wanted}",
                        fix="name what learn.save of a language model wrote")
    if backwards not in (None, dls.backwards):
        raise direction_error(name, backwards, dls.backwards)
    sizes.pop("vocab_sz")
    config = {"text": {"backwards": backwards}, "encoder": {"name": wanted, "config": sizes}, "head": {"config": {}}}
    return PretrainedLM(name, config, vocab, weights)


def start_from(learn: L, found: PretrainedLM | None, why: str = "") -> L:
    """Return the learner with pretrained weights, if there are some.

    Args:
        found: what `find_lm` or `find_pair` gave.
        why: a reason to warn of if there are none.
    """
    if found is not None:
        return learn.load_pretrained(found.weights, found.vocab, found.name)
    if why:
        _in_time(learn, partial(warn_user, NO_WEIGHTS.format(why)))
    return learn


def _in_time(learn: "TextLearner", news: Callable[[], None]) -> None:
    """Tell what a learner starts from: a language model at once, a classifier at its first fit."""
    if learn.head.decodes:
        news()
    else:
        learn.news = news


def take_over(learn: L, weights: Mapping[str, Tensor], vocab: Vocab, source: str) -> L:
    """See `TextLearner.load_pretrained`."""
    new = learn.dls.text_vocab
    vectors = None if vocab == new else vectors_for(learn.dls.tokenizer)
    names = [f"0.{name}" for name, p in learn.encoder.named_parameters(remove_duplicate=False)
             if p is learn.encoder.embedding.weight]
    rows, decoder = weights[names[0]], weights.get("1.decoder.weight")
    matched = match_embeds(rows, weights.get("1.decoder.bias"), vocab, new, vectors)
    weights = {**weights, **dict.fromkeys(names, matched.weight)}
    if decoder is not None:
        tied = torch.equal(decoder, rows)
        weights["1.decoder.weight"] = (matched if tied else match_embeds(decoder, None, vocab, new, vectors)).weight
    if matched.bias is not None:
        weights["1.decoder.bias"] = matched.bias
    encoder = {k.removeprefix("0."): v for k, v in weights.items() if k.startswith("0.")}
    if not learn.head.decodes or len(encoder) == len(weights):
        load_state(learn.encoder, learn.encoder.part_of(encoder), source)
    else:
        own = {name: t for name, t in learn.model.state_dict().items() if name.startswith("1.")}
        load_state(learn.model, {f"0.{name}": t for name, t in encoder.items()} | {  # a part of one decoder alone stays
            name: weights.get(name, t) for name, t in own.items()}, source)
    learn.started_from = str(source)
    learn.n_matched = matched.n_matched
    _in_time(learn, partial(_tell, learn, vocab, source, matched.guessed))
    return learn.freeze()


def _tell(learn: "TextLearner", vocab: Vocab, source: str, guessed: frozenset[str]) -> None:
    """Tell how much of the user's texts a language model knows, and warn if that is little.

    The words are those of the texts. The vocabulary of the data may have the model's own words in it too.
    """
    unit, count = "pieces of words" if learn.dls.tokenizer.is_closed else "words", words_of(learn.dls)
    new = [word for word in count if word not in vocab]
    if learn.verbose:
        n_guessed = sum(word in guessed for word in new)
        start = f" {n_guessed:,} of the others start from word vectors." if n_guessed else ""
        say(f"Starts from {source}. It knows {len(count) - len(new):,} of the {len(count):,} different {unit} in "
            f"your texts.{start}")
    if (share := sum(count[word] for word in new) / max(1, count.total())) > UNKNOWN:
        lang = getattr(getattr(learn.dls.tokenizer, "tok", None), "lang", None)
        question = f"is it {language_name(lang)}" if lang else "is it of their language"
        warn_user(f"{len(new):,} of the {len(count):,} different {unit} in your texts ({share:.0%} of all of them) "
                  f"are unknown to this model: {question}?")


def words_of(dls: DataLoaders) -> Counter[str]:
    """Count each word in the texts of a language model's or a classifier's data, without control tokens.

    For loaders without texts, as of a loaded learner, each word of the vocabulary counts once.
    """
    store = getattr(getattr(dls.train, "ids", None), "store", None)
    count = Counter(dict.fromkeys(dls.text_vocab, 1)) if store is None else store.count()
    for token in (*dls.text_vocab.specials.values(), FAKE):
        count.pop(token, None)
    return count


def vectors_for(tokenizer: Tokenizer) -> WordVectors | None:
    """Return the vectors of a tokenizer's words. None for pieces of words and for a user's function."""
    splitter = getattr(tokenizer, "tok", None)
    return shipped_vectors(splitter.lang) if isinstance(splitter, SpacyTokenizer) else None


def direction_error(source: object, received: bool | None, expected: bool) -> FileError:
    """Return E402 for weights that read the other way than the data. Both are True for backwards."""
    words = {True: "backwards", False: "forwards", None: "one way or the other"}
    return FileError("E402", received=f"{source}, which reads {words[received]}",
                     expected=f"a model that reads {words[expected]}, as the data does",
                     fix="load the other model; " + ("pass backwards=True for the data" if received else
                                                     "leave out backwards= for the data"))
