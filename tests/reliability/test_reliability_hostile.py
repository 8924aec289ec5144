"""Nothing in a file is ever run: hostile files in the place of each file that the library loads."""

import ast
import json
import shutil
import time
from pathlib import Path

import pytest
from faults import tally
from hostile_files import with_code, without_code
from package_source import modules

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.bundle import wordlist
from ulmfit_easy.bundle.artefact import FILES, load_bundle, load_weights, save_bundle
from ulmfit_easy.bundle.foreign import load_foreign
from ulmfit_easy.bundle.wordlist import read_words
from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.files import read_json
from ulmfit_easy.learner.callbacks.training_state import read_state
from ulmfit_easy.learner.pretrained import read_lm
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.saved import PARAMS
from ulmfit_easy.text.subword import SentencePieceTokenizer

GOOD = Path(__file__).parents[1] / "goldens" / "artefacts" / "0.1.0"


def places(tmp_path) -> dict:
    """Each file that the library loads: name -> (its path, the call that reads it)."""
    bundles = {name: Path(shutil.copytree(GOOD / "classifier", tmp_path / f"as-{name}")) for name in FILES}
    found = {f"{name} of a bundle": (folder / name, lambda folder=folder: load_learner(folder))
             for name, folder in bundles.items()}
    lm = Path(shutil.copytree(GOOD / "language_model", tmp_path / "lm"))
    saved, words, theirs, pieces = (tmp_path / f for f in ("saved.safetensors", "itos.pkl", "lm.pth", "spm.model"))
    model = tmp_path / "estimator"
    shutil.copytree(GOOD / "classifier", model / "forwards")
    return found | {
        "config.json of a pretrained model": (lm / "config.json", lambda: read_lm(lm)),
        "a saved learner or encoder": (saved, lambda: load_weights(saved)),
        "a checkpoint": (saved, lambda: read_state(saved)),
        "a list of words": (words, lambda: read_words(words)),
        "fastai's weights": (theirs, lambda: load_foreign(theirs, words)),
        "SentencePiece's model": (pieces, lambda: SentencePieceTokenizer(sp_model=pieces).vocab),
        "an archive": (tmp_path / "a.tgz", lambda: extract_archive(tmp_path / "a.tgz", tmp_path / "extracted")),
        "estimator.json": (model / PARAMS, lambda: ULMFiT.load(model)),
    }


def is_what_it_should_be(data: bytes, place: str) -> bool:
    """An archive may hold anything: nothing in it is run when it is extracted."""
    return place == "an archive" and (data.startswith(b"PK") or not any(data[:1024] or b"x"))


def refused(files: dict, places: dict, canary) -> tuple[list, list]:
    """What was run, and what was not refused with a code, of every file in every place."""
    ran, passed = [], []
    for name, data in files.items():
        for place, (path, read) in places.items():
            before = path.read_bytes() if path.exists() else None
            path.write_bytes(data)
            try:
                read()
                passed += [(name, place)] * (not is_what_it_should_be(data, place))
            except UlmfitError as e:
                assert e.code != "E404", (place, e)  # then it was not read at all
            if canary.exists():
                ran.append((name, place))
                canary.unlink()
            path.unlink() if before is None else path.write_bytes(before)
    return ran, passed


def test_hostile_files_in_every_place_are_refused_and_nothing_runs(tmp_path, canary):
    files = {name: data for name, (data, _) in with_code(canary).items()} | without_code()
    where = places(tmp_path)
    assert len(files) >= 55 and len(set(files.values())) == len(files)
    start = time.process_time()
    ran, passed = refused(files, where, canary)
    assert not ran and not passed, (ran, passed)
    assert time.process_time() - start < 0.2 * len(files) * len(where)
    tally("S1", "hostile files", len(files), len({name for name, _ in ran}), "tried", "run")
    tally("S2", "hostile files in each of the places of files that are loaded", len(files) * len(where), len(ran),
          "tried", "run")


def test_the_files_do_run_where_a_reader_believes_them(canary):
    harmless, tried = [], 0
    for name, (data, believe) in with_code(canary).items():
        if believe is None:
            continue
        try:
            believe(data)
        except Exception:  # what a call gave back is not what the reader goes on with
            pass
        harmless += [name] * (not canary.exists())
        canary.unlink(missing_ok=True)
        tried += 1
    assert not harmless and tried > 45


# --- settings that no learner wrote -----------------------------------------------------------------------------


def put(*path, value):
    """A change of a config of either format: `value` at a path of keys of format 1."""
    def change(config):
        at, last = place(config, path)
        at[last] = value
        return config
    return change


