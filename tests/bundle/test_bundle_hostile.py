"""Pickles that mean harm, as word lists and as weights: each is refused with a code, and nothing in it runs."""

import pickle
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import torch
from fastcore.foundation import L
from foreign_files import as_torch_zip, changed, fastai_07, fastai_1, hostile, refused, useless
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.bundle.foreign import load_foreign
from ulmfit_easy.bundle.wordlist import read_words
from ulmfit_easy.errors import FileError


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(0, 5), st.booleans())
@settings(deadline=None)
def test_word_lists_are_read_as_pickle_reads_them(tmp_path_factory, words, protocol, as_l):
    path = tmp_path_factory.getbasetemp() / "itos.pkl"
    words = words * 2  # the second time from the memo
    path.write_bytes(pickle.dumps(L(words) if as_l and protocol > 1 else words, protocol))
    assert read_words(path) == words
    path.write_bytes(pickle._dumps(words, protocol))  # Python's own writer puts each string into the memo
    assert read_words(path) == words


OPCODES = st.sampled_from([*map(ord, "].)}(lae0R2bsuoiUXVcPQ"), 0x80, 0x81, 0x85, 0x8c, 0x93, 0x94])


@given(st.lists(OPCODES | st.integers(0, 255)).map(bytes), st.integers(0, 40))
@settings(deadline=None)
def test_whatever_the_bytes_the_answer_is_a_list_of_strings_or_e401(tmp_path_factory, noise, at):
    whole = pickle.dumps(L(["the", "film", "the"]), 4)
    path = tmp_path_factory.getbasetemp() / "noise.pkl"
    for program in (noise + b".", whole[:at] + noise + whole[at:]):
        path.write_bytes(program)
        try:
            assert all(isinstance(word, str) for word in read_words(path))
        except FileError as e:
            assert e.code == "E401"


HOSTILE, USELESS = list(hostile(Path("x"))), list(useless(["the", "film"]))


@pytest.mark.parametrize("name", HOSTILE)
def test_the_hostile_pickles_do_run_where_pickle_reads_them(name, canary):
    try:
        pickle.loads(hostile(canary)[name])
    except TypeError:  # what a call gave back is not what the pickle goes on with
        pass
    assert canary.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_word_lists_are_refused_and_nothing_runs(name, canary, tmp_path):
    file = fastai_1(tmp_path)
    (tmp_path / "itos_wt103.pkl").write_bytes(hostile(canary)[name])
    message = refused("E401", file.path)
    assert not canary.exists() and "itos_wt103.pkl" in message and ("instruction" in message or "name" in message)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_refused_and_nothing_runs(name, zipped, canary, tmp_path):
    file = fastai_1(tmp_path)
    program = hostile(canary)[name]
    file.path.write_bytes(as_torch_zip(program) if zipped else program)
    message = refused("E401", file.path)
    assert not canary.exists() and "weights_only" not in message


@pytest.mark.parametrize("name", USELESS)
def test_other_pickles_and_broken_ones_are_refused_at_once(name, tmp_path):
    file = fastai_1(tmp_path)
    program = useless(file.words)[name]
    start = time.perf_counter()
    words = (tmp_path / "itos_wt103.pkl").read_bytes()
    (tmp_path / "itos_wt103.pkl").write_bytes(program)
    refused("E401", file.path)
    (tmp_path / "itos_wt103.pkl").write_bytes(words)
    for content in (program, as_torch_zip(program)):
        file.path.write_bytes(content)
        refused("E401", file.path)
    assert time.perf_counter() - start < 5


def test_what_is_asked_for_is_named(tmp_path):
    file = fastai_1(tmp_path)
    file.path.write_bytes(as_torch_zip(b"\x80\x02cposix\nsystem\n."))
    assert "asks for posix.system" in refused("E401", file.path)
    file = fastai_1(tmp_path)
    for program, named in [(b"cposix\nsystem\n.", "the name 'posix.system'"), (b"I1\n.", "the instruction INT"),
                           (useless(["a"])["a list with None"], "the instruction NONE"),
                           (useless(["a"])["a list of lists"], "the instruction EMPTY_LIST again"),
                           (useless(["a"])["a string"], "something else than strings")]:
        (tmp_path / "itos_wt103.pkl").write_bytes(program)
        assert named in refused("E401", file.path)


