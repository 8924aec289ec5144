"""What is fetched is the right file, whole, or it is not there: against a server on this machine that misbehaves."""

import gzip
import hashlib
import os
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faults import tally

import ulmfit_easy
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.fastai.downloads import OFFLINE, TRIES, download
from ulmfit_easy.fastai.untar import untar_data

DATA = random.Random(0).randbytes(200_000)
SHA = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives DATA, after it has done what `script` says for the first requests, one function of the handler each."""

    daemon_threads = True
    script, ranges = (), True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.sent = [], 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data.bin"

    def play(self, *script, ranges=True):
        self.script, self.ranges, self.asked, self.sent = list(script), ranges, [], 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        self.close_connection = True
        (self.server.script.pop(0) if self.server.script else whole)(self)


def start_of(h) -> int:
    """The byte that the client wants to go on from."""
    wanted = h.headers.get("Range") if h.server.ranges else None
    return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0


def answer(h, body, code=200, length=None, **headers):
    h.send_response(code)
    h.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        h.send_header(name.replace("_", "-"), value)
    h.end_headers()
    h.server.sent += len(body)  # before the bytes: the client may end its test before this thread goes on
    h.wfile.write(body)
    h.wfile.flush()


def whole(h, data=DATA, n=None):
    """What is asked for, or only the first `n` bytes of it before the line goes dead."""
    start = start_of(h)
    if start and start >= len(data):
        return answer(h, b"", 416, Content_Range=f"bytes */{len(data)}")
    headers = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
    answer(h, data[start:][:n], 206 if start else 200, len(data) - start, **headers)


def cut(n):
    return lambda h: whole(h, n=n)


def other(data):
    return lambda h: whole(h, data)


def status(code, **headers):
    return lambda h: answer(h, b"<html>no</html>", code, **headers)


def chunked(data, end=True):
    def send(h):
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if end else b""))
    return send


def stalls(h):
    whole(h, n=1000)
    h.server.released.wait(20)


def endless(h):
    h.send_response(200)
    h.end_headers()
    for _ in range(100_000):
        try:
            h.wfile.write(bytes(10_000))
        except OSError:
            break
        h.server.sent += 10_000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("ulmfit_easy.fastai.downloads.WAIT", 0.0)
    monkeypatch.delenv(OFFLINE, raising=False)
    with Server() as server:
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


def got(server, dest, **options) -> str:
    """"whole", the code of an error, or "wrong" where the file is there and is another."""
    try:
        download(server.url, dest, SHA, **options)
    except FileError as e:
        return "wrong" if dest.exists() else e.code
    return "whole" if dest.read_bytes() == DATA else "wrong"


@pytest.mark.parametrize("n", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_a_cut_connection_is_gone_on_with_where_it_ended(server, tmp_path, n):
    wrong = 0
    offsets = sorted({0, 1, len(DATA) - 1, *random.Random(n).sample(range(2, len(DATA) - 1), n - 3)})
    for at in offsets:
        server.play(cut(at))
        wrong += got(server, tmp_path / f"{at}") != "whole"
        assert server.sent == len(DATA) and server.asked == [None, f"bytes={at}-" if at else None]
    assert sorted(os.listdir(tmp_path)) == sorted(map(str, offsets))  # no .part, no lock
    tally("S7", "downloads cut at an offset, resumed", len(offsets), wrong, "tried", "accepted wrong")


@pytest.mark.parametrize("n", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_server_that_cannot_go_on_sends_all_again(server, tmp_path, n):
    wrong = 0
    offsets = random.Random(n).sample(range(1, len(DATA)), n)
    for at in offsets:
        server.play(cut(at), ranges=False)
        wrong += got(server, tmp_path / f"{at}") != "whole"
    tally("S7", "downloads cut, from a server without ranges", len(offsets), wrong, "tried", "accepted wrong")


WRONG = {  # what comes -> what is made of it
    "one bit": ([other(bytes([DATA[0] ^ 1]) + DATA[1:])], "E406"),
    "the last byte": ([other(DATA[:-1] + bytes([DATA[-1] ^ 128]))], "E406"),
    "less, by its own word": ([other(DATA[:-1])], "E406"),
    "more": ([other(DATA + b"x")], "E406"),
    "nothing": ([other(b"")], "E406"),
    "a page that says no, with 200": ([status(200)], "E406"),
    "the same, compressed": ([lambda h: answer(h, gzip.compress(DATA), Content_Encoding="gzip")], "E406"),
    "in chunks": ([chunked(DATA)], "whole"),
    "in chunks without an end": ([chunked(DATA[:1000], end=False)] * TRIES, "E410"),
    "without an end": ([endless], "E410"),
    "another file after a cut": ([cut(5000), other(b"x" * 300_000)], "whole"),  # the third request starts anew
    "another file after a cut, always": ([cut(5000), other(b"x" * 300_000), other(b"x" * 300_000)], "E406"),
    "another part": ([cut(5000), lambda h: answer(h, DATA[9:], 206, Content_Range="bytes 9-199999/200000")], "whole"),
    "a part without its place": ([cut(5000), lambda h: answer(h, DATA[5000:], 206)], "whole"),
    "parts of parts": ([cut(50), lambda h: answer(h, DATA[50:99], 206, Content_Range="bytes 50-98/200000")], "whole"),
    "404": ([status(404)], "E410"),
    "403": ([status(403)], "E410"),
    "500": ([status(500)] * TRIES, "E410"),
    "500, then right": ([status(500)] * (TRIES - 1), "whole"),
    "a dead line": ([lambda h: None] * TRIES, "E410"),
    "a cut each time": ([cut(10)] * TRIES, "E410"),
    "a redirection without end": ([lambda h: answer(h, b"", 302, Location=h.server.url)] * 50, "E410"),
    "a redirection to nowhere": ([status(302)], "E410"),
    "a redirection to other bytes": ([lambda h: answer(h, b"", 302, Location="/other"), other(b"x")], "E406"),
    "a redirection to the right ones": ([lambda h: answer(h, b"", 301, Location="/other")], "whole"),
    "a redirection to http": ([lambda h: answer(h, b"", 302, Location="http://192.0.2.1/data.bin")], "E410"),
    "a redirection to a file": ([lambda h: answer(h, b"", 302, Location="file:///etc/hostname")], "E410"),
    "a redirection to ftp": ([lambda h: answer(h, b"", 302, Location="ftp://127.0.0.1/data.bin")], "E410"),
}


def test_wrong_bytes_and_refusals_never_become_the_file(server, tmp_path):
    found = {}
    for i, (name, (script, _)) in enumerate(WRONG.items()):
        server.play(*script)
        found[name] = got(server, tmp_path / f"{i}", max_bytes=1_000_000)
        assert server.sent < 20_000_000
    assert found == {name: expected for name, (_, expected) in WRONG.items()}
    wrong = sum(result == "wrong" for result in found.values())
    tally("S7", "wrong bytes, refusals and redirections", len(WRONG), wrong, "tried", "accepted wrong")


def test_a_slow_server_is_left_and_asked_again(server, tmp_path):
    server.play(stalls, stalls)
    found = [got(server, tmp_path / "a", timeout=0.3)]
    server.play(*[stalls] * TRIES)
    found += [got(server, tmp_path / "b", timeout=0.3)]
    assert server.asked[1:] == [f"bytes={1000 * n}-" for n in range(1, TRIES)]
    server.play()
    found += [got(server, tmp_path / "b")]
    assert server.asked == [f"bytes={1000 * TRIES}-"] and found == ["whole", "E410", "whole"]
    tally("S7", "servers that stall", len(found), found.count("wrong"), "tried", "accepted wrong")


def test_what_an_older_call_left_is_used_or_thrown_away(server, tmp_path):
    part = tmp_path / f".data.{SHA[:12]}.part"
    kept = {"the beginning": DATA[:777], "nothing": b"", "of another file": b"x" * 777, "all of it": DATA,
            "more than all": DATA + b"x", "as much, but another": b"x" * len(DATA)}
    wrong = 0
    for content in kept.values():
        server.play()
        part.write_bytes(content)
        wrong += got(server, tmp_path / "data") != "whole"
        (tmp_path / "data").unlink()
    assert not os.listdir(tmp_path)
    tally("S7", "parts that an older call left", len(kept), wrong, "tried", "accepted wrong")


def test_a_file_that_is_there_is_checked_and_never_replaced(server, tmp_path):
    server.play()
    (tmp_path / "data").write_bytes(b"mine")
    with pytest.raises(FileError, match="E406"):
        download(server.url, tmp_path / "data", SHA)
    assert (tmp_path / "data").read_bytes() == b"mine"
    (tmp_path / "data").write_bytes(DATA)
    assert download(server.url, tmp_path / "data", SHA.upper()) == tmp_path / "data" and not server.asked
    with pytest.raises(ArgumentError, match="E602"):
        download(server.url, tmp_path / "new", "d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize("url", ["http://192.0.2.1/a", "http://localhost.example/a", "http://127.0.0.1.example/a",
                                 "http://a@192.0.2.1/a", "file:///etc/hostname", "ftp://127.0.0.1/a", "//x/a", "a", ""])
def test_other_addresses_are_not_asked(url, tmp_path):
    with pytest.raises(FileError, match="E410.*https://"):
        download(url, tmp_path / "a", SHA)
    assert not (tmp_path / "a").exists()


def test_no_secret_of_an_address_is_in_a_message(tmp_path):
    with pytest.raises(FileError) as e:
        download("http://me:hunter2@192.0.2.1/a?token=hunter2", tmp_path / "a", SHA)
    assert "hunter2" not in str(e.value) and "192.0.2.1/a" in str(e.value)


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_means_offline(server, tmp_path, monkeypatch, value):
    monkeypatch.setenv(OFFLINE, value)
    with pytest.raises(FileError, match=f"E410.*{OFFLINE}.*put the file at .*data"):
        download(server.url, tmp_path / "data", SHA)
    assert not server.asked and not os.listdir(tmp_path)
    (tmp_path / "data").write_bytes(DATA)
    assert download(server.url, tmp_path / "data", SHA)


def test_several_that_want_one_file_take_turns(server, tmp_path):
    server.play(stalls)
    answers, dest = [], tmp_path / "data"
    threads = [threading.Thread(target=lambda: answers.append(got(server, dest, timeout=0.3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["whole"] * 4 and server.asked == [None, "bytes=1000-"] and os.listdir(tmp_path) == ["data"]


def test_untar_data_fetches_what_it_has_the_hash_of(server, tmp_path, monkeypatch):
    import io
    import tarfile

    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "fastai"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("imdb_sample/texts.csv")
        info.size = 11
        tar.addfile(info, io.BytesIO(b"text,label\n"))
    data = packed.getvalue()
    server.play(*[other(data)] * 3)
    url = server.url.replace("data.bin", "imdb_sample.tgz")
    with pytest.raises(FileError, match="E404.*sha256="):
        untar_data(url, base=tmp_path)
    with pytest.raises(FileError, match="E406"):
        untar_data(url, base=tmp_path, sha256="0" * 64)
    assert len(server.asked) == 1
    found = untar_data(url, base=tmp_path, sha256=hashlib.sha256(data).hexdigest())
    assert found == tmp_path / "data/imdb_sample/imdb_sample" and (found / "texts.csv").exists()
    assert untar_data(url, base=tmp_path) == found and len(server.asked) == 2


IMPORTS = """
import socket, importlib, pkgutil
def no(*_, **__): raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = no
import ulmfit_easy.all
for module in pkgutil.walk_packages(ulmfit_easy.__path__, "ulmfit_easy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("imported")
"""


def test_no_import_asks_the_network():
    run = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=250)
    assert run.stdout == "imported\n", run.stdout + run.stderr


def test_the_network_is_used_in_three_modules():
    names = ("urllib.request", "http.client", "requests", "socket", "urlretrieve", "torch.hub", "huggingface_hub")
    users = {p.name for p in Path(ulmfit_easy.__file__).parent.rglob("*.py") for text in [p.read_text(encoding="utf-8")]
             if any(f"import {name}" in text or f'package("{name}' in text for name in names)}
    assert users == {"downloads.py", "hub.py", "serve.py"}  # the last one listens
