"""Files from the network: whole and the right ones, or not there at all. Nothing is fetched unless it is asked for.

The package `pooch` checks hashes too, but neither continues with half a file, nor bounds its size, nor keeps to https.
"""

import errno
import http.client
import ipaddress
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import atomic_path, check_sha256, sha256_file
from ulmfit_easy.places import file_place
from ulmfit_easy.schema import such, takes, text

OFFLINE = "ULMFIT_EASY_OFFLINE"  # an environment variable; set to anything but 0 it forbids the network
TRIES, WAIT = 5, 1.0  # connections for one call; seconds before the second, doubled for each one after
CHUNK = 1 << 16
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BUSY = {408, 425, 429, 500, 502, 503, 504}  # answers of a server that may do better later


@takes({"sha256": such(text, partial(re.fullmatch, "[0-9a-fA-F]{64}"), "64 hexadecimal digits, as of sha256sum")})
def download(url: str, dest: str | Path, sha256: str, *, max_bytes: int = 4 << 30, timeout: float = 30.0) -> Path:
    """Download a file to `dest`, and check its SHA-256. A file that is already there is not downloaded again.

    After a broken connection the next call continues where the last one ended: the part is kept next to `dest` in the
    hidden file `.<name>.<hash>.part`. `dest` appears only when the whole file has the right checksum. Two processes
    that download one file take turns.

    Args:
        url: an address with https. http is allowed from this machine only (`localhost`, `127.0.0.1`). Both hold for
            redirects too.
        dest: the path of the file. Its folder is created.
        sha256: the checksum of the whole file, 64 hexadecimal digits.
        max_bytes: the largest size that is accepted, by default 4 GiB.
        timeout: a connection is broken after that many seconds without data.

    Raises:
        FileError: E406 if the file has another SHA-256. E410 if the address is not allowed, if the server does not
            answer or has no such file, or if `ULMFIT_EASY_OFFLINE` is set. E411 if `dest` is a folder or cannot be
            written to.
    """
    from filelock import FileLock

    dest, sha256 = Path(dest), sha256.lower()
    if dest.is_file():
        return check_sha256(dest, sha256)
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise _failed(url, f"was not asked: {OFFLINE} is set", f"put the file at {dest}, or unset {OFFLINE}")
    part = file_place(dest).with_name(f".{dest.name}.{sha256[:12]}.part")
    lock = part.with_suffix(".lock")
    with FileLock(lock):
        if not dest.exists():  # else another process was faster
            _fetch(url, part, sha256, max_bytes, timeout)
            with atomic_path(dest) as tmp:
                os.replace(part, tmp)
    with suppress(OSError):
        lock.unlink()  # whoever still waits for it finds `dest`
    return check_sha256(dest, sha256)


def _fetch(url: str, part: Path, sha256: str, max_bytes: int, timeout: float) -> None:
    """Fill `part`. Once more from nothing if it was put together from several answers, of which one was of another."""
    for _ in range(2):
        is_joined = _receive_all(url, part, max_bytes, timeout)
        if (found := sha256_file(part)) == sha256:
            return
        part.unlink()
        if not is_joined:
            break
    raise FileError("E406", received=f"{_shown(url)} with SHA-256 {found}", expected=f"SHA-256 {sha256}",
                    fix="check the address and the hash; nothing was kept")


def _receive_all(url: str, part: Path, max_bytes: int, timeout: float) -> bool:
    """Receive what `part` lacks, in several connections if need be. Return True if it was joined to what was there."""
    for n in range(TRIES):
        time.sleep(WAIT * 2 ** (n - 1) if n else 0)
        try:
            return _receive(url, part, max_bytes, timeout)
        except urllib.error.HTTPError as e:
            e.close()
            why = f"answered {e.code} {http.client.responses.get(e.code, '')}".strip()
            if e.code not in BUSY:
                raise _failed(url, why) from None
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as e:
            why = f"did not give all of it ({getattr(e, 'reason', None) or e or type(e).__name__})"
        except OSError as e:
            if e.errno not in FULL:
                raise
            raise FileError("E409", received=f"{part} ({e.strerror})", expected="room for all of it",
                            fix="free some space and call again: what has come is kept") from e
    raise _failed(url, f"{why}, {TRIES} times", "try again later: what has come is kept")


def _receive(url: str, part: Path, max_bytes: int, timeout: float) -> bool:
    """Receive from one connection, which may end too early (ConnectionError). Return True if it continued `part`."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "ulmfit_easy", "Accept-Encoding": "identity"} | (
        {"Range": f"bytes={have}-"} if have else {})
    try:
        answer = _opener(url).open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as e:
        if e.code == 416 and have:  # it has no more bytes than we have: the hash will tell
            e.close()
            return True
        raise
    with answer:
        resumes = re.fullmatch(rf"bytes {have}-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status == 206 and not resumes:
            part.unlink(missing_ok=True)
            raise ConnectionError("it sent another part than it was asked for")
        total = int(resumes[1]) if resumes else answer.length  # None where the server does not tell
        got = have if resumes else 0
        with open(part, "ab" if resumes else "wb") as out:
            while got <= max_bytes and (chunk := answer.read1(CHUNK)):
                out.write(chunk)
                got += len(chunk)
    if max(got, total or 0) > max_bytes:
        part.unlink()
        raise _failed(url, f"has more than {max_bytes:,} bytes", "pass a larger max_bytes if that is right")
    if total is not None and got < total:
        raise ConnectionError(f"it ended after {got:,} of {total:,} bytes")
    return bool(resumes)


def _opener(url: str) -> urllib.request.OpenerDirector:
    _check_address(url, came_from=url)
    direct = [urllib.request.ProxyHandler({})] if _is_this_machine(url) else []
    return urllib.request.build_opener(_Redirects(), *direct)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections, to addresses that are allowed."""

    max_redirections = 5

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage,
                         newurl: str) -> urllib.request.Request | None:
        _check_address(newurl, came_from=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(url: str, came_from: str) -> None:
    is_https = urlsplit(url).scheme == "https" and urlsplit(url).hostname
    if not is_https and not (urlsplit(url).scheme == "http" and _is_this_machine(url) and _is_this_machine(came_from)):
        raise _failed(came_from, "was not asked" if url == came_from else f"leads to {_shown(url)}",
                      "give an address that begins with https://")


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _shown(url: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _failed(url: str, why: str, fix: str = "check the address") -> FileError:
    return FileError("E410", received=f"{_shown(url)}, which {why}", expected="a file that can be fetched", fix=fix)
