"""Text rules: linear in the length of whatever comes, the classic output, and no way in for a control token."""

import os
import random
import re
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path

import pytest
from faults import tally
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import TextError
from ulmfit_easy.text import rules
from ulmfit_easy.text.rules import DEFAULT_RULES, neutralize, replace_space
from ulmfit_easy.text.special import FAKE, SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Numericalize, Vocab, detokenize
from ulmfit_easy.text.words import BaseTokenizer, _Chunks

SLOW = pytest.mark.slow
EVERY_RULE = [neutralize, *DEFAULT_RULES, replace_space]
FAMILIES = {
    "capitals": "A", "DNA": "ACGT", "repeated letter": "x", "repeated word": "a ", "two words": "a b ",
    "double spaces": "a  b ", "spaces": " ", "newlines": "\n", "open entities": "&#1", "entities": "&amp;",
    "named entities": "&eacute", "ampersands": "&", "one long word": "abcdefghij", "mixed case": "aB",
    "digits": "1234567890", "zeros": "0", "capital words": "A B ", "marks": "!?", "slashes": "/#\\",
    "control tokens": "xxpad", "unknown words": "<unk> "}


def seconds(call, text, least=0.004) -> float:
    """Processor time of one call, the better of two rounds, each of as many calls as can be measured."""
    start = time.process_time()
    call(text)
    n = 1 + int(least / max(1e-6, time.process_time() - start))
    rounds = []
    for _ in range(2):
        start = time.process_time()
        for _ in range(n):
            call(text)
        rounds.append((time.process_time() - start) / n)
    return min(rounds)


