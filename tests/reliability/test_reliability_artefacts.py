"""An exported model is whole, of one piece, and loads in every later version with the same answers."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from faults import tally
from safetensors import safe_open

from ulmfit_easy.bundle.artefact import FILES, load_bundle, save_bundle
from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.text.vocab import Vocab

ARTEFACTS = Path(__file__).parents[1] / "goldens" / "artefacts"
RELEASES = sorted(p for p in ARTEFACTS.iterdir() if p.is_dir())
KINDS = ["language_model", "classifier", "multilabel", "regression"]
NEWEST = ARTEFACTS / "0.1.0-format-2"


def answers(learn, texts) -> dict:
    """As `make_artefacts.answers`."""
    if learn.dls.task == "lm":
        said = [{"logprob": score.logprob, "perplexity": score.perplexity} for score in learn.logprob(texts[:2])]
    else:
        said = [{"label": p.label, "probs": p.probs.tolist()} for p in learn.predict(texts)]
    return {"tokens": [" ".join(learn.dls.tokenizer(text)) for text in texts], "said": said}


def differs(found, expected, tolerance=1e-4) -> bool:
    if isinstance(expected, float):
        return abs(found - expected) > tolerance * max(1, abs(expected))
    if isinstance(expected, dict):
        return found.keys() != expected.keys() or any(differs(found[k], expected[k]) for k in expected)
    if isinstance(expected, list):
        return len(found) != len(expected) or any(map(differs, found, expected))
    return found != expected


def test_artefacts_of_every_version_give_the_answers_of_their_day():
    changed, tried = [], 0
    for release in RELEASES:
        expected = json.loads((release / "expected.json").read_text(encoding="utf-8"))
        for kind in KINDS:
            found = answers(load_learner(release / kind), expected["texts"])
            changed += [(release.name, kind)] * differs(found, expected[kind])
            tried += 1
            assert sum(f.stat().st_size for f in (release / kind).iterdir()) < 300_000
    assert not changed and tried >= 12
    tally("R10", "artefacts of earlier versions, each loaded and asked", tried, len(changed), "tried", "changed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_format_1_is_exported_in_format_2(kind, tmp_path):
    old = load_learner(ARTEFACTS / "0.1.0" / kind)
    folder = old.export(tmp_path / "new")
    assert json.loads((folder / "config.json").read_text())["format"] == 2
    new = load_learner(folder)
    assert (new.model.config(), new.dls.config()) == (old.model.config(), old.dls.config())
    assert all(torch.equal(weight, new.model.state_dict()[name]) for name, weight in old.model.state_dict().items())


def test_the_check_above_sees_a_change_in_the_fourth_digit():
    expected = json.loads((NEWEST / "expected.json").read_text(encoding="utf-8"))["classifier"]
    found = answers(load_learner(NEWEST / "classifier"), json.loads((NEWEST / "expected.json").read_text())["texts"])
    assert not differs(found, expected)
    found["said"][0]["probs"][0] += 3e-4
    assert differs(found, expected)


# --- one of its files changes -----------------------------------------------------------------------------------


def copy_of(place: Path, kind="classifier") -> Path:
    return Path(shutil.copytree(NEWEST / kind, place))


def same(a, b) -> bool:
    return (a.config == b.config and a.vocab == b.vocab and a.weights.keys() == b.weights.keys()
            and all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights))


def accepted(folder, whole) -> bool:
    """Whether a bundle is read as if it were right and is not."""
    try:
        return not same(load_bundle(folder), whole)
    except UlmfitError:
        return False


@pytest.mark.parametrize("n", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_one_flipped_bit_or_a_missing_end_is_found(tmp_path, n):
    folder, rng = copy_of(tmp_path / "m"), random.Random(0)
    whole = load_bundle(NEWEST / "classifier")  # not from the copy, which its tensors would follow: they are mapped
    for name in FILES:
        data, wrong = (folder / name).read_bytes(), 0
        bad = [data[:i] + bytes([data[i] ^ 1 << rng.randrange(8)]) + data[i + 1:] for i in
               (rng.randrange(len(data)) for _ in range(n))]
        bad += [data[:i] for i in rng.sample(range(len(data) - 1), min(n, 20))]
        for changed in bad:
            (folder / name).write_bytes(changed)
            wrong += accepted(folder, whole)
        (folder / name).write_bytes(data)
        tally("S4", f"{name} with one bit flipped, or cut", len(bad), wrong, "tried", "accepted")


def rewritten(folder: Path, change) -> Path:
    """A bundle whose safetensors file says and holds what `change(header, data)` gives, hashes as they were."""
    file = folder / FILES[0]
    raw = file.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header, data = change(json.loads(raw[8:8 + n]), raw[8 + n:])
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return folder


def in_file(name, change):
    """A function of a bundle's folder that changes one JSON file."""
    def act(folder):
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(value)), encoding="utf-8")
    return act


def swap(words, i, j):
    words[i], words[j] = words[j], words[i]
    return words


def swap_rows(folder):
    """Two tensors of one shape change names."""
    def change(header, data):
        biases = [k for k in header if k.endswith("0.module.bias_ih_l0") or k.endswith("0.module.bias_hh_l0")]
        a, b = biases
        header[a], header[b] = header[b], header[a]
        return header, data
    rewritten(folder, change)