def drop(*path):
    def change(config):
        at, last = place(config, path)
        del at[last]
        return config
    return change


MOVED = {("kind",): ("task",), ("arch",): ("encoder", "name"), ("model", "config"): ("encoder", "config"),
         ("model", "seq_len"): ("reader", "seq_len"), ("model", "max_len"): ("reader", "max_len"),
         ("data", "task"): ("task",), ("data", "classes"): ("target", "classes"), ("data",): ("text",),
         ("thresh",): ("loss", "thresh"), ("takes_probabilities",): ("loss", "takes_probabilities")}


def place(config, path):
    """The object that holds the value at a path of format 1, and its key there."""
    if config["format"] == 2:
        n = next((n for n in (2, 1) if path[:n] in MOVED), 0)
        path = (*MOVED[path[:n]], *path[n:]) if n else ("head", "config", *path[1:])
    for key in path[:-1]:
        config = config[key]
    return config, path[-1]


SIZES, TOK = ("model", "config"), ("data", "tokenizer")
MALFORMED = {
    "no kind": drop("kind"), "another kind": put("kind", value="os.system"), "a kind of 7": put("kind", value=7),
    "a kind that is a list": put("kind", value=["classifier"]),
    "a kind of the other sort": put("kind", value="language_model"),
    "no architecture": drop("arch"), "an architecture by its module": put("arch", value="torch.nn.LSTM"),
    "an architecture that is no text": put("arch", value=["AWD_LSTM"]),
    "no model": drop("model"), "a model that is none": put("model", value=[]), "no data": drop("data"),
    "data that are none": put("data", value="data"), "sizes that are none": put(*SIZES, value=3),
    "10^9 layers": put(*SIZES, "n_layers", value=10**9), "no layer": put(*SIZES, "n_layers", value=0),
    "a layer less": put(*SIZES, "n_layers", value=1), "a negative layer": put(*SIZES, "n_layers", value=-1),
    "layers in words": put(*SIZES, "n_layers", value="2"), "2.0 layers": put(*SIZES, "n_layers", value=2.0),
    "layers by a flag": put(*SIZES, "n_layers", value=True),
    "a width of 10^12": put(*SIZES, "emb_sz", value=10**12), "another width": put(*SIZES, "emb_sz", value=13),
    "a width of 2^62": put(*SIZES, "n_hid", value=1 << 62), "a width of none": put(*SIZES, "n_hid", value=None),
    "a width that is a list": put(*SIZES, "n_hid", value=[16]),
    "an unknown size": put(*SIZES, "hook", value="os.system"),
    "a dropout above 1": put(*SIZES, "hidden_p", value=7.0), "a dropout in words": put(*SIZES, "hidden_p", value="x"),
    "padding far outside": put(*SIZES, "pad_token", value=10**9), "both ways": put(*SIZES, "bidir", value=True),
    "an unknown option": put("model", "init", value="eval"), "drop_mult of none": put("model", "drop_mult", value=None),
    "a negative drop_mult": put("model", "drop_mult", value=-1.0),
    "10^9 classes": put("model", "n_class", value=10**9), "no class": put("model", "n_class", value=0),
    "a class more": put("model", "n_class", value=3), "classes in words": put("model", "n_class", value="2"),
    "no window": put("model", "seq_len", value=0), "a window of -1": put("model", "seq_len", value=-1),
    "a window of 1.5": put("model", "seq_len", value=1.5),
    "a max_len below the window": put("model", "max_len", value=2),
    "a max_len in words": put("model", "max_len", value="all"),
    "a million layers of the head": put("model", "lin_ftrs", value=[1] * 1_000_000),
    "a head of text": put("model", "lin_ftrs", value="50"),
    "more dropouts than layers": put("model", "ps", value=[.1, .1]),
    "dropouts above 1": put("model", "ps", value=[7.0]), "a range of words": put("model", "y_range", value="ab"),
    "a range of one": put("model", "y_range", value=[0]), "a range upside down": put("model", "y_range", value=[1, 0]),
    "an unknown task": put("data", "task", value="sudo"), "no task": drop("data", "task"),
    "the task of another model": put("data", "task", value="lm"),
    "no classes": put("data", "classes", value=None), "classes of text": put("data", "classes", value="np"),
    "one class twice": put("data", "classes", value=["neg", "neg"]),
    "three names for two classes": put("data", "classes", value=["neg", "pos", "odd"]),
    "a class that is an object": put("data", "classes", value=[{"a": 1}, "pos"]),
    "columns of text": put("data", "text_cols", value="text"),
    "columns that are objects": put("data", "text_cols", value=[{}]),
    "no columns": drop("data", "text_cols"), "a delimiter that is a number": put("data", "label_delim", value=5),
    "the same rule 10,000 times": put(*TOK, "rules", value=["lowercase"] * 10_000),
    "a rule of the user's 10,000 times": put(*TOK, "rules", value=[{"custom": "f"}] * 10_000),
    "a billion rows a batch": put("data", "bs", value=1 << 30),
    "no rows a batch": put("data", "bs", value=0), "10^30 rows a batch": put("data", "bs", value=10**30),
    "rows in words": put("data", "bs", value="16"), "a direction in words": put("data", "backwards", value="no"),
    "an encoding that is a number": put("data", "encoding", value=8),
    "tokens of length 0": put("data", "seq_len", value=0),
    "no tokenizer": drop(*TOK), "a tokenizer by its module": put(*TOK, "tok", "name", value="os.system"),
    "a tokenizer of the user's": put(*TOK, "tok", value={"custom": "system"}),
    "a tokenizer with a file": put(*TOK, "tok", value={"name": "SentencePieceTokenizer",
                                                         "params": {"sp_model": "/etc/passwd"}}),
    "a SentencePiece model that is none": put(*TOK, "tok", value={"name": "SentencePieceTokenizer",
                                                                  "params": {"lang": "en", "base64": "AAAA"}}),
    "no base64": put(*TOK, "tok", value={"name": "SentencePieceTokenizer", "params": {"lang": "en", "base64": "=!"}}),
    "a language with a path": put(*TOK, "tok", "params", "lang", value="../../evil"),
    "a language of another module": put(*TOK, "tok", "params", "lang", value="en.lex_attrs"),
    "a language that spaCy has not": put(*TOK, "tok", "params", "lang", value="qqq"),
    "a language that is a number": put(*TOK, "tok", "params", "lang", value=5),
    "special tokens that are numbers": put(*TOK, "tok", "params", "special_toks", value=[5]),
    "no parameters": drop(*TOK, "tok", "params"),
    "an unknown parameter": put(*TOK, "tok", "params", "hook", value="os.system"),
    "a split at nothing": put(*TOK, "tok", value={"name": "BaseTokenizer", "params": {"split_char": ""}}),
    "an unknown rule": put(*TOK, "rules", value=["os.system"]), "rules of text": put(*TOK, "rules", value="fix_html"),
    "rules that are numbers": put(*TOK, "post_rules", value=[1]), "no rules": drop(*TOK, "rules"),
    "fields in words": put(*TOK, "mark_fields", value="yes"), "a threshold in words": put("thresh", value="high"),
    "probabilities in words": put("takes_probabilities", value="no"),
    "probabilities of each class apart": put("takes_probabilities", value=True),
    "no names for two classes": put("data", "classes", value=[]),
    "one name for two classes": put("data", "classes", value=["neg"]),
}


