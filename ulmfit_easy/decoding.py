"""Text files as strings. If the encoding is wrong, the error guesses the right one."""

import codecs
import re
from pathlib import Path

from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.files import regular_file


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Read a text file as a string. Errors as of `decoded`."""
    with regular_file(path) as f:
        return decoded(f.read(), path, encoding)


def decoded(data: bytes, path: str | Path, encoding: str = "utf-8") -> str:
    """Return the content of the file `path` as a string, without a byte-order mark.

    Raises:
        FileError: E403, with the byte and a guess of the encoding, if it is not in this one.
        ArgumentError: E602 for an encoding that Python does not know.
    """
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as e:
        raise FileError("E403", received=f"{path}, whose byte {e.start:,} is not {e.encoding}",
                        expected=f"{e.encoding} text",
                        fix=f'save it as UTF-8; pass encoding="{guess_encoding(data)}" if that is what it is') from e
    except (LookupError, UnicodeError) as e:  # the second: of one that cannot be used, such as punycode
        raise ArgumentError("E602", received=f"encoding={encoding!r}", expected="a text encoding that Python knows",
                            fix='leave out encoding= for UTF-8; pass a name such as encoding="cp1252"') from e


SCRIPTS = {  # encodings by what a text in them has much of: characters from, to, and their least share of all letters
    "cp932": ("\u3041", "\u30fa", 0.2), "euc_jp": ("\u3041", "\u30fa", 0.2),  # kana
    "cp949": ("\uac00", "\ud7a3", 0.85),  # Hangul
    "gb18030": ("\u4e00", "\u9fff", 0.5), "big5": ("\u4e00", "\u9fff", 0.5)}  # hanzi
SAMPLE = 1 << 16  # bytes, from the first that is not ASCII on
COMMON_HANZI = "\u7684\u4e00\u662f\u4e0d\u4e86\u6211\u4eba\u5728\u6709\u5f88"


def guess_encoding(data: bytes) -> str:
    """Guess an encoding by the byte-order mark or by the letters that the first 64 kB of other bytes than ASCII give.

    Bytes of one East Asian encoding are often valid in another one, so that the share of kana, Hangul or hanzi decides.
    Accents of a European text seldom stand side by side, as the two bytes of such a letter do.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if _text_of(data, "utf-8", final=True) is not None:
        return "utf-8"
    data = re.sub(rb"\A[\0-\x7f]+", b"", data)[:SAMPLE]
    texts = {encoding: text for encoding in (*SCRIPTS, "cp1252")
             if (text := _text_of(data, encoding)) is not None}
    n_high = sum(byte > 0x7f for byte in data)
    for encoding, (low, high, share) in SCRIPTS.items():
        letters = [c for c in texts.get(encoding, "") if c > "\x7f" and c.isalpha()]
        if letters and n_high > 1.4 * len(letters) and sum(low <= c <= high for c in letters) >= share * len(letters):
            if low != "\u4e00":
                return encoding
            return max(texts.keys() & {"gb18030", "big5"}, key=lambda e: (sum(map(texts[e].count, COMMON_HANZI)), e))
    return "cp1252" if "cp1252" in texts else "latin-1"


def _text_of(data: bytes, encoding: str, final: bool = False) -> str | None:
    """Return bytes as text, None if they are not in this encoding. Unless `final`, the last character may be cut."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, final)
    except UnicodeDecodeError:
        return None
