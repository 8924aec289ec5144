"""What fastai 2.8.12 gives for small inputs of our own, against what we give: text, data and models.

`goldens/README.md` says how the files were made; training and signatures have their tests beside it. Each
table here names what we do differently on purpose, and why; an entry that no longer differs fails.
"""

from collections import Counter
from functools import reduce
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from goldens.golden_reading import assert_close, golden, load_state, shapes

# text -> what our `fix_html` gives. fastai replaces `amp;`, `quot;` and so on without their `&`, which stays
# behind: `&amp;` becomes `&&`. We take the `&` too; the chain of rules and the tokens differ by just that.
HTML = {
    "He said &quot;no&quot; &amp; left": "He said 'no' & left",
    "it&#39;s and it#39;s": "it's and it's",
    "fish &amp; chips &lt;b&gt; &copy; 2001 &eacute;t&eacute;": "fish & chips <b> © 2001 été",
    "nbsp; here and&nbsp;there": "  here and there",
    "cost #36;5 or $5 &#36;5": "cost $5 or $5 $5",
}

# text -> our tokens. In fastai a user's text can forge control tokens; we break them (all but `<unk>`).
CONTROL = {
    "xxbos is a word here, and so is xxmaj":
        ["xxbos", "xx", "bos", "is", "a", "word", "here", ",", "and", "so", "is", "xx", "maj"],
}

# fastai adds eight `xxfake` to a multiple of 8 too (60,000 words make 60,008); we add none there.
FAKE = "xxfake"


class Documents:
    """Documents of running ids, so that every id names its place in the corpus."""

    def __init__(self, lengths: list[int]):
        self.lengths = np.array(lengths)
        self.docs = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])

    def __getitem__(self, i: int) -> np.ndarray: return self.docs[i]
    def read(self, doc: int, start: int, stop: int) -> np.ndarray: return self.docs[doc][start:stop]


# --- text --------------------------------------------------------------------------------------------------


def test_each_rule_alone_gives_fastais_text():
    from ulmfit_easy.text import rules

    assert [rule.__name__ for rule in rules.DEFAULT_RULES] == golden("rules")["order"]
    assert [rule.__name__ for rule in rules.DEFAULT_POST_RULES] == ["replace_space"]
    different = {}
    for row in golden("rules")["texts"]:
        for rule in [*rules.DEFAULT_RULES, *rules.DEFAULT_POST_RULES]:
            ours, theirs = rule(row["text"]), row["alone"].get(rule.__name__, row["text"])
            if ours != theirs: different[rule.__name__, row["text"]] = ours
    assert different == {("fix_html", text): ours for text, ours in HTML.items()}


def test_the_chain_of_rules_gives_fastais_text():
    from ulmfit_easy.text.rules import DEFAULT_RULES

    different = {}
    for row in golden("rules")["texts"]:
        ours = reduce(lambda text, rule: rule(text), DEFAULT_RULES, row["text"])
        if ours != row["chain"]: different[row["text"]] = ours
    assert set(different) == set(HTML)


def test_lowercase_marks_begin_and_end_as_fastai():
    from ulmfit_easy.text.rules import lowercase

    for row in golden("rules")["lowercase_marks"]:
        assert lowercase(row["text"], add_bos=row["add_bos"], add_eos=row["add_eos"]) == row["out"]


def test_tokens_are_fastais():
    from ulmfit_easy.text.special import SPECIAL_TOKENS
    from ulmfit_easy.text.tokenizers import Tokenizer

    assert list(SPECIAL_TOKENS) == golden("tokens")["special"]
    texts = {row["text"]: row["tokens"] for row in golden("tokens")["texts"]}
    ours = dict(zip(texts, (tokens for tokens, _ in Tokenizer().pipe(list(texts))), strict=True))
    different = {text: toks for text, toks in ours.items() if toks != texts[text]}
    assert different.keys() == HTML.keys() | CONTROL.keys()
    assert {text: toks for text, toks in different.items() if text in CONTROL} == CONTROL
    for row in golden("tokens")["fields"]: assert list(Tokenizer()(tuple(row["fields"]))) == row["tokens"]


