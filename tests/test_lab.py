"""A notebook as a user meets it: `make lab`, and a browser without a window. Skipped if one of them is missing.

KEEP_SCREENSHOTS=FOLDER keeps pictures of the pages.
"""

import base64
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds that a condition may take on a busy machine
BROWSER = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1600"],
           "binary": shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")}
CELLS = ["""
import sys, time
from pathlib import Path
from ulmfit_easy.all import *
class Slow(Callback):  # slow enough to see each step, and held at the third one until the test has looked
    def after_batch(self):
        time.sleep(0.3)
        while self.training and self.train_iter == 3 and not Path("go").exists(): time.sleep(0.05)
reviews = toy_reviews(n=90, seed=0)
reviews["label"] = reviews["label"].map({"neg": "부정", "pos": "긍정"})
sys.executable
""", """
dls = TextDataLoaders.from_df(reviews, text_col="text", label_col="label", tok_tfm=BaseTokenizer(), bs=8, seed=0)
dls
""", """
learn = text_classifier_learner(dls, AWD_LSTM, pretrained=False, config={"emb_sz": 8, "n_hid": 12, "n_layers": 2})
learn
""", "learn.fit(2, 1e-2, cbs=Slow())", """
learn.predict("The soup was superb.")
""", "ClassificationInterpretation.from_learner(learn).plot_confusion_matrix(figsize=(3, 3))", """
TextDataLoaders.from_df(reviews, text_col='txt')"""]
BAR, OUTPUTS = "document.querySelector('.jp-OutputArea progress')", ".jp-OutputArea-output"
READY = """(c => c?.isReady && c.session?.kernel?.connectionStatus == 'connected' && c.session.kernel.status == 'idle')(
    window.jupyterapp?.shell.currentWidget?.sessionContext)"""  # before it, JupyterLab forgets what it shall run
WATCH = f"""window.steps = [];
new MutationObserver(() => {{ if ({BAR}) window.steps.push({BAR}.value) }}).observe(
    document.body, {{subtree: true, childList: true, attributes: true}})"""


def call(address, method="GET", **body):
    request = Request(address, json.dumps(body).encode() if method == "POST" else None, method=method)
    with urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())["value"]


