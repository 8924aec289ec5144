"""The preset that a command is given: a name, or the file that `ulmfit tune` wrote."""

from ulmfit_easy.errors import FileError, UlmfitError
from ulmfit_easy.files import read_json
from ulmfit_easy.recipes.presets import Preset


def preset_given(given: str | None) -> str | Preset | None:
    """Return the preset in a file, whose name ends in .json. Any other name stays what it is. Raises: E401, E404."""
    if given is None or not given.lower().endswith(".json"):
        return given
    values = read_json(given)
    try:
        return Preset.from_json(values)
    except (TypeError, UlmfitError) as e:
        raise FileError("E401", received=f"{given}, which is no preset ({e})", expected="what `ulmfit tune` wrote",
                        fix="name such a file, or a preset by its name") from e