def test_vocabularies_and_ids_are_fastais():
    from ulmfit_easy.errors import VocabError
    from ulmfit_easy.text.vocab import Numericalize, make_vocab

    cases = golden("vocab")["cases"]
    for name, case in cases.items():
        if name == "nothing_frequent":    # on purpose: fastai gives a vocabulary of control tokens alone
            with pytest.raises(VocabError, match="E301"): make_vocab(Counter(dict(case["count"])))
            continue
        real = [word for word in case["vocab"] if word != FAKE]
        ours = make_vocab(Counter(dict(case["count"])), **case["options"])
        assert ours == real + [FAKE] * (-len(real) % 8), name
    ids = golden("vocab")["ids"]
    numericalize = Numericalize(cases[ids["vocab"]]["vocab"])
    assert numericalize(ids["tokens"]).tolist() == ids["ids"]
    assert list(numericalize.decode(ids["ids"])) == ids["decoded"]


# --- data --------------------------------------------------------------------------------------------------


def test_random_splits_hold_out_fastais_rows():
    from ulmfit_easy.data.splits import RandomSplitter

    for row in golden("splits")["splits"]:
        train, valid = RandomSplitter(row["valid_pct"], seed=row["seed"])(range(row["n"]))
        if not row["valid"]:
            assert len(valid) == 1    # on purpose: a validation set is never empty where two rows can share
            continue
        assert (list(train), list(valid)) == (row["train"], row["valid"])


def test_language_model_batches_are_fastais():
    from ulmfit_easy.data.lm import LMDataLoader

    for case in golden("lm_stream")["cases"]:
        ids, n_rows = Documents(case["lengths"]), len(case["lengths"])
        loader = LMDataLoader(ids, range(n_rows), bs=case["bs"], seq_len=case["seq_len"])
        if sum(case["lengths"]) <= case["bs"] * case["seq_len"]:
            assert loader.bs < case["bs"]    # on purpose: too little text gives fewer rows, not shorter ones
            continue
        assert [{"x": x.tolist(), "y": y.tolist()} for x, y in loader] == case["batches"]


def test_the_order_without_shuffle_is_fastais():
    from ulmfit_easy.data.classify import ClassifierDataLoader

    for case in golden("sorteddl")["orders"]:
        loader = ClassifierDataLoader(Documents(case["lengths"]), range(len(case["lengths"])), bs=2)
        assert list(loader.order) == case["order"]


# --- models ------------------------------------------------------------------------------------------------


def test_pooling_gives_fastais_values():
    from ulmfit_easy.models.heads.pooling import masked_concat_pool

    for case in golden("pooling")["cases"]:
        assert_close(masked_concat_pool(torch.tensor(case["output"]), torch.tensor(case["mask"])), case["pooled"])


def layer(module: torch.nn.Module) -> list:
    """A layer, or a block of them, as the golden writes it; a subclass goes by the name of torch's class."""
    match module:
        case torch.nn.Sequential(): return [layer(m) for m in module]
        case torch.nn.Linear(in_features=i, out_features=o): return ["Linear", i, o, module.bias is not None]
        case torch.nn.BatchNorm1d(): return ["BatchNorm1d", module.num_features]
        case torch.nn.Dropout(): return ["Dropout", module.p]
        case torch.nn.ReLU(): return ["ReLU"]
    return ["SigmoidRange", module.low, module.high]


def test_the_head_has_fastais_layers():
    from ulmfit_easy.models.awd_lstm import AWD_LSTM
    from ulmfit_easy.models.classifier import get_text_classifier

    for name, case in golden("head")["shapes"].items():
        layers = get_text_classifier(AWD_LSTM, 10, 3, **case["options"])[1].layers
        assert layer(layers) == case["layers"], name


