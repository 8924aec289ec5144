"""Checkpoints as other libraries write them, with random weights of tiny sizes, and pickles that mean harm."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ulmfit_easy.bundle.foreign import load_foreign
from ulmfit_easy.errors import FileError

E, H, LAYERS = 6, 10, 3
WORDS = ("the film was good bad a plot of story and , . music long short never again i we it to see he she you they on "
         "in at by for with but not").split()
V1 = "xxunk xxpad xxbos xxeos xxfld xxmaj xxup xxrep xxwrep".split()
V2 = "xxunk xxpad xxbos xxeos xxfld xxrep xxwrep xxup xxmaj".split()


class Foreign(NamedTuple):
    """A checkpoint on disk, and what is in it."""

    path: Path  # the weights
    words: list[str]
    state: dict[str, Tensor]
    ours: dict[str, str]  # their control tokens -> ours, where the names differ
    backwards: bool | None


def numbers(*shape) -> Tensor:
    return torch.randn(*shape) * 0.5


def lstm_state(vocab_sz, layout: str) -> dict[str, Tensor]:
    """The state dict of an AWD-LSTM language model under the names of fastai "0.7", "1" or "2"."""
    torch.manual_seed(vocab_sz)
    emb = numbers(vocab_sz, E)  # (V, E)
    copy = "0.encoder_with_dropout.embed.weight" if layout == "0.7" else "0.encoder_dp.emb.weight"
    state = {"0.encoder.weight": emb, copy: emb}
    for i, (n_in, n_out) in enumerate([(E, H), (H, H), (H, E)]):
        raw = f"0.rnns.{i}.module.weight_hh_l0_raw" if layout == "0.7" else f"0.rnns.{i}.weight_hh_l0_raw"
        state[raw] = numbers(4 * n_out, n_out)
        state[f"0.rnns.{i}.module.weight_ih_l0"] = numbers(4 * n_out, n_in)
        if layout == "1":  # what is left of a forward with dropout: not the weights
            state[f"0.rnns.{i}.module.weight_hh_l0"] = numbers(4 * n_out, n_out)
        state |= {f"0.rnns.{i}.module.bias_{of}_l0": numbers(4 * n_out) for of in ("ih", "hh")}
    state["1.decoder.weight"] = emb
    if layout != "0.7":
        state["1.decoder.bias"] = numbers(vocab_sz)
    return state


def qrnn_state(vocab_sz, layers=".layers.0") -> dict[str, Tensor]:
    """The state dict of MultiFiT's language model; `layers=""` for that of fastai before 1.0.47."""
    torch.manual_seed(vocab_sz)
    emb = numbers(vocab_sz, E)  # (V, E)
    state = {"0.encoder.weight": emb, "0.encoder_dp.emb.weight": emb}
    for i, (n_in, n_out) in enumerate([(2 * E, H), (H, H), (H, H), (H, E)]):
        name = f"0.rnns.{i}{layers}.linear"
        state[f"{name}.weight_raw"] = numbers(3 * n_out, n_in)
        state[f"{name}.module.weight"] = numbers(3 * n_out, n_in)  # a copy, with dropout applied to it
        state[f"{name}.module.bias"] = numbers(3 * n_out)
    return {**state, "1.decoder.weight": emb, "1.decoder.bias": numbers(vocab_sz)}


