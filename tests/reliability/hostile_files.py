"""Files that mean harm: code for every reader that would run it, and bytes meant to break those that run none."""

import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from foreign_files import Calls, as_torch_zip, hostile


def touch(canary: Path) -> Calls:
    return Calls(os.system, f"touch {canary}")


def with_code(canary: Path) -> dict[str, tuple]:
    """Name -> (bytes, the reader that runs the code in them, which makes the file `canary`)."""
    found = {f"pickle: {name}": (program, pickle.loads) for name, program in hostile(canary).items()}
    found |= {f"torch zip: {name}": (as_torch_zip(program), torch_believes)
              for name, program in hostile(canary).items()}
    code = touch(canary)
    program = pickle.dumps(code)
    found |= {f"pickle in protocol {n}": (pickle.dumps({"w": code}, n), pickle.loads) for n in range(6)}
    found |= {
        "pickle behind a header of safetensors": (program + safetensors({}), pickle.loads),
        "pickle, gzipped": (gzip.compress(program), lambda data: pickle.loads(gzip.decompress(data))),
        "pickle, lzma": (lzma.compress(program), lambda data: pickle.loads(lzma.decompress(data))),
        "pickle, zlib, as joblib": (zlib.compress(program), lambda data: pickle.loads(zlib.decompress(data))),
        "joblib": (joblib_dump(code), joblib_load),
        "npy of objects": (npy(code), lambda data: np.load(io.BytesIO(data), allow_pickle=True)),
        "npz of objects": (npz(code), lambda data: np.load(io.BytesIO(data), allow_pickle=True)["a"]),
        "torch.save of today": (torch_save(code), torch_believes),
        "torch.save of before": (torch_save(code, _use_new_zipfile_serialization=False), torch_believes),
        "a state dict with code beside it": (torch_save({"0.encoder.weight": torch.ones(3, 2), "x": code}),
                                             torch_believes),
        "a pandas pickle": (pandas_pickle(code), pandas_load),
        "marshalled code": (marshal.dumps(compile(f"open({str(canary)!r}, 'w').close()", "x", "exec")),
                            lambda data: exec(marshal.loads(data))),
        "Python": (f"open({str(canary)!r}, 'w').close()".encode(), lambda data: exec(data.decode())),
        "YAML": (f"!!python/object/apply:os.system ['touch {canary}']".encode(), None),
        "JSON for jsonpickle": (json.dumps({"py/reduce": [{"py/function": "os.system"},
                                                          {"py/tuple": [f"touch {canary}"]}]}).encode(), None),
        "a shell script": (f"#!/bin/sh\ntouch {canary}\n".encode(), None),
    }
    return found


def without_code() -> dict[str, bytes]:
    """Name -> bytes that no reader runs, meant to fill the memory, to hang or to be misread."""
    n = 1 << 60
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return {
        "nothing": b"",
        "one byte": b"\x80",
        "zeros": bytes(100_000),
        "safetensors: a header of 2^64 bytes": b"\xff" * 8 + b"{}",
        "safetensors: a header of 100 MB": (100 << 20).to_bytes(8, "little") + b"{}",
        "safetensors: no JSON": raw_safetensors(b"{not json}"),
        "safetensors: a list": raw_safetensors(b"[]"),
        "safetensors: deep": raw_safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "safetensors: not UTF-8": raw_safetensors(b'{"\xff": 1}'),
        "safetensors: offsets that overlap": safetensors({"a": one, "b": one}),
        "safetensors: a hole": safetensors({"a": one, "b": {**one, "data_offsets": [16, 24]}}, bytes(24)),
        "safetensors: behind the end": safetensors({"a": {**one, "data_offsets": [0, 1 << 40]}}),
        "safetensors: offsets backwards": safetensors({"a": {**one, "data_offsets": [8, 0]}}),
        "safetensors: negative": safetensors({"a": {**one, "shape": [-2]}}),
        "safetensors: a shape of 2^120": safetensors({"a": {**one, "shape": [n, n]}}),
        "safetensors: a shape with fractions": safetensors({"a": {**one, "shape": [2.5]}}),
        "safetensors: an unknown type": safetensors({"a": {**one, "dtype": "PICKLE"}}),
        "safetensors: metadata that are no strings": safetensors({"__metadata__": {"ulmfit_easy": {"format": 1}}}),
        "safetensors: a name twice": raw_safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(one).encode(),) * 2), bytes(8)),
        "safetensors: aliases in a circle": safetensors(
            {"__metadata__": {"ulmfit_easy": '{"format": 1, "aliases": {"a": "b", "b": "a"}}'}}),
        "safetensors: of nobody": safetensors({"a": one}, bytes(8)),
        "JSON: deep": b"[" * 200_000,
        "JSON: deep objects": b'{"a":' * 200_000,
        "JSON: a number of 100,000 digits": b"[" + b"9" * 100_000 + b"]",
        "JSON: NaN": b"[NaN]",
        "JSON: infinity in digits": b'{"format": 1e999}',
        "JSON: half of a character": b'["\\ud800"]',
        "JSON: UTF-16": '["the"]'.encode("utf-16"),
        "JSON: not UTF-8": b'["\xff"]',
        "JSON: 65 MB": b'["' + b"a" * (65 << 20) + b'"]',
        "JSON: 100,000 keys": json.dumps(dict.fromkeys(map(str, range(100_000)))).encode(),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(100),
        "a zip of nothing": zip_of({}),
        "a zip with other names": zip_of({"a/b": b"c"}),
        "a zip that grows 1000 times": zip_of({"archive/data.pkl": bytes(30 << 20)}),
        "a torch zip of a huge tensor": torch_save({"0.encoder.weight": torch.zeros(1).expand(n >> 20, 1 << 10)}),
    }


def raw_safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def safetensors(header: dict, data: bytes = bytes(8)) -> bytes:
    return raw_safetensors(json.dumps(header).encode(), data)


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in files.items():
            whole.writestr(name, content)
    return out.getvalue()


def torch_save(value, **options) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def torch_believes(data: bytes):
    return torch.load(io.BytesIO(data), weights_only=False)


def npy(code) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([code], dtype=object), allow_pickle=True)
    return out.getvalue()


def npz(code) -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.array([code], dtype=object))
    return out.getvalue()


def joblib_dump(code) -> bytes:
    import joblib

    out = io.BytesIO()
    joblib.dump({"model": code}, out)
    return out.getvalue()


def joblib_load(data: bytes):
    import joblib

    return joblib.load(io.BytesIO(data))


def pandas_pickle(code) -> bytes:
    import pandas as pd

    out = io.BytesIO()
    pd.to_pickle(pd.DataFrame({"text": pd.Series([code], dtype=object)}), out)
    return out.getvalue()


def pandas_load(data: bytes):
    import pandas as pd

    return pd.read_pickle(io.BytesIO(data))