def test_the_head_gives_fastais_logits():
    from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier, masked_concat_pool

    case = golden("head")
    head = load_state(PoolingLinearClassifier(case["dims"], case["ps"]), case["state"])
    output = torch.tensor(case["output"])
    pooled = masked_concat_pool(output, torch.zeros(output.shape[:2], dtype=torch.bool))
    assert_close(head.layers(pooled).detach(), case["logits"])


def test_the_language_model_gives_fastais_logits_states_and_loss():
    from ulmfit_easy.models.awd_lstm import AWD_LSTM, awd_lstm_lm_split
    from ulmfit_easy.models.language_model import get_language_model
    from ulmfit_easy.models.softmax import lm_cross_entropy

    case, memory = golden("lm_loss"), None
    model = load_state(get_language_model(AWD_LSTM, case["vocab_sz"], config=case["config"]), case["state"])
    assert shapes(awd_lstm_lm_split(model)) == [sorted(group) for group in case["groups"]]
    for batch in case["batches"]:
        x, y = torch.tensor(batch["x"]), torch.tensor(batch["y"])
        output = model(x, None if batch["after_reset"] else memory)
        memory = output.memory
        assert_close(output.raw.detach(), batch["raw"])
        assert_close(output.logits().detach(), batch["logits"])
        assert_close(lm_cross_entropy(output, y).item(), batch["loss"])


def test_default_configs_are_fastais():
    from ulmfit_easy.models.awd_lstm import awd_lstm_clas_config, awd_lstm_lm_config

    assert awd_lstm_lm_config == golden("lm_loss")["default_lm_config"]
    assert awd_lstm_clas_config == golden("lm_loss")["default_clas_config"]


def test_embeddings_move_to_another_vocabulary_as_in_fastai():
    from ulmfit_easy.models.remap import match_embeds

    case = golden("embeds")
    moved = match_embeds(torch.tensor(case["weight"]), torch.tensor(case["bias"]), case["old_vocab"], case["new_vocab"])
    assert_close(moved.weight, case["new_weight"])
    assert_close(moved.bias, case["new_bias"])


def test_activation_regularization_adds_fastais_penalty():
    from ulmfit_easy.learner.callbacks.rnn import RNNRegularizer

    case = golden("regularizers")
    raw, dropped = (torch.tensor(case[name], requires_grad=True) for name in ("raw", "dropped"))
    for row in case["added"]:
        callback = RNNRegularizer(row["alpha"], row["beta"])
        states = SimpleNamespace(raw_out=raw, out=dropped, mask=None)
        callback.learn = SimpleNamespace(training=True, loss_grad=torch.tensor(0.), rnn=states)
        callback.after_loss()
        assert_close(callback.learn.loss_grad.item(), row["added"])


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in one batch"])
def test_the_classifier_gives_fastais_logits_of_single_texts(together):
    from ulmfit_easy.models.awd_lstm import AWD_LSTM, awd_lstm_clas_split
    from ulmfit_easy.models.classifier import get_text_classifier

    case = golden("classifier")
    options = {name: case[name] for name in ("config", "seq_len", "max_len", "lin_ftrs")}
    model = get_text_classifier(AWD_LSTM, case["vocab_sz"], case["n_class"], **options)
    load_state(model, case["state"])
    assert shapes(awd_lstm_clas_split(model)) == [sorted(group) for group in case["groups"]]
    for texts in [case["texts"]] if together else [[text] for text in case["texts"]]:
        lengths = torch.tensor([len(text["ids"]) for text in texts])                              # (B,)
        ids = [text["ids"] + [1] * (int(lengths.max()) - len(text["ids"])) for text in texts]     # (B, T)
        output = model(torch.tensor(ids), lengths)
        assert_close(output.logits.detach(), [text["logits"] for text in texts])
        assert (~output.mask).sum(1).tolist() == [text["kept_tokens"] for text in texts]
