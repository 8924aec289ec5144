"""Several models as one."""

import torch
from torch import Tensor

from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.learner.inference import raw_predictions, warn_of_no_words
from ulmfit_easy.learner.losses import activation_of
from ulmfit_easy.models.evaluated import evaluated


def ensemble(learners, texts, *, warn: bool = True) -> Tensor:
    """Return the mean of the models' probabilities for each text, (N, C): of probabilities, not of logits.

    Columns are in the order of the first learner's classes, whatever the order of the others.

    Args:
        texts: as for `learn.predict`.
        warn: of texts without a known word, as `learn.predict` does, once.

    Raises:
        TrainingError: E502 for learners of other classes.

    Source: Howard & Ruder 2018, section 3.3: a forward and a backward model, 0.5 to 0.7 points better than one.
    """
    learners = list(learners)
    classes = learners[0].dls.classes
    for learn in learners[1:]:
        theirs = learn.dls.classes
        if set(theirs or ()) != set(classes or ()) or len(theirs or ()) != len(classes or ()):
            raise TrainingError("E502", received=f"learners of other classes: {some(theirs or ['none'])}",
                             expected=f"those of the first one: {some(classes or ['none'])}",
                             fix="train all of them on the same labels")
    texts, _ = learners[0].dls.given(texts)  # read once: an iterator cannot be asked twice
    loaders = [learn.dls.test_dl(texts) for learn in learners]
    if warn:
        warn_of_no_words(loaders[0])
    return torch.stack([_probs(learn, dl, classes) for learn, dl in zip(learners, loaders, strict=True)]).mean(0)


def _probs(learn, dl, classes) -> Tensor:
    probs = activation_of(learn.loss_func)(raw_predictions(evaluated(learn.model), dl))  # (N, C)
    return probs if classes is None else probs[:, [learn.dls.classes.index(c) for c in classes]]
