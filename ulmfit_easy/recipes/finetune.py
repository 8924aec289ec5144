"""Stage 2: learn how the target texts are written."""

from ulmfit_easy.learner.text_learner import LMLearner
from ulmfit_easy.recipes.phases import run_phases
from ulmfit_easy.recipes.presets import Preset, get_preset


def finetune_lm(learn: LMLearner, preset: str | Preset = "laptop") -> LMLearner:
    """Stage 2: go on with a pretrained language model on the target text (section 3.2 of the paper).

    The learner is one made with `pretrained=`, over the target text and its own vocabulary. Runs the preset's `lm`
    phases, with discriminative rates where the preset has them; returns the learner.
    """
    p = get_preset(preset)
    return run_phases(learn, p.lm, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip)
