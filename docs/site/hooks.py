"""Add to the site what nobody writes by hand: the README, the lessons, a page for each public name, and llms.txt."""

import html
import inspect
import re
import sys
from pathlib import Path, PurePosixPath

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).parent))
from public import AREAS, EXAMPLES, addresses, examples, fenced, is_described, public_names

ROOT = Path(__file__).parents[2]
CELL = "<!-- cell -->"  # between the texts of a lesson in docs/ko
REPOSITORY = {"README.md": "index.md", "README.ko.md": "README.ko.md", "CONTRIBUTING.md": "CONTRIBUTING.md",
              "SECURITY.md": "SECURITY.md", "CHANGELOG.md": "CHANGELOG.md"}  # files of the root, and their pages
RECORDS = {"LOG.md", "CHANGELOG.md", "RELIABILITY.md"}  # found last: they name everything
INTRODUCTION = """# Reference

`from ulmfit_easy.all import *` brings the names below. Each has a page with its arguments and an example that runs.
The examples share this preparation. Its data and models are small, so that each example takes less than a second.

"""


def first_sentence(value: object) -> str:
    """Return the first sentence of a docstring in one line."""
    line = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", line)[0].replace("|", "\\|")


def page_of(name: str, value: object, example: str, names: dict[str, tuple[str, object]]) -> str:
    """Return the Markdown of a public name: its description, an example, and where it is defined."""
    page = [f"---\ntitle: {name}\n---\n"]
    if is_described(value):
        page += [f"::: {value.__module__}.{value.__qualname__}\n"]
        parents = [cls.__name__ for cls in inspect.getmro(value)[1:]] if inspect.isclass(value) else []
        page += [f"It has all that [{parent}](../{addresses(names)[parent]}.md) has.\n"
                 for parent in parents if parent in names][:1]
        source = f"Defined in `{value.__module__}`."
    else:
        page += [f"# {name}\n", f"```python\n{name} = {short(value)}\n```\n"]
        ours = type(value).__module__.startswith("ulmfit_easy")
        source = (inspect.getdoc(value) or "" if ours else "") + f"\n\nIt is of type `{type(value).__name__}`."
    page += [f"## Example\n\n{fenced(example)}\n\n[What the examples share](../index.md)\n"] if example else []
    return "\n".join([*page, source])


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else text[:400] + " ..."


def reference() -> dict[str, str]:
    """Return the pages of the reference: an index, and one for each public name."""
    names, shown = public_names(), examples()
    where = addresses(names)
    pages, index = {}, [INTRODUCTION + fenced((EXAMPLES / "preparation.md").read_text(encoding="utf-8"))]
    for area, title in AREAS.items():
        rows = [(name, value) for name, (of, value) in names.items() if of == area]
        index += [f"\n## {title}\n", "| name | |", "| --- | --- |"]
        for name, value in sorted(rows, key=lambda row: row[0].lower()):
            about = first_sentence(value) if is_described(value) else f"`{type(value).__name__}`"
            index.append(f"| [{name}]({where[name]}.md) | {about} |")
            pages[f"reference/{where[name]}.md"] = page_of(name, value, shown.get(name, ""), names)
    return {"reference/index.md": "\n".join(index), **pages}


def lessons() -> dict[str, str | bytes]:
    """Return the lessons as they were run, with their pictures, and in Korean those of docs/ko."""
    found: dict[str, str | bytes] = {}
    for path in sorted((ROOT / "nbs").glob("[0-9]*.ipynb")):
        lesson = nbformat.read(path, as_version=4)
        found |= rendered(lesson, f"lessons/{path.stem}")
        translated = ROOT / "docs" / "ko" / f"{path.stem}.md"
        if translated.exists():
            prose = [cell for cell in lesson.cells if cell.cell_type == "markdown"]
            for cell, source in zip(prose, translated.read_text(encoding="utf-8").split(CELL), strict=True):
                cell.source = source.strip()
            found |= rendered(lesson, f"lessons/ko/{path.stem}")
    return found | {"lessons/answers.md": (ROOT / "nbs" / "answers.md").read_text(encoding="utf-8")}


def rendered(lesson: nbformat.NotebookNode, where: str) -> dict[str, str | bytes]:
    """Return a lesson as Markdown, and its pictures."""
    joined = Config({"CoalesceStreamsPreprocessor": {"enabled": True}})  # lines printed one by one are one output
    body, resources = MarkdownExporter(config=joined).from_notebook_node(lesson)
    for name in resources["outputs"]:
        cell = int(name.split("_")[1])  # output_12_0.png
        picture = f"![{about(lesson.cells, cell)}]({PurePosixPath(where).name}_{name})"
        body = re.sub(rf"!\[\w+\]\({re.escape(name)}\)", lambda _, picture=picture: picture, body)
    body = re.sub(r"\n(?: *\n){2,}(?=    )", "\n\n", body)  # one empty line between outputs
    body = re.sub(r"<table [^>]*>", "<table>", body)  # the theme draws lines only in tables without a class
    return {f"{where}.md": body, **{f"{where}_{name}": picture for name, picture in resources["outputs"].items()}}