def test_weights_cut_short_anywhere_are_refused(tmp_path):
    for zipped in (True, False):
        file = fastai_1(tmp_path)
        torch.save(file.state, file.path, _use_new_zipfile_serialization=zipped)
        whole = file.path.read_bytes()
        for n in range(0, len(whole) - 1, len(whole) // 20):
            file.path.write_bytes(whole[:n])
            refused("E401", file.path)


def test_hdf5_is_told_from_the_h5_of_2018(tmp_path):
    file = fastai_07(tmp_path)
    file.path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5" in refused("E401", file.path)


def test_a_tensor_larger_than_its_file_is_not_believed(tmp_path):
    huge = torch.zeros(1).expand(1 << 30, 1 << 20)
    path = changed(fastai_1(tmp_path), **{"0.encoder.weight": huge, "1.decoder.weight": huge})
    assert path.stat().st_size < 100_000
    refused("E401", path)


@pytest.mark.parametrize("odd", [torch.zeros(40, 10, device="meta"), torch.zeros(40, 10).to_sparse(), [1.0], "text"])
def test_weights_that_are_no_plain_tensors_do_not_count(odd, tmp_path):
    assert "0.rnns.1.weight_hh_l0_raw" in refused(
        "E402", changed(fastai_1(tmp_path), **{"0.rnns.1.weight_hh_l0_raw": odd}))


def test_archives_go_through_the_checks_of_extract_archive(tmp_path):
    file = fastai_1(tmp_path / "m")
    with tarfile.open(tmp_path / "m.tgz", "w:gz") as tar:
        tar.add(file.path.parent, "m")
        tar.add(file.path, "../../escaped.pth")
    refused("E405", tmp_path / "m.tgz")
    (tmp_path / "m.tgz").write_bytes(b"no archive")
    refused("E405", tmp_path / "m.tgz")


def test_a_list_as_long_as_that_of_2018_is_read_in_seconds(tmp_path):
    words = [f"word{i}" for i in range(238_462)]
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(words, protocol=3))
    start = time.perf_counter()
    assert read_words(tmp_path / "itos.pkl") == words
    assert time.perf_counter() - start < 20


def test_a_word_list_of_any_size_is_not_read(tmp_path):
    with open(tmp_path / "itos.pkl", "wb") as f:
        f.truncate(1 << 40)  # it takes no room on the disk
    with pytest.raises(FileError, match="E401.*bytes"):
        read_words(tmp_path / "itos.pkl")


# --- a small file costs little ----------------------------------------------------------------------------------


def test_many_views_of_one_storage_are_not_many_weights(tmp_path):
    file = fastai_1(tmp_path)
    base = torch.zeros(100_000, dtype=torch.float16)
    changed(file, **{f"0.rnns.{i}.weight_hh_l0_raw": base[i:] for i in range(50)})
    assert "claim to be" in refused("E401", file.path)


def test_other_tensors_in_a_file_are_left_where_they_are(tmp_path):
    file = fastai_1(tmp_path)
    alone = load_foreign(file.path).weights
    changed(file, **{f"x{i}": torch.zeros(1000)[i:] for i in range(9)})
    found = load_foreign(file.path).weights
    assert found.keys() == alone.keys() and all(torch.equal(found[name], alone[name]) for name in alone)


@pytest.mark.parametrize("program", [b"\x80\x02]q\0(" + b"]" * 200_000 + b"e.",
                                     b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."])
@pytest.mark.parametrize("zipped", [True, False])
def test_programs_without_proportion_are_refused_at_once(program, zipped, tmp_path):
    file = fastai_1(tmp_path)
    file.path.write_bytes(as_torch_zip(program) if zipped else program)
    start = time.process_time()
    refused("E401", file.path)
    assert time.process_time() - start < 2


def test_compressed_weights_and_a_tower_of_layers_are_refused(tmp_path):
    file = fastai_1(tmp_path)
    torch.save(file.state, tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "raw") as a, zipfile.ZipFile(file.path, "w", zipfile.ZIP_DEFLATED) as b:
        for info in a.infolist():
            b.writestr(info.filename, a.read(info))
    assert "compressed" in refused("E401", file.path)
    tower = {f"0.rnns.{i}.weight_hh_l0_raw": torch.zeros(0) for i in range(200)}
    torch.save({**file.state, **tower}, file.path)
    refused("E402", file.path)


def test_weights_of_others_that_are_no_finite_numbers_are_refused(tmp_path):
    file = fastai_1(tmp_path)
    changed(file, **{"0.rnns.0.module.bias_ih_l0": file.state["0.rnns.0.module.bias_ih_l0"] * float("nan")})
    assert "bias_ih_l0" in refused("E402", file.path)
