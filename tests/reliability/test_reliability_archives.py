"""No archive writes outside its folder, fills the disk or the memory, or passes for whole when it is not."""

import gzip
import io
import os
import random
import stat
import tarfile
import tracemalloc
import zipfile

import pytest
from faults import tally

from ulmfit_easy.archives import MAX_FILES, extract_archive
from ulmfit_easy.errors import FileError


def member(name, data=b"evil", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def tar_of(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for info, data in members:
            tar.addfile(info.replace(name=info.name.replace("{tmp}", str(path.parent)), deep=False), io.BytesIO(data))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, b"", type=kind, linkname=target)


def zip_of(path, *members, method=zipfile.ZIP_DEFLATED):
    """A zip of names, or `ZipInfo`s, with their bytes; names as they stand."""
    with zipfile.ZipFile(path, "w", method) as whole:
        for info, data in members:
            info = entry(info) if isinstance(info, str) else info
            info.compress_type = method
            info.filename = info.filename.replace("{tmp}", str(path.parent))
            whole.writestr(info, data)
    return path


def entry(name, kind=0, **attributes):
    info = zipfile.ZipInfo("x")
    info.filename, info.external_attr = name, kind << 16
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


# Each way out of a folder, as members of a tar ...
TARS = {
    "absolute": [member("{tmp}/escaped")],
    "..": [member("../escaped")],
    ".. deep inside": [member("a/b/../../../escaped")],
    ".. that comes back": [member("a/../../out/escaped")],
    ".. after a good file": [member("good"), member("../escaped")],
    "a folder outside": [member("../folder", b"", type=tarfile.DIRTYPE)],
    "backslashes": [member("..\\escaped")],
    "a drive": [member("C:/escaped")],
    "a drive with backslashes": [member("C:\\escaped")],
    "a share": [member("\\\\host\\share\\escaped")],
    "a stream of a file": [member("a.txt:stream")],
    "dots that Windows drops": [member(".. /escaped")],
    "a link out": [link("link", "..")],
    "a link, then a write through it": [link("link", ".."), member("link/escaped")],
    "a link to a file, then a write": [link("link", "../victim"), member("link", b"evil")],
    "a link inside": [member("a"), link("b", "a")],
    "a hard link out": [link("hard", "../victim", tarfile.LNKTYPE)],
    "a hard link out, then a write": [link("hard", "../victim", tarfile.LNKTYPE), member("hard", b"evil")],
    "a hard link inside": [member("a"), link("b", "a", tarfile.LNKTYPE)],
    "a device": [member("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "a block device": [member("disk", b"", type=tarfile.BLKTYPE)],
    "a pipe": [member("pipe", b"", type=tarfile.FIFOTYPE)],
    "a file twice": [member("a", b"one"), member("a", b"two")],
    "a file twice, once with a dot": [member("a", b"one"), member("./a", b"two")],
    "names that differ in case": [member("d/a", b"one"), member("D/A", b"two")],
    "names that differ in their accents' way": [member("caf\u00e9", b"one"), member("cafe\u0301", b"two")],
    "a file as a folder": [member("a"), member("a/b")],
    "a folder as a file": [member("a", b"", type=tarfile.DIRTYPE), member("a")],
    "a name that is too long": [member("a" * 5000)],
    "folders that are too deep": [member("a/" * 101 + "b")],
    "a name without end": [member("a/" * 5000 + "b")],
    "a file in the place of the folder": [member(".")],
    "a name with a null": [member("a\0b", pax_headers={"path": "a\0b"})],
    "a name that steers a terminal": [member("a\x1b[31mb")],
    "more than there may be": [member("zeros", b"\0" * 200_000)],
    "many that are more together": [member(f"{i}", b"\0" * 3000) for i in range(40)],
    "too many": [member(f"{i}", b"") for i in range(60)],
    "too many folders": [member(f"{i}", b"", type=tarfile.DIRTYPE) for i in range(60)],
}
# ... and as those of a zip.
ZIPS = {
    "absolute": [("{tmp}/escaped", b"evil")],
    "..": [("../escaped", b"evil")],
    ".. after a good file": [("good", b"1"), ("a/../../escaped", b"evil")],
    "a folder outside": [("../folder/", b"")],
    "backslashes": [("..\\escaped", b"evil")],
    "a drive": [("C:\\escaped", b"evil")],
    "a link out": [(entry("link", stat.S_IFLNK | 0o777), b"..")],
    "a link, then a write through it": [(entry("link", stat.S_IFLNK | 0o777), b".."), ("link/escaped", b"evil")],
    "a device": [(entry("null", stat.S_IFCHR | 0o666), b"")],
    "a pipe": [(entry("pipe", stat.S_IFIFO | 0o666), b"")],
    "a file twice": [("a", b"one"), ("a", b"two")],
    "names that differ in case": [("a", b"one"), ("A", b"two")],
    "a file as a folder": [("a", b"1"), ("a/b", b"2")],
    "folders that grow too deep": [("a/" * k, b"") for k in range(300, 1801, 300)],
    "more than there may be": [("zeros", b"\0" * 200_000)],
    "many that are more together": [(f"{i}", b"\0" * 3000) for i in range(40)],
    "too many": [(f"{i}", b"") for i in range(60)],
}


def outside(tmp_path):
    return {p.name: p.read_bytes() if p.is_file() else None for p in tmp_path.iterdir() if p.name != "evil"}


def escapes(tmp_path, archive, **limits) -> bool:
    """Whether an archive is not refused as a whole, or anything beside it has changed."""
    before = outside(tmp_path)
    try:
        extract_archive(archive, tmp_path / "out", **limits or {"max_bytes": 100_000, "max_files": 50})
    except FileError as e:
        return e.code != "E405" or outside(tmp_path) != before
    return True


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused_whole(tmp_path):
    (tmp_path / "victim").write_bytes(b"mine")
    evil, broke = tmp_path / "evil", []
    for name, members in TARS.items():
        for mode in ("w", "w:gz"):
            broke += [(name, mode)] * escapes(tmp_path, tar_of(evil, *members, mode=mode))
    for name, members in ZIPS.items():
        broke += [(name, "zip")] * escapes(tmp_path, zip_of(evil, *members))
    assert not broke
    tally("S6", "hostile tar and zip files", 2 * len(TARS) + len(ZIPS), len(broke), "tried", "wrote outside")


def test_the_check_above_sees_an_archive_that_escapes(tmp_path):
    (tmp_path / "victim").write_bytes(b"mine")
    evil = tar_of(tmp_path / "evil", *TARS["a link, then a write through it"])

    def believing(archive, dest, **_):
        dest.mkdir()
        with tarfile.open(archive) as tar:
            tar.extractall(dest, filter="fully_trusted")
        raise FileError("E405", received="", expected="", fix="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "extract_archive", believing)
        assert escapes(tmp_path, evil) and (tmp_path / "escaped").exists()


def raw_header(name=b"a", size=b"%011o\0" % 0, kind=b"0") -> bytes:
    """The header of a tar, with any size field."""
    info = tarfile.TarInfo(name.decode())
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size.ljust(12, b"\0"), kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def huge(n: int) -> bytes:
    """A size in the base-256 form, which may be negative."""
    return b"\x80" + n.to_bytes(11, "big") if n >= 0 else b"\xff" + (256**11 + n).to_bytes(11, "big")


END = bytes(1024)
SIZES = {
    "a file of 8 exabytes": raw_header(size=huge(1 << 63)) + END,
    "a file of a negative size": raw_header(size=huge(-1000)) + raw_header(b"b", huge(-1000)) + END,
    "a long name of 8 exabytes": raw_header(size=huge(1 << 63), kind=b"L") + END,
    "a long name of a negative size": raw_header(size=huge(-512), kind=b"L") + raw_header() + END,
    "attributes of 8 exabytes": raw_header(size=huge(1 << 63), kind=b"x") + END,
    "attributes of a negative size": raw_header(size=huge(-512), kind=b"x") + raw_header() + END,
    "attributes of attributes of attributes": raw_header(size=b"%011o\0" % 0, kind=b"g") * 5000 + END,
    "attributes of 300 MB, zipped": raw_header(size=huge(300 << 20), kind=b"x") + bytes(300 << 20) + END,
    "300 MB behind the end": raw_header() + END + bytes(300 << 20),
}


@pytest.mark.timeout(120)
def test_sizes_that_lie_cost_neither_memory_nor_time(tmp_path):
    broke, most = [], 0
    for name, data in SIZES.items():
        (tmp_path / "evil").write_bytes(gzip.compress(data, 1))
        tracemalloc.start()
        broke += [name] * escapes(tmp_path, tmp_path / "evil")
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert not broke and most < 16 << 20
    tally("S6", "tar headers that lie about sizes", len(SIZES), len(broke), "tried", "believed")


def bombs(path, big: int):
    """Small files that grow, by the limits of the default."""
    yield "a tar that is all zeros", lambda: tar_of(path, member("zeros", bytes(big)), mode="w:gz")
    yield "bz2", lambda: tar_of(path, member("zeros", bytes(big)), mode="w:bz2")
    yield "xz", lambda: tar_of(path, member("zeros", bytes(big)), mode="w:xz")
    yield "a zip of many", lambda: zip_of(path, *[(f"{i}", bytes(big // 8)) for i in range(9)])


@pytest.mark.parametrize("big", [pytest.param(70 << 20, id="70 MB")])
def test_bombs_are_refused_by_default(tmp_path, big):
    broke = []
    for name, make in bombs(tmp_path / "evil", big):
        archive = make()
        assert archive.stat().st_size < big // 100
        broke += [name] * escapes(tmp_path, archive, max_files=MAX_FILES)
    tally("S6", "bombs of 70 MB in less than 700 kB", 4, len(broke), "tried", "extracted")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_names_are_refused(tmp_path):
    header = bytearray(raw_header(b"0000000"))
    blank = sum(header) - 7 * ord("0") - sum(header[148:156]) + 8 * ord(" ")
    with gzip.open(tmp_path / "evil", "wb", 1) as f:
        for i in range(1_000_000):
            name = b"%07d" % i
            header[:7], header[148:156] = name, b"%06o\0 " % (blank + sum(name))
            f.write(header)
        f.write(END)
    broke = escapes(tmp_path, tmp_path / "evil", max_files=MAX_FILES)
    tally("S6", "a tar of 1,000,000 names", 1, int(broke), "tried", "extracted")


def content(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["tar", "gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize("n", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_broken_archive_is_refused_and_what_was_there_stays(place, kind, n):
    rng, evil, out = random.Random(0), place / "evil", place / "out"
    files = [(f"f{i}", bytes(rng.choices(range(9), k=3000))) for i in range(9)]
    if kind == "zip":
        zip_of(evil, *files)
    else:
        tar_of(evil, *[member(*file) for file in files], mode="w" if kind == "tar" else f"w:{kind}")
    data = evil.read_bytes()
    extract_archive(evil, out)
    good = content(out)
    assert good == dict(files)
    cuts = [data[:i] for i in rng.sample(range(len(data) - 1), n)]
    if kind == "tar":
        cuts += [data[:end] for end in range(3584, len(files) * 3584 + 1, 3584)]  # between two members
    flips = []
    for i in rng.sample(range(len(data)), n) if kind != "tar" else ():  # a tar alone has no checksum of its files
        flips.append(data[:i] + bytes([data[i] ^ 1 << rng.randrange(8)]) + data[i + 1:])
    accepted, refused = 0, 0
    for bad in [*cuts, *flips, b"", b"no archive at all", gzip.compress(b"no archive either"), b"PK\x03\x04"]:
        evil.write_bytes(bad)
        try:
            extract_archive(evil, out)
        except FileError as e:
            refused += e.code == "E405"
        accepted += content(out) != good
    assert refused >= len(cuts) / 2  # what is cut off may be padding behind the end
    tally("S6", f"{kind} files, cut or with one bit flipped", len(cuts) + len(flips) + 4, accepted, "tried", "accepted")


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_a_good_archive_is_extracted_whatever_its_name(tmp_path, kind):
    place = tmp_path / "good"
    if kind == "zip":
        zip_of(place, ("d/", b""), (entry("d/a", stat.S_IFREG | 0o755), b"1"), ("./e/f/b", b"2"))
    else:
        tar_of(place, member("d", b"", type=tarfile.DIRTYPE), member("d/a", b"1", mode=0o6777),
               member("./e/f/b", b"2"), mode=kind)
    assert extract_archive(place, tmp_path / "out") == tmp_path / "out"
    assert content(tmp_path / "out") == {"d/a": b"1", "e/f/b": b"2"}
    assert not (tmp_path / "out/d/a").stat().st_mode & 0o7111  # no file runs, and none as another user
    assert sorted(os.listdir(tmp_path)) == ["good", "out"]
    with pytest.raises(FileError, match="E404"):
        extract_archive(tmp_path / "none.tar", tmp_path / "out")
    with pytest.raises(OSError):
        extract_archive(tmp_path, tmp_path / "out")


def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path, monkeypatch):
    import errno

    archive = tar_of(tmp_path / "good", member("a", b"1" * 10_000))

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("ulmfit_easy.archives.shutil.copyfileobj", full)
    with pytest.raises(FileError, match="E409"):
        extract_archive(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["good"]
