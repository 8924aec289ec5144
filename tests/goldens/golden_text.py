"""Goldens of text -> ids: rules, tokens, vocabulary."""

from collections import Counter

import fastai.text.core as core
import pandas as pd
from fastai.text.data import Numericalize, make_vocab
from golden_inputs import COUNTERS, FIELDS, TEXTS

PRE_RULES = [core.fix_html, core.replace_rep, core.replace_wrep, core.spec_add_spaces, core.rm_useless_spaces,
             core.replace_all_caps, core.replace_maj, core.lowercase]


def rules() -> dict:
    """For each text: what each rule alone makes of it (left out where nothing), and the whole chain."""
    rows = []
    for text in TEXTS:
        alone = {rule.__name__: rule(text) for rule in [*PRE_RULES, core.replace_space]}
        chain = text
        for rule in PRE_RULES:
            chain = rule(chain)
        rows.append({"text": text, "chain": chain, "alone": {k: v for k, v in alone.items() if v != text}})
    marks = [{"add_bos": bos, "add_eos": eos, "text": text, "out": core.lowercase(text, bos, eos)}
             for text in (" Ab C ", "") for bos in (True, False) for eos in (True, False)]
    return {"order": [rule.__name__ for rule in PRE_RULES], "texts": rows, "lowercase_marks": marks}


def tokens() -> dict:
    """Tokens of each text by rules, spaCy's English tokenizer and post-rule; and of rows with two fields."""
    tokenizer = core.SpacyTokenizer("en")
    rows = []
    for text in TEXTS:
        rows.append({"text": text, "tokens": list(core.tokenize1(text, tokenizer))})
        assert rows[-1]["tokens"] == list(core.Tokenizer(tokenizer)(text)), "fastai's two ways differ"
    frame = pd.DataFrame(FIELDS, columns=["title", "body"])
    fields, _ = core.tokenize_df(frame, ["title", "body"], n_workers=0, tok=tokenizer)
    return {"special": core.defaults.text_spec_tok, "texts": rows,
            "fields": [{"fields": list(row), "tokens": list(toks)}
                       for row, toks in zip(FIELDS, fields["text"], strict=True)]}


def vocab() -> dict:
    """Vocabularies of several counters, and the ids of some tokens under one of them."""
    cases = {name: {"count": count, "options": options, "vocab": make_vocab(Counter(dict(count)), **options)}
             for name, (count, options) in COUNTERS.items()}
    words = ["xxbos", "w0", "never", "w9", "xxunk", "xxpad", "", "w1"]
    numericalize = Numericalize(cases["max_vocab_cuts_the_rare"]["vocab"])
    ids = numericalize.encodes(words)
    return {"cases": cases, "ids": {"vocab": "max_vocab_cuts_the_rare", "tokens": words, "ids": ids,
                                    "decoded": list(numericalize.decodes(ids))}}
