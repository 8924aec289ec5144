import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpret_toys import classifier, data, several_labels

from ulmfit_easy.apps.calibration import (
    Calibrated,
    _identity,
    best_temperature,
    calibrate,
    expected_calibration_error,
    reliability,
    threshold_for,
)
from ulmfit_easy.bundle.artefact import save_weights
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.learner.text import load_learner

TEXTS = ["The plot was awful .", "my brother loved it too", "it was not boring at all , it was superb ."]


@pytest.fixture(scope="module")
def learn():
    df = toy_reviews(160, seed=0)
    df.loc[::4, "label"] = "pos"  # some labels are wrong, so that a model that is sure is too sure
    learn = classifier(data(df, valid_pct=0.5)).unfreeze()
    learn.fit_one_cycle(8, 0.03)
    return learn


def claims(n, factor, several=False, seed=0):
    """Logits that are too sure by a factor, and targets drawn from what they should be."""
    g = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(n, 4, generator=g, dtype=torch.float64)
    if several:
        return z * factor, (torch.rand(n, 4, generator=g) < z.sigmoid()).float()
    return z * factor, z.softmax(1).multinomial(1, generator=g).squeeze(1)


def nll(logits, targs, temperature):
    z = logits / temperature
    return float(torch.nn.functional.cross_entropy(z, targs) if targs.dim() == 1 else
                 torch.nn.functional.binary_cross_entropy_with_logits(z, targs.double()))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_a_confidence_that_is_wrong_by_a_factor(factor, several):
    logits, targs = claims(20_000, factor, several)
    assert best_temperature(logits, targs) == pytest.approx(factor, rel=0.05)


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=25)
def test_no_other_temperature_makes_the_labels_likelier(seed, several):
    logits, targs = claims(40, 3.0, several, seed)
    best = best_temperature(logits, targs)
    others = np.geomspace(1 / 20, 20, 101)
    assert nll(logits, targs, best) <= min(nll(logits, targs, t) for t in others) + 1e-9


@pytest.mark.parametrize("logits, targs", [
    ([[3.0, 0.0], [0.0, 2.0]], [0, 1]),  # all right: the surer the better
    ([[3.0, 0.0], [0.0, 2.0]], [1, 0]),  # all wrong
    ([[1.0, 1.0], [2.0, 2.0]], [1, 0])])  # no opinion
def test_texts_that_cannot_tell_leave_the_probabilities_as_they_are(logits, targs):
    with pytest.warns(UserWarning, match="cannot tell"):
        assert best_temperature(torch.tensor(logits), torch.tensor(targs)) == 1.0


def test_calibration_changes_probabilities_and_neither_weights_nor_decisions(learn):
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    plain = learn.predict(TEXTS)
    calibrated = calibrate(learn)
    assert calibrated.temperature != 1
    for a, b in zip(calibrated.predict(TEXTS), plain, strict=True):
        assert (a.label, a.index) == (b.label, b.index)
        torch.testing.assert_close(a.probs, (b.probs.log() / calibrated.temperature).softmax(0))
    assert calibrated.predict(TEXTS[0], with_input=True)[0] == TEXTS[0]
    assert repr(calibrated) == f"Calibrated(temperature={calibrated.temperature!r})"
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())
    for a, b in zip(learn.predict(TEXTS), plain, strict=True):
        assert torch.equal(a.probs, b.probs)  # the learner itself goes on as it was


def test_calibrated_texts_are_likelier_and_the_learners_own_probabilities_stay_at_hand(learn):
    calibrated = calibrate(learn)
    preds, targs = learn.get_preds()
    torch.testing.assert_close(calibrated.uncalibrated.probs.float(), preds)
    assert torch.equal(calibrated.targs, targs)
    assert nll(calibrated.logits, targs, calibrated.temperature) < nll(calibrated.logits, targs, 1.0)


def test_the_same_temperature_can_be_judged_on_other_texts(learn):
    calibrated = calibrate(learn)
    df = toy_reviews(30, seed=5)
    other = calibrated.on(learn.dls.test_dl(df, with_labels=True))
    assert other.temperature == calibrated.temperature and len(other.targs) == 30
    assert torch.equal(calibrated.on(ds_idx=0).targs, learn.get_preds(ds_idx=0)[1])
    df.loc[:9, "label"] = "unheard"
    with pytest.warns(UserWarning, match="unheard"):
        assert len(calibrated.on(learn.dls.test_dl(df, with_labels=True)).targs) == 20


