"""Every number of a preset is the one its source gives."""

import json
from dataclasses import fields, replace

import pytest
from odd_values import ODD
from recipes_tiny import TINY

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.optim.optimizer import expand_lr
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.models.awd_lstm import awd_lstm_clas_config, awd_lstm_lm_config
from ulmfit_easy.models.transformer import Transformer
from ulmfit_easy.recipes.presets import PRESETS, Phase, Preset, get_preset
from ulmfit_easy.recipes.stages import preset_for, rates


class Groups:
    """As much of a learner as `rates` looks at: an optimizer with n layer groups."""

    def __init__(self, n):
        self.opt = self
        self.param_groups = [[] for _ in range(n)]


def rates_of(phase, n):
    return expand_lr(rates(Groups(n), phase), n)


@pytest.mark.parametrize("name", ["paper", "code_2018", "fastai", "laptop", "transformer", "decoder"])
def test_each_preset_has_its_name_a_source_and_three_stages(name):
    p = PRESETS[name]
    assert p.name == name and len(p.source) > 20
    assert p.pretrain and p.lm and p.clas
    assert p.clas[-1].freeze_to == 0  # in the end everything trains


def test_the_papers_classifier_rates_fall_by_2_6_a_group():
    lrs = rates_of(PRESETS["paper"].clas[-1], 5)
    assert lrs == pytest.approx([2.19e-4, 5.69e-4, 1.48e-3, 3.85e-3, 1e-2], rel=2e-3)


def test_the_paper_preset_has_the_papers_numbers():
    p = PRESETS["paper"]
    drops = {"output_p": 0.4, "hidden_p": 0.3, "input_p": 0.4, "embed_p": 0.05, "weight_p": 0.5}
    assert p.lm_config == p.clas_config == drops and p.clas_drop_mult == p.lm_drop_mult == 1
    assert (p.config["n_hid"], p.seq_len, p.lm_bs, p.clas_bs, p.mom) == (1150, 70, 64, 64, 0.7)
    assert [(f.lr, f.factor, f.cut_frac, f.ratio) for f in p.lm] == [(4e-3, None, 0.1, 32)]
    assert [f.freeze_to for f in p.clas] == [-1, -2, -3, -4, 0]
    assert [f.epochs for f in p.clas[:4]] == [1, 1, 1, 1] and sum(f.epochs for f in p.clas) == 50
    assert {(f.lr, f.factor, f.schedule, f.cut_frac, f.ratio) for f in p.clas} == {(1e-2, None, "stlr", 0.1, 32)}


def test_the_codes_language_model_rates_are_its_divisors():
    p = PRESETS["code_2018"]
    assert rates_of(p.lm[0], 4) == pytest.approx([4e-3 / 6, 4e-3 / 3, 4e-3, 4e-3 / 2])
    assert rates_of(p.pretrain[0], 4) == pytest.approx([1e-3 / 6, 1e-3 / 3, 1e-3, 1e-3])


def test_divisors_count_from_the_top_for_another_number_of_groups():
    phase = Phase(1, 6.0, divisors=(6, 3, 1, 2))
    assert rates_of(phase, 3) == [2.0, 6.0, 3.0]
    assert rates_of(phase, 6) == [1.0, 1.0, 1.0, 2.0, 6.0, 3.0]


def test_the_code_preset_has_the_scripts_numbers():
    p = PRESETS["code_2018"]
    assert p.lm_config == p.clas_config == {} and p.clas_drop_mult == p.lm_drop_mult == 1  # the defaults are theirs
    lm = {"output_p": 0.1, "hidden_p": 0.15, "input_p": 0.25, "embed_p": 0.02, "weight_p": 0.2}
    clas = {"output_p": 0.4, "hidden_p": 0.3, "input_p": 0.4, "embed_p": 0.05, "weight_p": 0.5}
    assert lm.items() <= awd_lstm_lm_config.items() and clas.items() <= awd_lstm_clas_config.items()
    assert (p.mom, p.lm_bs, p.clas_bs, p.seq_len) == (0.8, 64, 32, 70)
    assert (p.lm_wd, p.clas_wd, p.lm_clip, p.clas_clip) == (1e-7, 1e-6, 0.3, 25)
    assert [(f.freeze_to, f.cut_frac, f.ratio) for f in p.clas] == [(-1, 1 / 3, 8), (-2, 1 / 3, 8), (0, 1 / 8, 8)]
    assert [(f.lr, f.factor) for f in p.clas] == [(1e-2, None)] * 3