def write(folder: Path, name: str, state, list_name: str, words, backwards=None, ours=None, zipped=True) -> Foreign:
    """The two files; `zipped=False` as torch wrote them before 1.6."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / name, _use_new_zipfile_serialization=zipped)
    (folder / list_name).write_bytes(pickle.dumps(words, protocol=4 if zipped else 3))
    return Foreign(folder / name, list(words), state.get("model", state), ours or {}, backwards)


def fastai_07(folder: Path, name="fwd_wt103.h5") -> Foreign:
    """The files of the 2018 paper: no decoder bias, control tokens of other names and at other places."""
    ours = {"_unk_": "xxunk", "_pad_": "xxpad", "xbos": "xxbos", "xfld": "xxfld", "t_up": "xxup", "tk_rep": "xxrep",
            "tk_wrep": "xxwrep"}
    words = ["_unk_", "_pad_", *WORDS[:5], "t_up", *WORDS[5:9], "xbos", "tk_rep", *WORDS[9:], "xfld", "tk_wrep"]
    state = lstm_state(len(words), "0.7")
    assert len(state) == 15
    return write(folder, name, state, "itos_wt103.pkl", words, name.startswith("bwd"), ours, zipped=False)


def fastai_1(folder: Path, name="lstm_fwd.pth") -> Foreign:
    """The files behind `URLs.WT103_FWD`: control tokens in another order, and copies of the recurrent weights."""
    words = [*V1, *WORDS]
    state = lstm_state(len(words), "1")
    assert len(state) == 19
    return write(folder, name, state, "itos_wt103.pkl", words, "bwd" in name, zipped=False)


def fastai_1_early(folder: Path) -> Foreign:
    """Late 2018: no `xxeos` yet, and an optimiser beside the model."""
    words = [*(w for w in V1 if w != "xxeos"), *WORDS]
    state = {"model": lstm_state(len(words), "1"), "opt": {"state": {}, "param_groups": [{"lr": 1e-3}]}}
    return write(folder, "lstm_wt103.pth", state, "itos_wt103.pkl", words, zipped=False)


def fastai_2(folder: Path) -> Foreign:
    """`learn.save("my_lm")` of today, optimiser and all; the words in an `L`, filled up to a multiple of 8."""
    import numpy as np
    from fastcore.foundation import L

    words = [*V2, *WORDS]
    words += ["xxfake"] * (-len(words) % 8)
    model = lstm_state(len(words), "2")
    assert len(model) == 16 and words.count("xxfake") > 1
    opt = {"state": [{"step": 3, "grad_avg": numbers(H)}], "hypers": L({"lr": np.float64(1e-3), "wd": 0.01})}
    return write(folder, "my_lm.pth", {"model": model, "opt": opt}, "vocab.pkl", L(words))


def multifit(folder: Path, layers=".layers.0") -> Foreign:
    """A release of MultiFiT: a QRNN on SentencePiece's pieces, and the files that lie around it."""
    ours = {f"▁{w}": w for w in V1} | {"<unk>": "xxunk"}
    words = [*(f"▁{w}" for w in V1), "<unk>", *(f"▁{w}" for w in WORDS), "ing", "s"]
    state = qrnn_state(len(words), layers)
    found = write(folder, "lm_best.pth", state, "itos.pkl", words, None, ours, zipped=False)
    encoder = {k.removeprefix("0."): v for k, v in state.items() if k.startswith("0.")}
    torch.save(encoder, folder / "enc_best.pth")
    (folder / "spm.model").write_bytes(b"pieces")
    (folder / "pretraining.json").write_text("{}")
    return found


def multifit_old(folder: Path) -> Foreign:
    return multifit(folder, layers="")


def fastai_ulmfit(folder: Path, direction="bwd") -> Foreign:
    """One direction of fastai_ulmfit: pieces behind fastai 2's control tokens, of which text met only the pieces."""
    met = ["xxbos", "xxmaj", "xxup", "xxrep"]
    words = [*V2, "▁xxmaj", *(f"▁{w}" for w in WORDS), "▁xxbos", "▁xxup", "▁xxrep", "s"]
    words += ["xxfake"] * (-len(words) % 8)
    state = lstm_state(len(words), "2")
    place = folder / direction
    found = write(place, "lm_model.pth", state, "lm_vocab.pkl", words, direction == "bwd", {f"▁{w}": w for w in met})
    encoder = {k.removeprefix("0."): v for k, v in state.items() if k.startswith("0.")}
    torch.save(encoder, place / "lm_encoder.pth")
    (place / "model.json").write_text('{"tokenizer": {"class": "SentencePieceTokenizer", "params": {"lang": "de"}}}')
    (folder / "spm").mkdir(exist_ok=True)
    (folder / "spm" / "spm.model").write_bytes(b"pieces")
    return found


def changed(file: Foreign, **changes) -> Path:
    """The file's state dict with some keys replaced, or left out (None), saved in its place."""
    state = {k: v for k, v in {**file.state, **changes}.items() if v is not None}
    torch.save(state, file.path)
    return file.path


def refused(code: str, path: Path, **kwargs) -> str:
    """The message of the coded error that loading gives."""
    with pytest.raises(FileError) as e:
        load_foreign(path, **kwargs)
    assert e.value.code == code, e.value
    return str(e.value)


LAYOUTS = [fastai_07, fastai_1, fastai_1_early, fastai_2, fastai_ulmfit, multifit, multifit_old]


# --- pickles that mean harm ---------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def _unicode(text: str) -> bytes:
    return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()