@pytest.mark.parametrize("form", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_malformed_settings_are_errors_with_a_code(tmp_path, form):
    bundle, wrong, start = load_bundle(GOOD / "classifier"), {}, time.process_time()
    config = {"format": 2, **bundle.config} if form == 2 else read_json(GOOD / "classifier" / "config.json")
    for name, change in MALFORMED.items():
        changed = change(json.loads(json.dumps(config)))
        folder = save_bundle(tmp_path / "m", bundle.weights, bundle.vocab, changed)  # with the right hashes
        try:
            load_learner(folder).predict("It was good.")
            wrong[name] = "accepted"
        except UlmfitError:
            pass
        except Exception as e:
            wrong[name] = repr(e)
    assert not wrong
    assert time.process_time() - start < 60
    tally("S3", "malformed settings of a model, hashes right", len(MALFORMED), len(wrong), "tried", "without a code")


OLD = GOOD.with_name("0.1.0-before-checksums")  # without hashes, so that nothing else can refuse it
FORMATS = [2, 3, 0, -1, "1", True, 1.0, None, [1]]


def test_other_formats_and_configs_that_are_no_objects_are_errors(tmp_path):
    folder, wrong = Path(shutil.copytree(OLD / "classifier", tmp_path / "m")), []
    config = json.loads((folder / "config.json").read_text())
    load_learner(folder)
    contents = [json.dumps({**config, "format": v}) for v in FORMATS]
    contents += ["[]", "null", "3", '"config"', "{}", json.dumps({"format": 1})]
    for content in contents:
        (folder / "config.json").write_text(content)
        try:
            load_learner(folder)
            wrong.append(content)
        except UlmfitError:
            pass
    assert not wrong
    tally("S3", "other formats, and configs that are no objects", len(contents), len(wrong), "tried", "without a code")


def test_malformed_settings_of_an_estimator_are_errors_with_a_code(tmp_path):
    model, wrong = tmp_path / "m", []
    shutil.copytree(GOOD / "classifier", model / "forwards")
    good = {"params": {"preset": "laptop", "seed": 0}, "accuracy": 0.5, "baseline_accuracy": 0.5}
    (model / PARAMS).write_text(json.dumps(good))
    ULMFiT.load(model)
    bad = [[], None, "x", {}, {**good, "params": 3}, {**good, "params": []}, {**good, "params": {"hook": "os.system"}},
           {k: v for k, v in good.items() if k != "accuracy"}]
    bad += [{**good, "params": {**good["params"], **change}} for change in (
        {"preset": {"lm": 1}}, {"preset": {"__class__": "os.system"}}, {"bidir": True, "pretrained": 5},
        {"bidir": True, "pretrained": ["a"]}, {"bidir": True}, {"backwards": True}, {"backwards": "../forwards"})]
    for settings in bad:
        (model / PARAMS).write_text(json.dumps(settings))
        try:
            ULMFiT.load(model)
            wrong.append(settings)
        except UlmfitError as e:
            assert e.code in ("E401", "E402") or "backwards" in str(e), e
    assert not wrong
    tally("S3", "malformed settings of an estimator", len(bad), len(wrong), "tried", "without a code")


# --- what the package itself says -------------------------------------------------------------------------------

FORBIDDEN = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle",
             "runpy", "code", "imp"}
