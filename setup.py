"""Build the package from settings.ini, the one place for metadata and dependency ranges."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
extras = {key.removesuffix("_requirements"): value.split() for key, value in cfg.items()
          if key.endswith("_requirements")}

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"],
    author=cfg["author"],
    license=cfg["license"],
    license_files=["LICENSE", "NOTICE"],
    packages=find_packages(include=["ulmfit_easy", "ulmfit_easy.*"]),
    package_data={"ulmfit_easy": ["py.typed", "absent.md", "weights/*/*", "apps/serve/page.html"]},
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    options={"editable_wheel": {"mode": "compat"}},  # a folder on the path, which type checkers and editors can see
    entry_points={"console_scripts": cfg["console_scripts"].split("\n")},
)
