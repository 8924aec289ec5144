"""The folder that a command trains a model for: free before the training, and never lost after it."""

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from ulmfit_easy.errors import FileError, UlmfitError

OVERWRITE = {"--overwrite": {"action": "store_true", "help": "replace an older model in DIR"}}


def model_place(out: Path, overwrite: bool, foreign: Callable[[Path], list[str]]) -> Path:
    """Return the folder if a model may be written there. E412 if it has an older one that nobody said to overwrite."""
    from ulmfit_easy.files import free_place

    if free_place(out, foreign).is_dir() and any(out.iterdir()) and not overwrite:
        raise FileError("E412", received=f"{out}, a model of {date.fromtimestamp(out.stat().st_mtime)}",
                        expected="a new folder, or leave to replace it",
                        fix="choose another folder with --out, or add --overwrite")
    return out


def keep(save: Callable[[Path], object], out: Path) -> None:
    """Save what was trained. If its place is no longer free, save it in a temporary folder, which E411 names."""
    try:
        save(out)
    except (UlmfitError, OSError) as e:
        spare = Path(tempfile.mkdtemp(prefix="ulmfit-")) / "model"
        save(spare)
        raise FileError("E411", received=f"{getattr(e, 'received', e)}, when the training was over",
                        expected="the place as it was before the training",
                        fix=f"move the model from {spare}, where it was saved instead") from e