CALLS = {"eval", "exec", "compile", "__import__"}
DEEDS = {"torch.load", "torch.jit.load", "torch.hub.load", "torch.package", "pd.read_pickle", "pd.read_hdf",
         "builtins.eval", "builtins.exec", "os.system", "os.popen", "importlib.import_module"}


def dangers(tree):
    """The imports and calls in a syntax tree that could run what a file holds: (line, name, the whole call)."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [f"{node.func.id}()"] * (node.func.id in CALLS)
        elif isinstance(node, ast.Attribute):
            names = [name] if (name := dotted(node)) in DEEDS else []
        for name in names:
            if name.split(".")[0] in FORBIDDEN or name.endswith("()") or name in DEEDS:
                yield node.lineno, name


ALLOWED = {
    "foreign.py": {"torch.load"},  # other libraries' checkpoints, by the restricted reader: see below
    "workers.py": {"pickle"},  # through pipes between processes of ours, no file
    "wordlist.py": {"pickle"},  # other libraries' word lists, by a reader that knows two names: see below
    "__init__.py": {"importlib.import_module"}, "extras.py": {"importlib.import_module"},  # names in our source
    "known.py": {"importlib.import_module"},  # the files of our folders of parts
    "command.py": {"importlib.import_module"},  # the files of our folder of commands
}


def test_the_package_has_nothing_that_runs_what_a_file_holds():
    found = [(file.name, *danger) for file, tree in modules().items() for danger in dangers(tree)]
    wrong = [f for f in found if f[2] not in ALLOWED.get(f[0], ())]
    assert not wrong and len(modules()) > 100
    tally("S1", "source files without a call that could run a file", len(modules()), len({f[0] for f in wrong}),
          "read", "with one")


@pytest.mark.parametrize("code", [
    "import pickle", "from pickle import loads", "torch.load(f)", "eval('1')", "import yaml", "exec(x)",
    "f = torch.load", "__import__('os')", "pd.read_pickle(f)", "torch.jit.load(f)", "import joblib.numpy_pickle",
    "from torch import load", "os.system('x')", "from importlib import import_module", "compile(x, '', 'exec')"])
def test_the_check_above_sees_what_it_looks_for(code):
    assert list(dangers(ast.parse(code)))


def calls(name):
    for file, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and dotted(node.func) == name:
                yield file.name, {k.arg: ast.unparse(k.value) for k in node.keywords}


def dotted(node) -> str:
    """The name `a.b.c` of a node, much faster than `ast.unparse`."""
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_pickles_are_read_in_one_place_and_by_the_restricted_reader():
    assert list(calls("torch.load")) == [("foreign.py", {"map_location": "'cpu'", "weights_only": "True"})]
    assert {name for call in ("pickle.load", "pickle.loads") for name, _ in calls(call)} == {"workers.py"}
    assert {name for name, _ in calls("_Reader")} == {"wordlist.py"} and "find_class" in vars(wordlist._Reader)
    assert all(options.get("allow_pickle", "False") == "False" for _, options in calls("np.load"))
