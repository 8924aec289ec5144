"""The lessons in nbs/ run on small data, teach what they say, and are stored with the outputs of a whole run."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest

from ulmfit_easy.all import AWD_LSTM, PRESETS, TextDataLoaders, language_model_learner, torch, toy_reviews
from ulmfit_easy.bundle import shipped
from ulmfit_easy.recipes import members

NBS = Path(__file__).parent.parent / "nbs"
LESSONS = [pytest.param(path, id=path.stem) for path in sorted(NBS.glob("*.ipynb"))]
SOURCES = """
df = toy_reviews(400, seed=0)
df = df.assign(label=df["topic"], document=[str(i // 2) for i in range(400)])
SEED, LABELS, READ, TEST = 0, 12, 250, 8
"""
SMALL = {
    "01_quickstart": SOURCES,
    "02_three_stages": SOURCES,
    "03_language_model": "N, EPOCHS = 1500, 5",
    "04_looking_inside": "df = toy_reviews(n=1600, seed=0)",
    "05_text_to_batches": "N, CHAPTERS = 200, 3",
    "06_awd_lstm": "N, EPOCHS = 40, 3",
    "07_rates": SOURCES + "LABELS, VALID = 12, 12",
    "08_gradual_unfreezing": SOURCES + "LABELS, VALID, READ, EPOCHS = 12, 10, 40, 5",
    "09_few_labels": SOURCES + "SIZES, MORE, DRAWS, TEST, POOL = (4, 12), (20,), 2, 8, 250",
    "10_both_directions": SOURCES + "LABELS, TEST, DRAWS = 12, 8, 1",
    "11_word_vectors_to_elmo": "N, EPOCHS = 120, 1",
    "12_the_same_recipe_on_bert": "df = toy_reviews(n=150)",
    "13_gpt1": "N, LM_EPOCHS, EPOCHS = 600, 6, 6",
    "14_tagging_and_spans": "N, EPOCHS = 700, 6",
    "15_your_language_korean": "READ, LABELS, TEST, PASSES = 300, 120, 60, 2",
    "16_a_callback": "N, EPOCHS = 120, 8",
    "17_notebook_to_command": "N, OPTIONS = 80, '--from-scratch --epochs 1'",
}
MACHINE = re.compile(r"/(work|tmp|home|root|usr|opt|Users|mnt)/|[A-Z]:\\\\|0x[0-9a-f]{8}")


def cells(path) -> list:
    """The code cells of a lesson."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def small(path) -> list[str]:
    """The code of a lesson, cell by cell, with little data in place of the lesson's own."""
    return [SMALL[path.stem] if "data" in cell.metadata.get("tags", ()) else cell.source for cell in cells(path)]


def without_magics(source: str) -> str:
    return re.sub(r"^(\s*)%", r"\1pass  # %", source, flags=re.M)


@pytest.fixture
def run_shipped(tmp_path, monkeypatch, shipped_weights):
    """Run a lesson here on small data, over the models that ship. Return its names and their values."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pytest.importorskip("IPython")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)
    monkeypatch.setattr(members, "VECTORS", {})  # an earlier lesson may have had others

    def run(name) -> dict:
        names = {}
        path = NBS / f"{name}.ipynb"
        for i, source in enumerate(small(path), 1):
            exec(compile(without_magics(source), f"{path.name}, code cell {i}", "exec"), names)
        return names

    yield run
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def run(run_shipped, tmp_path, monkeypatch):
    """Run a lesson as `run_shipped`, over a tiny language model."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    sizes = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
    monkeypatch.setitem(PRESETS, "laptop", replace(PRESETS["laptop"], config=sizes))
    dls = TextDataLoaders.from_df(toy_reviews(20), text_col="text", is_lm=True, bs=2, seq_len=8, min_freq=1, seed=0)
    general = language_model_learner(dls, AWD_LSTM, config=sizes, pretrained=False, verbose=False, path=tmp_path)
    general.export("awd_lstm-fwd")
    return run_shipped


@pytest.mark.filterwarnings("ignore:.E504.")
def test_lesson_01_ends_with_a_classifier_that_can_be_kept(run):
    lesson = run("01_quickstart")
    read, train, test = (set(lesson[name]["text"]) for name in ("unlabelled", "train", "test"))
    assert not test & (read | train), "no test sentence is read"
    highest = max(lesson["learn"].recorder.lrs)
    assert highest == pytest.approx(lesson["rate"], rel=0.1), "what lr_find suggests is used"
    assert len(lesson["ours"]) == len(lesson["theirs"]) == len(lesson["test"]) == 32
    text = lesson["test"]["text"].iloc[0]
    assert torch.equal(lesson["again"].predict(text).probs, lesson["clas"].predict(text).probs)


@pytest.mark.slow
def test_lesson_02_adds_one_stage_after_the_other_and_draws_what_they_bring(run):
    lesson = run("02_three_stages")
    labelled = [text for draw in lesson["draws"] for text in draw["text"]]
    assert not set(lesson["test"]["text"]) & {*lesson["unlabelled"], *labelled}, "no test sentence is read"
    assert lesson["perplexities"][1] < lesson["perplexities"][0], "stage 2: the sentences surprise it less"
    rates = np.array(lesson["watch"].rates)
    assert np.isnan(rates[0]).tolist() == [True, True, True, False], "the head learns first"
    assert rates[-1, 1:] / rates[-1, :-1] == pytest.approx(2.6), "each layer 2.6 times slower than the one above"
    assert len(lesson["scores"]) == 5 and all(len(of) == 3 for of in lesson["scores"].values())
    assert [t.get_text() for t in lesson["ax"].get_yticklabels()] == lesson["order"]


def printed(path) -> str:
    """The text that a lesson is stored with."""
    return "\n".join(output.get("text", "") for cell in cells(path) for output in cell.outputs)


def test_lesson_01_is_stored_with_a_model_that_beats_word_counts_by_more_than_luck():
    text = printed(NBS / "01_quickstart.ipynb")
    before, after = map(int, re.search(r"perplexity (\d+) before stage 2, (\d+) after it", text).groups())
    assert after < before / 2
    ours, theirs, p = re.search(r"ULMFiT (\S+), TF-IDF (\S+), p = (\S+)", text).groups()
    assert float(ours) > float(theirs) and float(p) < 0.001


def test_lesson_02_is_stored_with_three_stages_above_none_and_above_word_counts_in_each_draw():
    found = re.findall(r"^(.+): right .*:((?: 0\.\d+){3})$", printed(NBS / "02_three_stages.ipynb"), flags=re.M)
    scores = {name: list(map(float, three.split())) for name, three in found}
    assert list(scores) == ["TF-IDF", "stage 1", "no stage", "stages 1, 2", "stages 1, 2, 3"]
    for name in ("TF-IDF", "no stage"):
        assert all(a > b for a, b in zip(scores["stages 1, 2, 3"], scores[name], strict=True))


def test_lesson_07_is_stored_with_a_careful_rate_ahead_of_a_bold_one_and_of_both_ends():
    found = re.findall(r"^(\S+) +right of the .*: (\S+)$", printed(NBS / "07_rates.ipynb"), flags=re.M)
    right = {name: float(share) for name, share in found}
    assert right["valley"] > right["minimum"] + 0.05 > right["0.3"] > right["1e-5"] < 0.35


def test_lesson_08_is_stored_with_a_model_that_forgets_and_three_that_do_not():
    text = printed(NBS / "08_gradual_unfreezing.ipynb")
    start = int(re.search(r"perplexity of the sentences to read: (\d+)", text)[1])
    found = re.findall(r"^(.+): error (\S+) at the end, .* perplexity (\d+)$", text, flags=re.M)
    assert [name for name, _, perplexity in found if int(perplexity) > 2 * start] == ["all at once"]
    errors = [float(error) for _, error, _ in found]
    assert len(errors) == 4 and errors[0] == max(errors)


def test_lesson_09_is_stored_with_ulmfit_above_word_counts_in_each_draw_of_50_labels():
    text = printed(NBS / "09_few_labels.ipynb")
    scores = {name: [float(s) for s in re.search(rf"^{name}, 50 labels per class: (.+)$", text, flags=re.M)[1].split()]
              for name in ("ULMFiT", "word counts")}
    assert len(scores["ULMFiT"]) == 3 and min(scores["ULMFiT"]) > max(scores["word counts"]) + 0.05


def test_lesson_10_is_stored_with_both_directions_above_each_and_a_second_forward_model_as_good():
    found = re.findall(r"^(.+): right in each draw: (.+) mean", printed(NBS / "10_both_directions.ipynb"), flags=re.M)
    scores = {name: np.array(shares.split(), dtype=float) for name, shares in found}
    both = scores["both directions"]
    assert (both > scores["forwards"]).all() and (both > scores["backwards"]).all()
    assert abs(both.mean() - scores["two forward models"].mean()) < 0.02, "within noise, as the lesson says"


@pytest.mark.slow
def test_lesson_03_counts_trains_and_writes(run_shipped):
    lesson = run_shipped("03_language_model")
    assert np.allclose(lesson["P"].sum(axis=1), 1), "each row has the probabilities of what may come"
    assert lesson["by_words"]("the dog .") == pytest.approx(lesson["by_words"](". dog the")), "no order"
    assert lesson["by_hand"] == pytest.approx(lesson["by_torch"]) == pytest.approx(1.8734, abs=1e-4)
    assert lesson["lstm_by_hand"] == pytest.approx(lesson["by_library"], rel=1e-4)
    counted = [*lesson["scores"].values()]
    assert counted == sorted(counted, reverse=True) and lesson["curve"][0] == pytest.approx(counted[0], rel=0.02)
    assert lesson["curve"][-1] < counted[-1] / 1.5, "a network that looks further back is less surprised"
    assert len(lesson["nucleus"]) > 3 and lesson["drawn"] <= lesson["nucleus"]
    surprise = lesson["table"]["perplexity"]
    assert surprise["temperature 0.3"] < surprise["temperature 1"] < surprise["temperature 2"]
    assert lesson["leans"].shape == (4, 12)


def test_lesson_03_is_stored_with_a_network_that_carries_the_topic():
    found = re.findall(r"'shower': (\S+) after", printed(NBS / "03_language_model.ipynb"))
    hotel, film = map(float, found)
    assert hotel > 10 * film


@pytest.mark.slow
def test_lesson_04_finds_what_was_planted(run):
    lesson = run("04_looking_inside")
    whats = " | ".join(finding.what for finding in lesson["checkup"].findings)
    for planted in ("without a word", "repeat an earlier one", "look alike", "other languages"):
        assert planted in whats
    assert lesson["found"] > 0.6, "large losses point at wrong labels"
    assert lesson["why"].top(1)[0][0] == "awful", "the word that decides is the one that tells"
    assert lesson["calibrated"].temperature > 1, "the model was too sure"
    assert lesson["judged"].ece() < lesson["judged"].uncalibrated.ece(), "and is less so on new texts too"
    assert lesson["chosen"].precision >= 0.9, "a threshold keeps its word on the texts it was chosen with"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.E504.")
def test_lesson_07_shows_rates_that_are_too_small_and_too_large_and_a_rate_per_layer(run):
    lesson = run("07_rates")
    losses = {name: learn.recorder.losses for name, learn in lesson["runs"].items()}
    first, last = np.mean(losses["1e-5"][:5]), np.mean(losses["1e-5"][-5:])  # one batch tells little
    assert abs(last / first - 1) < 0.1, "too small: nothing happens"
    assert max(losses["0.3"]) == max(map(max, losses.values())), "too large: the loss jumps"
    hps = {how: learn.recorder.hps for how, learn in lesson["shapes"].items()}
    assert np.allclose(lesson["by_hand"], hps["fit_stlr"]["lr"]), "the formula of the paper, by hand"
    assert int(np.argmax(hps["fit_one_cycle"]["lr"])) == int(np.argmin(hps["fit_one_cycle"]["mom"])), "a mirror image"
    rates = np.array(lesson["watch"].rates)
    assert rates[:, 1:] / rates[:, :-1] == pytest.approx(2.6)
    one, several = lesson["ways"].values()
    assert several[0] / several[-1] < one[0] / one[-1], "the words stay, the head moves"


@pytest.mark.slow
def test_lesson_05_makes_by_hand_the_batches_that_the_library_makes(run_shipped):
    lesson = run_shipped("05_text_to_batches")
    assert all(note in lesson["tokenizer"](text) or note == "xxunk" for note, (_, text) in lesson["NOTES"].items())
    size, n_tokens, unknown = lesson["measured"].to_numpy().T
    assert size[0] > size[2] and n_tokens[0] < n_tokens[1] < n_tokens[2] and unknown[0] > 0.05 > unknown[1]
    assert lesson["by_hand"] == lesson["by_library"][:len(lesson["by_hand"])]
    assert lesson["agree"] == [True] * len(lesson["windows"]) and len(lesson["loader"]) == len(lesson["windows"]) > 3
    by_table, by_length, library = lesson["shares"].values()
    assert by_table > 0.2 > 0.1 > by_length and library < 0.1
    assert lesson["mask_agrees"] and lesson["padding_difference"] < 1e-6
    assert lesson["n_words"] == 28 and lesson["n_pieces"] == 7, "pieces find the nouns of Korean"


@pytest.mark.slow
def test_lesson_06_is_equal_by_hand_and_in_the_library(run_shipped):
    lesson = run_shipped("06_awd_lstm")
    assert lesson["lstm_difference"] < 1e-5 and max(lesson["window_differences"]) < 1e-5
    assert lesson["mean_of_mask"] == pytest.approx(1, abs=0.02) and lesson["input_ratios"] == [0, 1.6667]
    assert lesson["weight_zeros"] == pytest.approx(0.5, abs=0.01), "what was dropped gets no gradient"
    for name in ("hidden_out", "output_out"):  # one mask for each text, for all of its words
        zeros = lesson[name] == 0
        assert torch.equal(zeros, zeros[:, :1].expand_as(zeros)) and not torch.equal(zeros[0], zeros[1])
    assert lesson["is_tied"] and lesson["scores_agree"] and lesson["pool_agrees"]
    penalty = lesson["watch"].whole - lesson["watch"].plain
    assert penalty == pytest.approx(lesson["AR"] + lesson["TAR"], rel=1e-2) and lesson["TAR"] > 0
    assert lesson["steps"]["beta=0"] > lesson["steps"]["beta=30"], "TAR slows the states"
    reached = [(sizes > 0).tolist() for sizes in lesson["PANELS"].values()]
    assert reached == [[True] * 36, [False] * 24 + [True] * 12, [True] * 36, [False] * 24 + [True] * 12]
    assert torch.allclose(lesson["head_by_hand"], lesson["head_by_library"], atol=1e-5)
def test_lesson_08_freezes_from_below_and_asks_after_each_epoch_what_is_forgotten(run):
    lesson = run("08_gradual_unfreezing")
    frozen = [row[1:5].count("frozen") for row in lesson["table"]]
    assert frozen == [3, 2, 1, 0]
    watches = lesson["watches"]
    assert all(len(w.errors) == len(w.perplexities) == lesson["EPOCHS"] for w in watches.values()), "an epoch each"
    for name in ("gradual unfreezing", "chain-thaw"):
        assert watches[name].perplexities[0] == pytest.approx(lesson["at_start"]), "a frozen encoder forgets nothing"
    assert watches["all at once"].perplexities[0] != pytest.approx(lesson["at_start"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lesson_09_draws_curves_and_finds_planted_labels(run):
    lesson = run("09_few_labels")
    assert list(lesson["curves"]["ULMFiT"]) == [4, 12] and list(lesson["curves"]["word counts"]) == [4, 12, 20]
    assert not set(lesson["test"]["text"]) & set(lesson["rest"]["text"]), "no test text has a label"
    formula = np.sqrt(lesson["p"] * (1 - lesson["p"]) / 100)
    assert 2 * formula == pytest.approx((lesson["high"] - lesson["low"]) / 2, abs=0.03), "the formula fits the draws"
    assert lesson["rows"]["score"].is_monotonic_decreasing, "the closest race comes first"
    assert lesson["found"] > 1.5 * lesson["wrong"].mean(), "a doubtful label is wrong more often than another"


@pytest.mark.slow
def test_lesson_10_averages_a_classifier_of_each_direction(run_shipped):
    lesson = run_shipped("10_both_directions")
    assert np.allclose(lesson["by_hand"], lesson["by_library"], atol=1e-5)
    assert lesson["last"]["backwards"].dls.backwards and not lesson["last"]["forwards again"].dls.backwards
    assert list(lesson["scores"]) == [*lesson["kinds"], *lesson["means"]]
    assert len(lesson["agree"]) == len(lesson["hit"]) == len(lesson["test"]) * lesson["DRAWS"]


@pytest.mark.slow
def test_lesson_11_shows_what_a_word_gains_by_its_sentence(run_shipped):
    lesson = run_shipped("11_word_vectors_to_elmo")
    assert lesson["by_counts"][0, 1] < 0.5 < lesson["by_vectors"][0, 1], "like words make like texts"
    assert not lesson["by_layer"][0].std(0).any() and lesson["by_layer"][1].std(0).all(), "one word, sixteen states"
    assert min(lesson["right"].values()) > 0.5, "the nearest sentence has the same meaning"
    bag, first, _ = lesson["table"]["feeling"]
    assert bag < 0.6 < first, "no bag of vectors knows the order of the words"


def test_lesson_11_is_stored_with_a_mix_of_words_for_topics_and_of_layers_for_order():
    text = printed(NBS / "11_word_vectors_to_elmo.ipynb")
    found = re.findall(r"^(\w+): right (\S+), shares of the layers (\S+)", text, flags=re.M)
    shares = {task: float(share) for task, right, share in found if float(right) > 0.8}
    assert shares["feeling"] < 1 / 3 < shares["topic"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lesson_13_reads_first_then_learns_and_keeps_what_it_has_learned_for_another_task(run):
    pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
    lesson = run("13_gpt1")
    right = {name: share for name, (share, *_) in {**lesson["scores"], **lesson["swapped"]}.items()}
    assert right["after stage 1"] > lesson["scores"]["from scratch"][0] + 0.2, "language comes first"
    assert right["both losses, from scratch"] > lesson["scores"]["from scratch"][0] + 0.2, "from the same texts too"
    assert right["from the mood"] > right["from scratch"] + 0.2, "an encoder goes from task to task"
    assert [len(texts) for texts in lesson["shown"].values()] == [2, 2, 2] and lesson["same"][0] > 0.8
    assert lesson["shots"]["accuracy"][0] < 0.65, "without a label a tiny model guesses"


@pytest.mark.slow
def test_lesson_14_tags_by_the_words_on_both_sides_and_by_the_verb_that_is_asked_about(run):
    lesson = run("14_tagging_and_spans")
    words, spans = zip(*lesson["scores"].values(), strict=True)
    assert list(lesson["scores"]) == ["a tag for each word", "words before", "both sides"]
    assert [*words] == sorted(words) and [*spans] == sorted(spans), "each sees more than the one above"
    assert spans[0] < 0.7 < 0.85 < words[0] and spans[2] > 0.95, "words are right more often than spans"
    assert lesson["words_right"] == pytest.approx(words[2]) and lesson["spans"] == pytest.approx(spans[2])
    assert [[tuple(each)[::3] for each in answer.entities] for answer in lesson["answers"]] == [
        [("A0", "Clara"), ("V", "likes"), ("A1", "Erik who eats bread")],
        [("A0", "Erik"), ("V", "eats"), ("A1", "bread")]]
    found, context = lesson["reader"].predict(("Who moved?", lesson["context"])), lesson["context"]
    assert context[found.start:found.end] == found.answer, "an answer is cut out of its context"
    assert lesson["answer_score"].exact_match > 0.9, "answers are found by what the question asks"
    (low, low_without), (_, high_without) = lesson["curve"][0], lesson["curve"][-1]
    assert low_without < 0.5 < low and high_without > 0.9, "a threshold keeps quiet"


@pytest.mark.slow
def test_lesson_12_takes_a_bert_through_the_recipe(run):
    pytest.importorskip("transformers")
    lesson = run("12_the_same_recipe_on_bert")
    assert len(lesson["scores"]) == 6 and set(lesson["train"]["text"]).isdisjoint(lesson["test"]["text"])
    n = len(lesson["names"])  # layer groups
    assert [phase["frozen layer groups"] for phase in lesson["learn"].phases] == [n - 1, n - 3, 0]
    assert type(lesson["model"].learners_[0].encoder).__name__ == "Transformer"
    assert all(lesson["holds"].values()), lesson["holds"]


@pytest.mark.slow
def test_lesson_15_reads_korean_in_pieces_and_takes_them_along(run):
    lesson = run("15_your_language_korean")
    words, pieces = (lesson["shares"][of] for of in ("words", "pieces"))
    assert words.iloc[0] > 0.1 > pieces.iloc[0] and pieces.iloc[-1] < 0.01, "pieces are known, words are not"
    text = "음악이 훌륭했습니다."
    assert "".join(lesson["pieces"](text)[1:]).replace("▁", " ").strip() == text
    assert lesson["clas"].dls.text_vocab.itos == lesson["lm"].dls.vocab.itos, "the classifier reads as the model does"
    assert 'encoding="cp949"' in str(lesson["refused"]) and set(lesson["table"]["label"]) == {"긍정", "부정"}
    assert lesson["ran"].returncode == 0 and "SentencePieceTokenizer('ko'" in repr(lesson["dls"].tokenizer)


def test_lesson_15_is_stored_with_pieces_above_word_counts():
    found = re.findall(r"^(.+): (0\.\d+)$", printed(NBS / "15_your_language_korean.ipynb"), re.M)
    scores = {name: float(score) for name, score in found}
    assert scores["pieces, language model"] > max(scores["TF-IDF of words"], scores["TF-IDF of 2 to 4 characters"])


@pytest.mark.slow
def test_lesson_16_acts_in_a_fit_and_survives_a_crash(run):
    lesson = run("16_a_callback")
    events = lesson["indented"](lesson["diary"].events).splitlines()
    assert events[0] == "before_fit" and events[-1] == "cleanup_fit"
    assert lesson["norms"]["words"].isna().sum() == len(lesson["frozen"]) > 0, "a frozen layer has no gradients"
    assert len(lesson["stopped"]) <= len(lesson["later"]) <= len(lesson["to_the_end"])
    assert lesson["skip"].skipped == lesson["diary"].events.count("after_cancel_step") > 0
    assert lesson["without"] < lesson["with_state"] == 2 * len(lesson["resumed"].dls.train_ds)
    assert lesson["same"], "a fit that was resumed is the fit that never stopped"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lesson_17_gives_one_answer_and_refuses_what_was_changed(run_shipped):  # as the commands, in other processes
    lesson = run_shipped("17_notebook_to_command")
    assert lesson["difference"] < 1e-5 and lesson["agree"] == 1
    done = [lesson[name].returncode for name in ("ran", "scored", "trained", "again")]
    assert done == [0, 0, 0, 0]
    assert [type(error).__name__ for error in lesson["refused"]] == ["FileError"] * 3
    assert not (lesson["folder"] / "trapped").exists() and len(lesson["estimator"].classes_) == 2
    assert lesson["graph"] is None or lesson["by_graph"].stdout.startswith(("neg 0", "pos 0"))


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS)
def test_a_lesson_runs_in_jupyter(path, tmp_path):
    from nbclient import NotebookClient

    nb = nbformat.read(path, as_version=4)
    for cell, source in zip((c for c in nb.cells if c.cell_type == "code"), small(path), strict=True):
        cell.source = source
    NotebookClient(nb, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert_clean(nb)


@pytest.mark.parametrize("path", LESSONS)
def test_a_lesson_is_stored_with_the_outputs_of_one_whole_run(path):
    assert_clean(nbformat.read(path, as_version=4))
    assert path.stat().st_size < 400_000


def assert_clean(nb):
    """Check that all cells ran in order, that nothing failed, and that no output needs widgets or names the machine."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}, "no errors"
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert "image/png" in kinds and kinds <= {"text/plain", "text/html", "image/png"}, "charts, and no widgets"
    assert not [output.text for output in outputs if output.get("name") == "stderr"], "no warnings"
    shown = json.dumps([[output.get("text"), {k: v for k, v in output.get("data", {}).items() if k != "image/png"}]
                        for output in outputs])
    assert not MACHINE.search(shown), "no folder and no address of this machine"


@pytest.mark.parametrize("path", LESSONS)
def test_a_lesson_imports_public_names_only(path):
    source = "\n".join(without_magics(cell.source) for cell in cells(path))
    names = [node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    assert [name for name in names if name.startswith("ulmfit_easy")] == ["ulmfit_easy.all"]
    assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Assert)], "a lesson asks, tests assert"


@pytest.mark.parametrize("path", LESSONS)
def test_each_question_of_a_lesson_has_an_answer(path):
    def points(text, heading):
        return re.findall(r"^(\d)\. ", "".join(re.split(heading, text)[1:]).split("\n## ")[0], re.M)

    lesson = "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    answers = (NBS / "answers.md").read_text(encoding="utf-8")
    assert points(answers, re.escape(f"({path.name})")) == points(lesson, r"\n## .*Questions\n")