def test_several_labels_are_calibrated_each_for_itself():
    learn = classifier(data(several_labels(), label_delim=";"))
    calibrated = calibrate(learn)
    a, b = calibrated.predict(TEXTS[0]), learn.predict(TEXTS[0])
    torch.testing.assert_close(a.probs, (b.probs.logit() / calibrated.temperature).sigmoid(), atol=1e-5, rtol=1e-4)
    assert 0 <= calibrated.ece() <= 1 and calibrated.threshold_for("film", recall=0.9).recall >= 0.9


def test_a_regression_or_texts_without_labels_cannot_be_calibrated(learn):
    stars = toy_reviews(60, seed=0).assign(label=[i / 7 for i in range(60)])
    with pytest.raises(TrainingError, match="E506"):
        calibrate(classifier(data(stars, y_block="regression")))
    with pytest.raises(TrainingError, match="E506"):
        calibrate(learn, dl=learn.dls.test_dl(TEXTS))


def test_a_model_of_probabilities_has_no_logits_to_divide():
    learn = classifier(data(several_labels(), label_delim=";"), y_range=(0, 1), loss_func=BCELossFlat())
    with pytest.raises(TrainingError, match="E506.*BCELossFlat"):
        calibrate(learn)


# --- keeping it ---

def test_a_calibration_is_kept_beside_an_exported_model(learn, tmp_path):
    calibrated, kept = calibrate(learn), tmp_path / "calibration.safetensors"
    assert calibrated.save(kept) == kept
    loaded = Calibrated.load(load_learner(learn.export(tmp_path / "model")), kept)
    for a, b in zip(loaded.predict(TEXTS), calibrated.predict(TEXTS), strict=True):
        assert a.label == b.label
        torch.testing.assert_close(a.probs, b.probs)
    assert loaded.temperature == calibrated.temperature != 1 and loaded.ece() == calibrated.ece()
    assert loaded.threshold_for("pos", recall=0.8) == calibrated.threshold_for("pos", recall=0.8)


def test_a_calibration_of_another_model_or_another_file_is_refused(learn, tmp_path):
    kept = calibrate(learn).save(tmp_path / "calibration.safetensors")
    with pytest.raises(FileError, match="E402"):
        Calibrated.load(classifier(data(label_col="topic")), kept)
    weights = tmp_path / "encoder.safetensors"
    learn.save_encoder(weights)
    with pytest.raises(FileError, match="E401.*no calibration"):
        Calibrated.load(learn, weights)


def test_a_calibration_belongs_to_one_models_weights_in_16_bits_too(learn, tmp_path):
    kept = calibrate(learn).save(tmp_path / "calibration.safetensors")
    Calibrated.load(load_learner(learn.export(tmp_path / "half", half=True)), kept)
    other = load_learner(learn.export(tmp_path / "model"))
    with torch.no_grad():
        next(other.model.parameters()).add_(0.01)
    with pytest.raises(FileError, match="E402.*weights of this learner"):
        Calibrated.load(other, kept)


@pytest.mark.parametrize("change", [
    {"temperature": -1.0}, {"temperature": 0.0}, {"temperature": 1}, {"temperature": "2"}, {"temperature": None},
    {"temperature": 1e9}, {"logits": None}, {"logits": torch.full((2, 2), float("nan"))}, {"logits": torch.zeros(2)},
    {"targs": torch.tensor([0, 7])}, {"targs": torch.tensor([0.0, 1.0])}, {"targs": torch.tensor([0])},
], ids=range(12))
def test_values_that_no_calibration_has_are_e401(learn, tmp_path, change):
    values = {"temperature": 1.5, "logits": torch.zeros(2, 2).double(), "targs": torch.tensor([0, 1]), **change}
    tensors = {k: values.pop(k) for k in ("logits", "targs") if values[k] is not None}
    kept = save_weights(tmp_path / "c.safetensors", tensors, temperature=values["temperature"], **_identity(learn))
    with pytest.raises(FileError, match="E401"):
        Calibrated.load(learn, kept)


# --- reliability and expected calibration error ---

def test_the_calibration_error_of_a_small_example_is_as_worked_out_by_hand():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [0.6, 0.4]])
    targs = np.array([0, 1, 1, 1])
    # bins of width 1/5: (0.6, 0.65): sure 0.625, right 1/2; (0.8, 0.9): sure 0.85, right 1/2
    found = reliability(probs, targs, n_bins=5)
    np.testing.assert_allclose(found.confidence, [0.625, 0.85])
    assert found.accuracy.tolist() == [0.5, 0.5] and found.count.tolist() == [2, 2]
    assert expected_calibration_error(probs, targs, n_bins=5) == pytest.approx((0.125 * 2 + 0.35 * 2) / 4)