def _text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def hostile(canary: Path) -> dict[str, bytes]:
    """Pickles that make the file `canary` where Python's own reader reads them."""
    import os

    import fastcore.foundation

    cmd = f"touch {canary}"
    arg = _unicode(cmd)
    system = Calls(getattr, Calls(__import__, "posix"), "system")
    l_state = b"cfastcore.foundation\nL\n)\x81}"
    return {
        "os.system by reduce": pickle.dumps(Calls(os.system, cmd)),
        "builtins.eval": pickle.dumps(Calls(eval, f"open({str(canary)!r}, 'w').close()")),
        "builtins.exec in protocol 0": pickle.dumps(Calls(exec, f"open({str(canary)!r}, 'w').close()"), protocol=0),
        "nested globals": pickle.dumps(Calls(list, Calls(map, system, [cmd]))),
        "GLOBAL": b"cposix\nsystem\n(" + arg + b"tR.",
        "STACK_GLOBAL": b"\x80\x04" + _text("posix") + _text("system") + b"\x93" + arg + b"\x85R.",
        "a name with dots": b"\x80\x04" + _text("os") + _text("path.os.system") + b"\x93" + arg + b"\x85R.",
        "INST": b"(" + arg + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + arg + b"o.",
        "copyreg's extension": (b"\x80\x02ccopyreg\nadd_extension\n(" + _unicode("posix") + _unicode("system")
                                + b"K\xfatR0\x82\xfa" + arg + b"\x85R."),
        "a class of __main__": b"\x80\x02c__main__\nCanary\n" + _unicode(str(canary)) + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04c__main__\nCanary\n" + _unicode(str(canary)) + b"\x85}\x92.",
        "BUILD on an L": l_state + _unicode("__setstate__") + b"cposix\nsystem\nsb" + arg + b"b.",
        "an L with a payload": pickle.dumps(fastcore.foundation.L([Calls(os.system, cmd)])),
        "a payload from the memo": (b"\x80\x02cposix\nsystem\nq\x00]" + arg + b"a0h\x00" + arg + b"\x85R."),
        "a payload among words": pickle.dumps(["the", "a", Calls(os.system, cmd)]),
        "a payload after words": pickle.dumps(["the"])[:-1] + b"0cposix\nsystem\n" + arg + b"\x85R.",
    }


def useless(words: list[str]) -> dict[str, bytes]:
    """Pickles that do nothing, and are no list of strings either."""
    laughs = b"\x80\x02]q\x00" + _unicode("ha") + b"a"
    for i in range(60):  # each list holds the one before ten times
        laughs += b"](" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"eq" + bytes([i + 1])
    new_l = b"cfastcore.foundation\nL\n)\x81"
    return {
        "nothing": b"",
        "noise": bytes(range(256)),
        "truncated": pickle.dumps(words)[:-20],
        "without its end": pickle.dumps(words)[:-1],
        "no list": pickle.dumps(dict.fromkeys(words)),
        "a string": pickle.dumps("the"),
        "a list of numbers": pickle.dumps([1, 2, 3]),
        "a list of bytes": pickle.dumps([b"the"]),
        "a list with None": pickle.dumps([*words, None]),
        "a list of lists": pickle.dumps([[word] for word in words]),
        "billion laughs": laughs + b".",
        "an L without items": new_l + b"}b.",
        "an unbuilt L": new_l + b".",
        "an L itself": b"cfastcore.foundation\nL\n.",
        "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
        "BUILD on a list": b"\x80\x02]}" + _unicode("items") + b"](" + _unicode("the") + b"esb.",
        "NEWOBJ of a list": b"\x80\x02](" + _unicode("the") + b"e)\x81.",
        "no value": b"\x80\x02.",
        "an empty memo": b"\x80\x02h\x07.",
        "no mark": b"\x80\x02]e.",
        "half of a character": b"\x80\x02](" + b"X\x03\x00\x00\x00\xed\xa0\x80" + b"e.",
        "a string longer than the file": b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"a.",
        "a persistent id": b"Pthe\n.",
        "a memo of 32 GB": b"\x80\x02]r\xff\xff\xff\xff(" + _unicode("the") + b"e.",
        "a key that takes for ever to hash": (b"\x80\x02)q\x00" + b"".join(
            b"(" + b"h\x00" * 2 + b"tq\x00" for _ in range(60)) + b"}h\x00h\x00s."),
        "deep": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    }


def as_torch_zip(program: bytes) -> bytes:
    """A torch file of today with this pickle in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in [("data.pkl", program), ("byteorder", b"little"), ("version", b"3\n")]:
            archive.writestr(f"archive/{name}", content)
    return out.getvalue()