def about(cells: list[nbformat.NotebookNode], at: int) -> str:
    """Return a text in place of a picture: the title of the chart in a cell, or else the heading above the cell."""
    titles = re.findall(r"""title(?:\(|=)"([^"{}]+)""", cells[at].source)
    headings = re.findall(r"^#+ (.+)$", "\n".join(c.source for c in cells[:at] if c.cell_type == "markdown"), re.M)
    return re.sub(r"[\[\]`*]", "", (titles + headings[::-1] + ["chart"])[0])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and put those of a folder into the navigation."""
    root = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in REPOSITORY.items()}
    for uri, content in {**root, **lessons(), **reference()}.items():
        files.append(File.generated(config, uri, content=content))
    pages = [file.src_uri for file in files if file.src_uri.endswith(".md") and file.inclusion.is_included()]
    config.nav = [{title: in_folder(where, pages) if str(where).endswith("/") else where}
                  for entry in config.nav or [] for title, where in entry.items()]
    named = str(config.nav)
    for page in sorted(page for page in pages if f"'{page}'" not in named):  # a new page needs no entry in mkdocs.yml
        section = "Results" if page.startswith("results/") else "Guides"
        next(entry[section] for entry in config.nav if section in entry).append(page)
    return files


def in_folder(folder: str, pages: list[str]) -> list:
    """Return the pages of a folder for the navigation: as its index has them, and those of the reference by area."""
    inside = sorted((page for page in pages if page.startswith(folder)),
                    key=lambda page: (not page.endswith("index.md"), page.lower()))
    if folder == "howto/":
        index = (ROOT / "docs" / folder / "index.md").read_text(encoding="utf-8")
        parts = re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", index, re.MULTILINE)
        sections = {title: [folder + page for page in re.findall(r"\(([\w-]+\.md)\)", part)] for title, part in parts}
        return [f"{folder}index.md", *({title: those} for title, those in sections.items())]
    if folder == "lessons/":
        return [page for page in inside if "/ko/" not in page]
    if folder != "reference/":
        return inside
    by_area = {title: [page for page in inside if page.startswith(f"{folder}{area}/")] for area, title in AREAS.items()}
    return [f"{folder}index.md", *({title: those} for title, those in by_area.items() if those)]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files into links between pages, or into text. Let how-to guides be found first."""
    here = PurePosixPath(page.file.src_uri).parent
    boosts = {"howto": 20, "SERVE.md": 20, "reference": 0.5}  # a guide first, then lessons and errors, then names
    boost = 0.05 if page.file.src_uri in RECORDS else boosts.get(page.file.src_uri.split("/")[0], 1)
    page.meta["search"] = {"boost": boost}
    origin = {v: PurePosixPath() for v in REPOSITORY.values()}.get(page.file.src_uri, PurePosixPath("docs") / here)
    if page.file.src_uri.startswith("lessons/"):
        origin = PurePosixPath("nbs")

    def mend(match: re.Match) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = normal(origin / target)
        uri = REPOSITORY.get(path) or re.sub(r"^nbs/(.*)\.(ipynb|md)$", r"lessons/\1.md", path).removeprefix("docs/")
        if here == PurePosixPath("lessons/ko") and files.get_file_from_path(f"lessons/ko/{PurePosixPath(uri).name}"):
            uri = f"lessons/ko/{PurePosixPath(uri).name}"
        if files.get_file_from_path(uri) is None:
            return match[0] if files.get_file_from_path(normal(here / target)) else text
        return f"[{text}]({relative(uri, here)}{anchor})"

    return re.sub(r"(?<!!)\[([^\]\n]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)", mend, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas, which arithmatex has marked, into MathML: a browser draws it without a script or a network."""

    def drawn(match: re.Match) -> str:
        return convert(html.unescape(match[2]), display="block" if match[1] == "[" else "inline")

    formula = r'<(?:div|span) class="arithmatex">\\([(\[])(.*?)\\[)\]]</(?:div|span)>'
    return re.sub(formula, drawn, content, flags=re.S)


def normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def relative(uri: str, here: PurePosixPath) -> str:
    return "../" * len([part for part in here.parts if part != "."]) + uri


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Keep the navigation, for llms.txt."""
    config.extra["llms"] = [page for page in nav.pages]
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Write llms.txt: each page with its address, for programs that read the site."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    lines += [f"- [{page.title}]({page.url})" for page in config.extra["llms"]]
    (Path(config.site_dir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