def worst_ratio(call, piece: str, sizes, tries=4) -> float:
    """The largest time(2n) / time(n); what looks too large is measured anew, since the machine has other work too."""
    def text(n):
        return (piece * (n // len(piece) + 1))[:n - 1] + "x"
    worst = 0.0
    for n in sizes:
        ratios = []
        while (not ratios or min(ratios) > LINEAR) and len(ratios) < tries:
            ratios.append(seconds(call, text(2 * n)) / seconds(call, text(n)))
        worst = max(worst, min(ratios))
    return worst


LINEAR = 2.6
SIZES = [pytest.param((8_000,), id="16k"), pytest.param((50_000, 100_000, 200_000), id="400k", marks=SLOW)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.__name__)
def test_each_rule_takes_twice_the_time_for_twice_the_text(rule, sizes):
    ratios = {name: worst_ratio(rule, piece, sizes) for name, piece in FAMILIES.items()}
    over = {name: ratio for name, ratio in ratios.items() if ratio > LINEAR}
    print(f"{rule.__name__}: largest ratio {max(ratios.values()):.2f}", over or "")
    tally("T1", f"{rule.__name__}: hostile families, time(2n) / time(n)", len(ratios), len(over), "families",
          "over 2.6")


def test_the_measure_sees_a_quadratic_rule():
    def classic_caps(text):  # its two halves can share any word of capitals between them
        return re.sub(r"(?:^|\s)[A-Z]+[^a-z\s]*(?=\s|$)", "", text)
    assert worst_ratio(classic_caps, "ACGT", (1_000,), tries=1) > LINEAR


HOSTILE_WORDS = {"brackets": "([", "quotes": "\"'", "currencies": "$\u20ac", "smileys": ":)", "addresses": "http://a.b/",
                 "dots": ".,", "DNA": "ACGT", "units": "1km", "mails": "a@b.c", "possessives": "'s", "hyphens": "-a"}


@pytest.mark.parametrize("n", [6_000, pytest.param(15_000, marks=SLOW)])
def test_spacys_rules_take_twice_the_time_for_twice_the_text_without_a_blank(n):
    def tokenize(text):
        chunks.clear()
        chunks.tokens(text)

    def varied(piece):  # so that no part comes twice
        rng = random.Random(0)
        return "".join(piece + rng.choice("abcdefgh") * (rng.random() < 0.02) for _ in range(2 * n // len(piece)))
    chunks, over = _Chunks("en", SPECIAL_TOKENS), {}
    for name, piece in HOSTILE_WORDS.items():
        text = varied(piece)
        ratio = min(seconds(tokenize, text[:2 * n]) / seconds(tokenize, text[:n]) for _ in range(2))
        over |= {name: ratio} if ratio > LINEAR else {}
    print(over)
    tally("T1", "words without an end through spaCy's rules, time(2n) / time(n)", len(HOSTILE_WORDS), len(over),
          "families", "over 2.6")


def sentences(rng, n):
    words = "the a film was NOT good AND Oslo I it's don't U.S. 3.5 10/10 e.g. well-known hmmm no wait... Ok :-) e-mail"
    words = [*words.split(), "l'été", "naïve", "Ünder", "ÉTÉ", "&amp;", "&quot;hi&quot;", "<br />", "#1", "a/b", "\\n",
             "sooooo", "yes yes yes yes", "!!!!", "  ", "\n", "@.@", " @-@ ", "\u200b", "😀", "中文"]
    return [" ".join(rng.choices(words, k=rng.randint(1, 20))) for _ in range(n)]


def fuzz(rng, n):
    letters = "aabAB xX&#;19.,!\n\t/\\<>'é\u3000"
    return ["".join(rng.choices(letters, k=rng.randint(0, 30))) for _ in range(n)]


def plain_rep(t):
    """Character by character: a run of three or more is counted."""
    out, i = [], 0
    while i < len(t):
        j = i
        while j < len(t) and t[j] == t[i]:
            j += 1
        out.append(f" xxrep {j - i} {t[i]} " if j - i > 2 and not t[i].isspace() else t[i:j])
        i = j
    return "".join(out)


def plain_case(t, upper):
    """Word by word, where only ASCII capitals and small letters count."""
    def word(w):
        low, up = re.search("[a-z]", w[1:]), re.search("[A-Z]", w[1:])
        if not w or not "A" <= w[0] <= "Z" or (low if upper else up):
            return w
        return (("xxup " if upper else "xxmaj ") if len(w) > 1 else "") + w.lower()
    return "".join(w if not w or w.isspace() else word(w) for w in re.split(r"(\s+)", t))


PLAIN = {"replace_rep": plain_rep, "replace_all_caps": lambda t: plain_case(t, True),
         "replace_maj": lambda t: plain_case(t, False),
         "spec_add_spaces": lambda t: "".join(f" {c} " if c in "/#\\" else c for c in t),
         "rm_useless_spaces": lambda t: "".join(c for i, c in enumerate(t) if c != " " or t[i - 1:i] != " "),
         "lowercase": lambda t: "xxbos " + t.lower().strip(), "replace_space": lambda t: "▁".join(t.split(" "))}


@pytest.mark.parametrize("n", [400, pytest.param(10_000, marks=SLOW)])
@pytest.mark.parametrize("name", PLAIN)
def test_each_rule_gives_what_a_slow_and_plain_reading_of_it_gives(name, n):
    rng = random.Random(1)
    texts = sentences(rng, n) + fuzz(rng, 4 * n)
    differ = sum(getattr(rules, name)(text) != PLAIN[name](text) for text in texts)
    tally("T2", f"{name} beside a plain reading of it", len(texts), differ, "texts", "different")


# --- T3: one text of many -----------------------------------------------------------------------------------------

def test_poisonous_rows_are_reported_and_the_others_tokenized():
    def rule(text):
        return text if "boom" not in text else 1 / 0
    poison = [None, float("nan"), 3, b"x", ["a"], "boom", ("a", None), {}, "x " * 1_000_001, ("boom", "a")]
    rng, rows = random.Random(0), [f"text {i}" for i in range(950)]
    bad = rng.sample(range(1000), 50)
    for k, i in enumerate(sorted(bad)):
        rows.insert(i, poison[k % len(poison)])
    tokenizer = Tokenizer(BaseTokenizer(), rules=[*DEFAULT_RULES, rule])
    found = list(tokenizer.pipe(rows, errors="collect"))
    wrong = [i for i, tokens in enumerate(found) if isinstance(tokens, TextError)]
    assert {found[i].code for i in wrong} == {"E101", "E110"}
    assert all(f" {i}," in str(found[i]) or f"row {i}" in str(found[i]) for i in wrong)
    assert all("boom" not in str(found[i]) for i in wrong)
    assert sum(map(len, (f.tokens for f in found if not isinstance(f, TextError)))) >= 3 * 950
    tally("T3", "poisonous rows among 1,000", 50, len(set(wrong) ^ set(bad)), "rows", "lost or let through")


# --- T4: control tokens -------------------------------------------------------------------------------------------

TOKENIZER = Tokenizer()
VOCAB = Vocab([*SPECIAL_TOKENS, "a", "film", "xx", "pad", "3", "1000"])


def test_no_control_token_comes_in_by_any_place_of_a_text():
    ids, tried, forged = Numericalize(VOCAB), 0, 0
    for token in SPECIAL_TOKENS:
        for form in (token, token.upper(), token.capitalize(), "&#120;" + token[1:], f"({token})", f"{token}.",
                     f"a{token}", f"{token}s", f"<br />{token}", f"&lt;{token}&gt;"):
            for text in (form, f"{form} a film", f"a {form} film", f"a film {form}", f"a\n{form}\n{form}"):
                for row in (text, (text, "a film"), ("a", text)):
                    tokens = TOKENIZER(row)
                    plain = TOKENIZER(eval_plain(row, form))
                    tried += 1
                    forged += (VOCAB.pad_id in ids(tokens).tolist() or tokens.count("xxbos") != 1
                               or {"xxeos", "xxunk"} & set(tokens) != set()
                               or tokens.count("xxfld") != plain.count("xxfld"))
    tally("T4", "control tokens typed by a user", tried, forged, "texts", "forged")


def eval_plain(row, form):
    """The same row with an ordinary word in the place of what was typed."""
    return tuple(part.replace(form, "zap") for part in row) if isinstance(row, tuple) else row.replace(form, "zap")


def test_decoding_is_bounded():
    peaks = []
    cases = ["xxrep 100000000 a", "xxwrep 99999999 film", "xxrep " * 300 + "a", "xxrep 1000 xxrep 1000 a",
             " ".join(["xxwrep 4 xxup a"] * 250), "xxrep ９９９９ a", "xxrep ² a"]
    for case in cases:
        tokens = (case.split() * 1000)[:1000] if len(case.split()) >= 250 else case.split() + ["a"] * 900
        tracemalloc.start()
        detokenize(tokens)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    tally("T4", "hostile tokens decoded within 1 MB for each 1,000", len(cases), sum(p > 1e6 for p in peaks),
          "texts", "over")


# --- T5: there and back -------------------------------------------------------------------------------------------

WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=SLOW)])
def test_known_tokens_come_back_and_decoded_text_gives_them_again(n):
    tried = []

    @settings(max_examples=n, deadline=None, database=None)
    @given(st.lists(WORD.filter(lambda word: word.lower() != FAKE), min_size=1, max_size=12))
    def check(words):
        vocab = Vocab([*SPECIAL_TOKENS, *dict.fromkeys(w for w in words if w not in SPECIAL_TOKENS)])
        there = Numericalize(vocab)
        assert there.decode(there([w for w in words if w in vocab])) == [w for w in words if w in vocab]
        text = " ".join(words)
        once = TOKENIZER(text)
        assert TOKENIZER(" ".join(once[1:]))[:1] == ["xxbos"]
        plain = " ".join(re.findall("[a-z]{2,}", text.lower()))
        tokens = BY_BLANKS(plain)
        assert BY_BLANKS(detokenize(tokens)) == tokens
        tried.append(1)
    check()
    tally("T5", "tokens to ids and back, text to tokens and back", len(tried), 0, "lists", "different")


BY_BLANKS = Tokenizer(BaseTokenizer(), rules=[rules.replace_rep, rules.replace_wrep, rules.rm_useless_spaces,
                                              rules.lowercase])


# --- fuzz ---------------------------------------------------------------------------------------------------------

def one_input(data: bytes):
    """What must hold for any text at all: the target of both fuzzers."""
    text = data.decode("utf-8", "surrogateescape" if len(data) % 2 else "replace")
    out = text
    for rule in EVERY_RULE[:-1]:
        out = rule(out)
        assert isinstance(out, str)
    assert out.startswith("xxbos ") and len(out) <= 12 * len(text) + 100
    tokens = TOKENIZER(text)
    assert tokens[0] == "xxbos" and tokens.count("xxbos") == 1 and not {"xxpad", "xxeos", "xxfld"} & set(tokens)
    assert "xxunk" not in tokens or "<unk>" in text  # as WikiText writes it
    assert "".join(tokens).encode() and detokenize(tokens) is not None


PIECES = [token.encode() for token in SPECIAL_TOKENS] + [b"&#", b"&amp;", b";", b"<unk>", b"<br />", b"XX", b"xx", b" ",
                                                         b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\\n", b"A", b"1"]


@pytest.mark.parametrize("n", [300, pytest.param(2000, marks=SLOW)])
def test_no_bytes_break_the_way_from_text_to_tokens(n):
    tried = []

    @settings(max_examples=n, deadline=None, database=None)
    @given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)))
    def check(data):
        one_input(data)
        tried.append(1)
    check()
    tally("T1", "fuzz of rules and tokenizer (hypothesis)", len(tried), 0, "texts", "broken")


FUZZER = """
    import sys
    import atheris
    sys.path[:0] = {paths!r}
    with atheris.instrument_imports(include=["ulmfit_easy.text"]):
        import test_reliability_rules as target
    atheris.Setup([sys.argv[0], "-runs={runs}", "-seed=1", "-max_len=200", "-verbosity=0"], target.one_input)
    atheris.Fuzz()
"""


@SLOW
def test_no_bytes_that_coverage_leads_to_break_it_either(tmp_path):
    pytest.importorskip("atheris")
    here, runs = Path(__file__).parent, 20_000
    script = tmp_path / "fuzz.py"
    script.write_text(textwrap.dedent(FUZZER).format(paths=[str(here), str(here.parent)], runs=runs))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=900, cwd=tmp_path,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    lost = int(done.returncode != 0 or "Uncaught" in done.stdout + done.stderr)
    assert not lost, done.stdout[-2000:] + done.stderr[-2000:]
    done_runs = re.search(r"Done (\d+) runs", done.stdout + done.stderr)
    tally("T1", "fuzz of rules and tokenizer (atheris)", int(done_runs[1]) if done_runs else runs, lost, "texts",
          "broken")