def words_of(other):
    return lambda folder: shutil.copy(NEWEST / other / "vocab.json", folder / "vocab.json")


def longer(folder):
    in_file("vocab.json", lambda words: [*words, "new"])(folder)


CONTRACT = {
    "two words swapped": in_file("vocab.json", lambda words: swap(words, 20, 21)),
    "the last two words swapped": in_file("vocab.json", lambda words: swap(words, -9, -10)),
    "one word more": longer,
    "one word less": in_file("vocab.json", lambda words: words[:-1]),
    "the classes swapped": in_file("config.json", lambda c: {**c, "target": {"classes": ["pos", "neg"]}}),
    "read the other way": in_file("config.json", lambda c: {**c, "text": {**c["text"], "backwards": True}}),
    "a rule less": in_file("config.json", lambda c: {**c, "text": {**c["text"], "tokenizer": {
        **c["text"]["tokenizer"], "rules": c["text"]["tokenizer"]["rules"][1:]}}}),
    "another architecture": in_file("config.json", lambda c: {**c, "encoder": {**c["encoder"], "name": "AWD_QRNN"}}),
    "another window": in_file("config.json", lambda c: {**c, "reader": {**c["reader"], "max_len": 20}}),
    "two weights under each other's name": swap_rows,
    "the weights of another model": lambda f: shutil.copy(NEWEST / "multilabel" / FILES[0], f / FILES[0]),
    "the config of another model": lambda f: shutil.copy(NEWEST / "multilabel" / FILES[2], f / FILES[2]),
}


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    wrong = []
    for name, change in CONTRACT.items():
        folder, whole = copy_of(tmp_path / name.replace(" ", "-")), load_bundle(NEWEST / "classifier")
        change(folder)
        wrong += [name] * accepted(folder, whole)
    assert not wrong
    tally("S4", "vocabulary, settings or weights of another model", len(CONTRACT), len(wrong), "tried", "accepted")


def test_another_order_of_weights_or_layout_of_settings_changes_nothing(tmp_path):
    whole = load_bundle(NEWEST / "classifier")
    folder = save_bundle(tmp_path / "b", dict(reversed(whole.weights.items())), whole.vocab,
                         dict(reversed(whole.config.items())))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(dict(reversed(config.items())), indent=4).replace("\n", "\r\n"))
    assert same(load_bundle(folder), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_tied_weights_are_stored_once_and_tied_again(kind):
    place = NEWEST / kind
    weights = load_bundle(place).weights
    with safe_open(place / FILES[0], framework="pt") as f:
        stored = {name: f.get_tensor(name) for name in f.keys()}
    learn = load_learner(place)
    parameters = sum(p.numel() * (2 if kind == "regression" else 4) for p in learn.model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in learn.model.buffers())
    header = (place / FILES[0]).stat().st_size - sum(t.numel() * t.element_size() for t in stored.values())
    assert (place / FILES[0]).stat().st_size - header <= parameters + buffers
    assert not any(name.endswith("weight_hh_l0") for name in weights)  # dropped copies of the recurrent weights
    prefix = "0.encoder" if kind == "language_model" else "0.module.encoder"
    tied = [f"{prefix}.weight", f"{prefix}_dp.emb.weight"] + ["1.decoder.weight"] * (kind == "language_model")
    assert len({weights[name].data_ptr() for name in tied}) == 1
    own = learn.model.state_dict()
    assert len({own[name].data_ptr() for name in tied}) == 1


# --- what loading does ------------------------------------------------------------------------------------------

WATCH = """
import sys
from pathlib import Path
from ulmfit_easy.learner.text import load_learner
seen = []
DEEDS = ("pickle.", "marshal.", "subprocess.", "socket.", "os.system", "os.exec", "os.posix_spawn", "os.fork",
         "os.spawn", "urllib.", "http.", "os.remove", "os.rename", "os.mkdir", "shutil.", "code.__new__")
def hook(event, args):
    if watching and event.startswith(DEEDS):
        seen.append((event, str(args)[:100]))
    if watching and event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append((event, str(args)[:100]))
watching = False
load_learner(sys.argv[1]).predict("warm")  # what is imported late is imported now
sys.addaudithook(hook)
watching = True
for place in sys.argv[1:]:
    load_learner(place)
print(seen)
if seen == []:
    import pickle, os
    class Calls:
        def __reduce__(self):
            return os.getcwd, ()
    pickle.loads(pickle.dumps(Calls()))
    print(seen != [])
"""


def test_loading_unpickles_nothing_starts_nothing_writes_nothing_and_asks_no_network():
    places = [str(NEWEST / kind) for kind in KINDS[1:]]
    run = subprocess.run([sys.executable, "-c", WATCH, *places], capture_output=True, text=True, timeout=250)
    assert run.stdout == "[]\nTrue\n", run.stdout + run.stderr


def test_a_vocabulary_is_checked_before_it_is_believed(tmp_path):
    whole = load_bundle(NEWEST / "classifier")
    with pytest.raises(UlmfitError, match="E402"):  # a longer one, with its own hash
        load_bundle(save_bundle(tmp_path / "b", whole.weights, Vocab([*whole.vocab, "new"]), whole.config))