def test_a_sure_and_right_model_has_no_error_and_a_sure_and_wrong_one_the_largest():
    sure = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert expected_calibration_error(sure, torch.tensor([0, 1])) == 0
    assert expected_calibration_error(sure, torch.tensor([1, 0])) == 1
    flags = torch.tensor([[1, 0], [0, 1]])
    assert expected_calibration_error(sure, flags) == 0 and expected_calibration_error(sure, 1 - flags) == 1


@pytest.mark.parametrize("several", [False, True])
def test_the_error_falls_when_an_oversure_model_is_calibrated(several):
    logits, targs = claims(5000, 4.0, several)
    activation = torch.sigmoid if several else lambda z: z.softmax(1)
    before, after = (expected_calibration_error(activation(logits / t), targs)
                     for t in (1.0, best_temperature(logits, targs)))
    assert before > 0.1 and after < 0.03


def test_the_picture_has_both_curves_with_their_errors(learn):
    calibrated = calibrate(learn)
    ax = calibrated.plot_reliability(n_bins=5)
    names = [t.get_text() for t in ax.get_legend().get_texts()]
    assert names == [f"before, error {calibrated.uncalibrated.ece():.3f}",
                     f"temperature {calibrated.temperature:.2f}, error {calibrated.ece():.3f}"]
    x, y = ax.lines[2].get_data()
    want = reliability(calibrated.probs, calibrated.targs, 5)
    assert x.tolist() == want.confidence.tolist() and y.tolist() == want.accuracy.tolist()
    assert ax.get_title() and ax.get_xlabel() and ax.get_ylabel()


# --- thresholds ---

def at_threshold(probs, truth, threshold):
    chosen = probs >= threshold
    return (truth[chosen].mean() if chosen.any() else 0.0), truth[chosen].sum() / max(1, truth.sum()), chosen.sum()


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.8, 0.9]), st.booleans()), min_size=1, max_size=30),
       st.sampled_from(["precision", "recall"]), st.sampled_from([0.5, 0.8, 1.0]))
@settings(deadline=None, max_examples=100)
def test_a_threshold_reaches_what_was_asked_and_no_other_does_so_with_more_of_the_rest(rows, figure, least):
    probs, truth = np.array([p for p, _ in rows]), np.array([t for _, t in rows])
    ways = [at_threshold(probs, truth, p) for p in set(probs)]
    wanted, other = (0, 1) if figure == "precision" else (1, 0)
    able = [way for way in ways if way[wanted] >= least]
    if not able:
        with pytest.raises(ArgumentError, match="E60"):
            threshold_for(probs, truth, **{figure: least})
        return
    found = threshold_for(probs, truth, **{figure: least})
    assert at_threshold(probs, truth, found.threshold) == pytest.approx((found.precision, found.recall, found.n))
    assert (found.precision, found.recall)[wanted] >= least
    assert (found.precision, found.recall)[other] == pytest.approx(max(way[other] for way in able))


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("figure", ["precision", "recall"])
@pytest.mark.filterwarnings("error")
def test_a_class_that_no_text_is_of_has_no_threshold(n, figure):
    with pytest.raises(ArgumentError, match="E602.*at most 0.000"):
        threshold_for(np.linspace(0, 1, n), [False] * n, **{figure: 0.5})


def test_of_thresholds_that_are_equally_good_the_highest_is_taken():
    found = threshold_for([0.9, 0.8, 0.7, 0.6], [True, False, True, False], precision=0.5)
    assert found == (0.7, 2 / 3, 1.0, 3)  # at 0.6 the recall is the same, and the precision lower
    assert threshold_for([0.9, 0.8], [True, True], recall=0.5) == (0.9, 1.0, 0.5, 1)


def test_a_threshold_belongs_to_one_class_and_its_calibrated_probability(learn):
    calibrated = calibrate(learn)
    i = learn.dls.classes.index("neg")
    probs, truth = calibrated.probs[:, i].numpy(), (calibrated.targs == i).numpy()
    found = calibrated.threshold_for("neg", recall=0.8)
    assert at_threshold(probs, truth, found.threshold) == pytest.approx((found.precision, found.recall, found.n))
    with pytest.raises(ArgumentError, match="E604.*neg, pos"):
        calibrated.threshold_for("bad", recall=0.8)


@pytest.mark.parametrize("options", [dict(), dict(precision=0.9, recall=0.9)])
def test_one_figure_must_be_named(options):
    with pytest.raises(ArgumentError, match="E603"):
        threshold_for([0.5], [True], **options)