def until(check, told):
    """Return what `check` gives as soon as that is true; fail with what `told` gives if it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        if time.monotonic() > end:
            raise AssertionError(told())
        time.sleep(0.1)
    return found


@pytest.fixture
def started(tmp_path):
    """Start programs, each until its output has a pattern. They end with the test."""
    running = []

    def start(name, command, pattern, **options):
        log = tmp_path / f"{name}.log"  # a pipe that nobody reads would fill up and stop the program
        with open(log, "w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, **options)
        running.append(process)
        found = until(lambda: re.search(pattern, log.read_text()) or process.poll() is not None, log.read_text)
        return found[1] if found is not True else pytest.fail(log.read_text())

    yield start
    for process in reversed(running):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


class Page:
    """A tab of a browser, over the protocol of WebDriver."""

    def __init__(self, session: str, address: str):
        self.session, self.address = session, address

    def open(self):
        call(f"{self.session}/url", "POST", url=self.address)
        self.wait(f"return document.querySelectorAll('.jp-CodeCell').length == {len(CELLS)}")
        self.wait(f"return {READY}")

    def run(self, script):
        return call(f"{self.session}/execute/sync", "POST", script=script, args=[])

    def do(self, command):
        self.run(f"window.jupyterapp.commands.execute('{command}')")

    def text(self):
        return self.run(f"return [...document.querySelectorAll('{OUTPUTS}')].map(e => e.innerText).join('\\n')")

    def wait(self, script):
        return until(lambda: self.run(script), lambda: self.picture("failed") or f"{script}: {self.text()}")

    def picture(self, name):
        if folder := os.environ.get("KEEP_SCREENSHOTS"):
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(call(f"{self.session}/screenshot")))


@pytest.fixture
def page(started, tmp_path):
    """The page of a notebook in the JupyterLab that `make lab` opens. The user has another kernel of the same name."""
    if not shutil.which("chromedriver") or not BROWSER["binary"]:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    if not shutil.which("make"):
        pytest.skip("no make")
    if importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("no JupyterLab: pip install -e '.[lab]'")
    import nbformat

    for folder in ("nbs", "home/.local/share/jupyter/kernels/python3"):
        (tmp_path / folder).mkdir(parents=True)
    wrong = {"argv": ["/bin/false"], "display_name": "not the library's", "language": "python"}
    (tmp_path / "home/.local/share/jupyter/kernels/python3/kernel.json").write_text(json.dumps(wrong))
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), tmp_path / "nbs" / "a.ipynb")
    env = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = ["make", "lab", "--assume-old=.venv/.lab", f"BIN={Path(sys.executable).parent}",
               f"ROOT={tmp_path}",
               "LAB=--no-browser --ip=127.0.0.1 --port=0 --allow-root --expose-app-in-browser"]
    lab = started("lab", command, r"(http://127\.0\.0\.1:\d+/lab/tree/nbs\?token=\w+)", env=env, cwd=ROOT)
    port = started("browser", ["chromedriver", "--port=0"], r"successfully on port (\d+)", env=env)
    driver = f"http://127.0.0.1:{port}/session"
    wanted = {"alwaysMatch": {"goog:chromeOptions": BROWSER}}
    session = f"{driver}/{call(driver, 'POST', capabilities=wanted)['sessionId']}"
    try:
        yield Page(session, lab.replace("/nbs?", "/nbs/a.ipynb?"))
    finally:
        call(session, "DELETE")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bars_move_and_go_errors_are_short_and_a_saved_notebook_opens_clean(page, tmp_path):
    page.open()
    page.run(WATCH)
    page.do("notebook:run-all-cells")
    page.wait("return window.steps.some(step => step >= 1)")
    page.picture("bar")
    (tmp_path / "nbs" / "go").touch()
    page.wait(f"return [...document.querySelectorAll('{OUTPUTS}')].some(e => e.innerText.includes('To see every'))")
    steps = page.run("return window.steps")
    assert {1, 2, 4, 5, 6, 7, 8} <= set(steps), steps  # of the nine batches of an epoch
    assert not page.run(f"return {BAR}")
    page.picture("done")

    page.do("docmanager:save")
    saved = tmp_path / "nbs" / "a.ipynb"
    until(lambda: "To see every frame" in saved.read_text(), saved.read_text)
    page.wait("return !document.querySelector('.jp-mod-dirty')")
    outputs = [cell["outputs"] for cell in json.loads(saved.read_text())["cells"]]
    kernel, loaders, learner, fit, prediction, plot, error = map(json.dumps, outputs)
    assert f"{Path(sys.executable).parent}/" in kernel
    assert "TextDataLoaders(train 72 rows, valid 18 rows" in loaders
    assert re.search(r"TextLearner\(AWD_LSTM, [\d,]+ parameters, TextDataLoaders", learner)
    assert len(outputs[3]) == 1 and "train_loss" in fit and "progress" not in fit
    assert r"\uae0d\uc815" in prediction  # one of the classes, by its name
    assert "image/png" in plot and "Glyph" not in plot
    assert "[E102]" in error and "line 1: TextDataLoaders.from_df(" in error and "loaders.py" not in error
    assert "widget" not in saved.read_text() and "HTML object" not in saved.read_text()

    page.open()
    page.wait(f"return document.querySelectorAll('{OUTPUTS}').length >= {len(CELLS)}")
    page.picture("opened again")
    text = page.text()
    assert "train_loss" in text and "[E102]" in text and "rror displaying" not in text and not page.run(f"return {BAR}")


@pytest.mark.slow
def test_an_interrupt_is_shown_in_a_few_lines_that_say_what_has_changed(monkeypatch, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    stop = "learn.fit(2, 1e-2, cbs=At(lambda self: self.train_iter == 4 and signal.raise_signal(signal.SIGINT)))"
    cells = ["import signal\nfrom ulmfit_easy.all import *\n" + CELLS[1].replace("reviews,", "toy_reviews(90),", 1),
             CELLS[2], "def At(action): return Callback(after_step=action)\n" + stop]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in cells])
    NotebookClient(nb, timeout=PATIENCE, kernel_name="python3", allow_errors=True,
                   resources={"metadata": {"path": str(tmp_path)}}).execute()
    (error,) = [output for cell in nb.cells for output in cell.outputs if output.output_type == "error"]
    lines = "\n".join(error.traceback).splitlines()
    own, state = lines[:(end := lines.index(error.ename))], " ".join(lines[end + 1:])
    assert error.ename == "KeyboardInterrupt" and all(line.startswith("Cell In[3], line 2: learn.fit(") for line in own)
    assert len(own) == 2 and state.startswith("Stopped after 4 of 18 batches. The weights have changed: to begin")
