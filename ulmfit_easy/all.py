"""All public names: `from ulmfit_easy.all import *` in a notebook brings these and no others."""

import typing as _typing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ulmfit_easy import absent as _absent
from ulmfit_easy.apps.attribute import Attribution, explain
from ulmfit_easy.apps.calibration import Calibrated, calibrate, expected_calibration_error
from ulmfit_easy.learner.export import inference_module
from ulmfit_easy.apps.frames import *
from ulmfit_easy.apps.interpret import ClassificationInterpretation, Interpretation
from ulmfit_easy.bundle.artefact import load_bundle, save_bundle
from ulmfit_easy.bundle.shipped import shipped_vectors
from ulmfit_easy.data.balance import class_weights
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.conll import *
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.datasets import read_dataset, read_vader_reviews
from ulmfit_easy.data.doctor import doctor
from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.data.sources import get_files, get_text_files, parent_label, read_table
from ulmfit_easy.data.splits import *
from ulmfit_easy.data.squad import read_squad
from ulmfit_easy.data.masked import MaskedDataLoader
from ulmfit_easy.data.targets import CategoryBlock, CategoryMap, MaskedToken, MultiCategoryBlock, RegressionBlock
from ulmfit_easy.data.targets import TagBlock
from ulmfit_easy.data.targets.next_sentence import NextSentence
from ulmfit_easy.data.toy import toy_reviews, toy_texts
from ulmfit_easy.errors import FileError, LabelError, TextError, TrainingError, UlmfitError, VocabError
from ulmfit_easy.fastai.block import *
from ulmfit_easy.fastai.callbacks import *
from ulmfit_easy.fastai.downloads import download
from ulmfit_easy.fastai.getters import *
from ulmfit_easy.fastai.hooks import *
from ulmfit_easy.fastai.loggers import *
from ulmfit_easy.fastai.losses import *
from ulmfit_easy.fastai.metrics import *
from ulmfit_easy.fastai.names import *
from ulmfit_easy.fastai.optim_wrapper import *
from ulmfit_easy.fastai.optimizers import *
from ulmfit_easy.fastai.rates import *
from ulmfit_easy.fastai.splits import *
from ulmfit_easy.fastai.tokenized import *
from ulmfit_easy.fastai.untar import *
from ulmfit_easy.learner.callbacks.auxiliary import *
from ulmfit_easy.learner.callbacks.averaging import NTASGD
from ulmfit_easy.learner.callbacks.cache_features import CacheFeatures
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.lora import LoRA
from ulmfit_easy.learner.callbacks.precision import MixedPrecision
from ulmfit_easy.learner.callbacks.preds import *
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.callbacks.recorder import RateRecorder, Recorder
from ulmfit_easy.learner.callbacks.rnn import HiddenState, ModelResetter, RateBySeqLen, RNNCallback, RNNRegularizer
from ulmfit_easy.learner.callbacks.tracking import *
from ulmfit_easy.learner.callbacks.training import *
from ulmfit_easy.learner.callbacks.unfreezing import GradualUnfreezing, chain_thaw, gradual_unfreeze
from ulmfit_easy.learner.events import *
from ulmfit_easy.learner.load import load_predictor
from ulmfit_easy.learner.learner import Learner, trainable_params
from ulmfit_easy.learner.losses import *
from ulmfit_easy.learner.lr_find import minimum, valley
from ulmfit_easy.learner.metrics.common import *
from ulmfit_easy.learner.metrics.metric import *
from ulmfit_easy.learner.metrics.sklearn_metric import *
from ulmfit_easy.learner.metrics.squad import *
from ulmfit_easy.learner.metrics.tags import *
from ulmfit_easy.learner.next_sentence import *
from ulmfit_easy.learner.optim.optimizer import Adam, Optimizer, SGD, discriminative
from ulmfit_easy.learner.optim.schedule import ParamScheduler, SchedCos, SchedExp, combine_scheds, combined_cos
from ulmfit_easy.learner.optim.schedule import slanted_triangular
from ulmfit_easy.learner.predictor import Prediction, Predictor
from ulmfit_easy.learner.pretrained import read_lm, shipped_lm
from ulmfit_easy.learner.score import TextScore
from ulmfit_easy.learner.seeds import no_random, set_seed
from ulmfit_easy.learner.spans import *
from ulmfit_easy.learner.tagging import *
from ulmfit_easy.learner.text import *
from ulmfit_easy.learner.text_learner import LMLearner, MaskedLearner, TextLearner
from ulmfit_easy.learner.uncertainty import predict_with_uncertainty
from ulmfit_easy.models.awd_lstm import *
from ulmfit_easy.models.awd_qrnn import AWD_QRNN, awd_qrnn_clas_config, awd_qrnn_lm_config
from ulmfit_easy.models.causal import CausalTransformer
from ulmfit_easy.models.bag import BagOfVectors
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.elmo import ELMo, ScalarMix
from ulmfit_easy.models.generate import generate
from ulmfit_easy.models.language_model import LanguageModel, get_language_model
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier, masked_concat_pool
from ulmfit_easy.models.readers import SentenceEncoder
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.models.transformer import Transformer
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.compare import mcnemar, wilson
from ulmfit_easy.recipes.corpus.run import pretrain_corpus
from ulmfit_easy.recipes.drift import *
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor
from ulmfit_easy.recipes.evaluate import LMScore, evaluate_lm
from ulmfit_easy.recipes.features import TextFeatures
from ulmfit_easy.recipes.few_shot import few_shot
from ulmfit_easy.recipes.label_issues import label_issues
from ulmfit_easy.recipes.presets import PRESETS, Phase, Preset, get_preset
from ulmfit_easy.recipes.pseudo import pseudo_label
from ulmfit_easy.recipes.query import *
from ulmfit_easy.recipes.repeat import *
from ulmfit_easy.recipes.stages import classifier_data, finetune_classifier, finetune_lm, lm_data, new_classifier
from ulmfit_easy.recipes.stages import new_lm, pretrain_lm
from ulmfit_easy.recipes.strategies import *
from ulmfit_easy.recipes.tune import *
from ulmfit_easy.recipes.zero_shot import zero_shot
from ulmfit_easy.text.corpus import Corpus
from ulmfit_easy.text.rules import DEFAULT_POST_RULES, DEFAULT_RULES
from ulmfit_easy.text.special import *
from ulmfit_easy.text.subword import SentencePieceTokenizer, SubwordTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vectors import *
from ulmfit_easy.text.vocab import Numericalize, Vocab, detokenize, make_vocab
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer, WordTokenizer
from ulmfit_easy.viz import plot_rates, plot_scores, show_table

if not _typing.TYPE_CHECKING:  # a type checker takes the names above, and no others

    __all__ = [name for name in dir() if not name.startswith("_")] + list(_absent.STAND_INS)

    def __getattr__(name: str) -> object:
        """Stand for a name of fastai that is not here: a star import asks for each name of `__all__`."""
        if name in _absent.INSTEAD:
            return _absent.StandIn(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [name for name in __all__ if name not in _absent.STAND_INS]  # so that completion offers real names only