def test_the_fastai_preset_has_the_tutorials_numbers():
    p = PRESETS["fastai"]
    assert [(f.epochs, f.lr, f.freeze_to) for f in p.lm] == [(1, 1e-2, -1), (10, 1e-3, 0)] and p.lm_wd == 0.1
    assert [(f.epochs, f.lr, f.freeze_to) for f in p.clas] == [(1, 2e-2, -1), (1, 1e-2, -2), (1, 5e-3, -3),
                                                               (2, 1e-3, 0)]
    for phase in p.clas[1:]:
        assert rates_of(phase, 5) == pytest.approx(expand_lr(slice(phase.lr / 2.6**4, phase.lr), 5))
    assert (p.lm_bs, p.seq_len, p.moms, p.clas_drop_mult) == (64, 72, (0.8, 0.7, 0.8), 0.5)


def test_laptop_is_what_the_log_measured():
    p = PRESETS["laptop"]
    assert p.pool_words and (p.min_freq, p.max_vocab, p.clas_bs) == (2, 30000, 16)
    assert [(f.epochs, f.lr, f.freeze_to, f.factor) for f in p.lm] == [(1, 4e-3, 0, 1.0)]
    assert [(f.epochs, f.lr, f.freeze_to, f.factor) for f in p.clas] == [(2, 2e-2, -1, 1.0), (4, 6e-3, 0, 1.0)]



def test_an_unknown_preset_is_an_error_with_the_names():
    with pytest.raises(ArgumentError, match=r"E604.*lapdog.*paper, code_2018, fastai, laptop"):
        get_preset("lapdog")


def test_get_preset_changes_a_copy():
    assert get_preset("laptop", clas_bs=7) == replace(PRESETS["laptop"], clas_bs=7)
    assert PRESETS["laptop"].clas_bs != 7
    assert get_preset(TINY) == TINY and get_preset(TINY, mom=0.5).mom == 0.5


@pytest.mark.parametrize(("cls", "name"), [(cls, f.name) for cls in (Preset, Phase) for f in fields(cls)])
def test_any_value_of_a_preset_is_refused_or_goes_through_json(cls, name):
    for value in ODD:
        try:
            made = replace(TINY if cls is Preset else TINY.clas[0], **{name: value})
        except ArgumentError:
            continue
        preset = made if cls is Preset else replace(TINY, lm=(made,))
        assert Preset.from_json(json.loads(json.dumps(preset.to_json(), allow_nan=False))) == preset, value


@pytest.mark.parametrize("preset", [TINY, *PRESETS.values()], ids=lambda p: p.name)
def test_a_preset_goes_through_json(preset):
    assert Preset.from_json(json.loads(json.dumps(preset.to_json()))) == preset


def test_the_preset_of_transformers_is_what_the_log_measured():
    p = PRESETS["transformer"]
    assert [(f.epochs, f.lr, f.freeze_to, f.factor) for f in p.clas] == [(2, 2e-3, -1, 1.0), (4, 1e-4, 0, None)]
    assert (p.clas_bs, p.clas_drop_mult, p.adapts) == (16, 1.0, False)
    assert PRESETS["decoder"] == replace(p, name="decoder", source=PRESETS["decoder"].source, clas=(Phase(6, 1e-4),))


@pytest.mark.parametrize("preset, layers", [(None, 21), ("decoder", None)], ids=["its own", "named"])
def test_smollm2_is_read_up_to_the_layer_that_did_best(preset, layers):
    smollm2 = PretrainedLM("smollm2", {"encoder": {"name": "CausalTransformer"}}, None, {})
    found = preset_for(preset, smollm2)
    assert (found.name, found.clas_config.get("n_layers")) == ("decoder", layers)


@pytest.mark.parametrize("name", ["paper", "laptop", None])
def test_a_preset_of_an_lstm_is_refused_for_a_transformer_if_it_sets_its_dropouts(name):
    if name == "paper":
        with pytest.raises(ArgumentError, match="E603.*preset='paper' with Transformer, which has no .*hidden_p"):
            preset_for(name, Transformer)
    else:
        assert preset_for(name, Transformer).name == (name or "transformer")
