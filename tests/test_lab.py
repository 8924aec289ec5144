"""A notebook in a real JupyterLab: bars move and go, errors are short, Korean names are drawn. Needs a browser."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

BROWSER = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1400"],
           "binary": shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")}
CELLS = ["""
import time
from ulmfit_easy.all import *
class Slow(Callback):
    def after_batch(self): time.sleep(0.3)
dls = TextDataLoaders.from_df(toy_reviews(n=90, seed=0), text_col="text", label_col="label", tok_tfm=BaseTokenizer(),
                              bs=8, seed=0, min_freq=1)
learn = text_classifier_learner(dls, AWD_LSTM, pretrained=False, config={"emb_sz": 8, "n_hid": 12, "n_layers": 2})
learn
""", "learn.fit(2, 1e-2, cbs=Slow())", "TextDataLoaders.from_df(toy_reviews(n=9, seed=0), text_col='txt')"]


def call(address, method="GET", **body):
    request = Request(address, json.dumps(body).encode() if method == "POST" else None, method=method)
    with urlopen(request, timeout=100) as answer:
        return json.loads(answer.read())["value"]


@pytest.fixture
def started():
    """Start a process, and wait for a line of its output; all of them end with the test."""
    running = []

    def start(command, pattern, **options):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        running.append(process)
        for line in process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        raise RuntimeError(f"{command[0]} ended")

    yield start
    for process in reversed(running):
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def page(started, tmp_path):
    """Run JavaScript in the page of a notebook that JupyterLab has open."""
    if not shutil.which("chromedriver") or not BROWSER["binary"]:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
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
    env = {**os.environ, "HOME": str(tmp_path / "home"), "JUPYTER_PATH": "", "JUPYTER_PREFER_ENV_PATH": "1"}
    lab = started([sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root",
                   "--expose-app-in-browser", f"--ServerApp.root_dir={tmp_path / 'nbs'}"],
                  r"(http://127\.0\.0\.1:\d+/lab\?token=\w+)", env=env)
    port = started(["chromedriver", "--port=0"], r"successfully on port (\d+)", env=env)
    driver = f"http://127.0.0.1:{port}/session"
    options = {"alwaysMatch": {"goog:chromeOptions": BROWSER}}
    session = f"{driver}/{call(driver, 'POST', capabilities=options)['sessionId']}"

    class Page:
        def open(self):
            call(f"{session}/url", "POST", url=lab.replace("/lab?", "/lab/tree/a.ipynb?"))
            self.wait("document.querySelectorAll('.jp-CodeCell').length == 3", 90)

        def run(self, script):
            return call(f"{session}/execute/sync", "POST", script=script, args=[])

        def do(self, command):
            self.run(f"window.jupyterapp.commands.execute('{command}')")

        def text(self):
            return self.run("return [...document.querySelectorAll('.jp-OutputArea')].map(e => e.innerText).join('\\n')")

        def wait(self, condition, seconds=60):
            end = time.monotonic() + seconds
            while not self.run(f"return {condition}"):
                if time.monotonic() > end:
                    self.picture("failed")
                    raise AssertionError(f"{condition}: {self.text()}")
                time.sleep(0.1)

        def picture(self, name):
            if folder := os.environ.get("KEEP_SCREENSHOTS"):
                import base64

                Path(folder, f"{name}.png").write_bytes(base64.b64decode(call(f"{session}/screenshot")))

    try:
        yield Page()
    finally:
        call(session, "DELETE")


@pytest.mark.slow
def test_bars_move_and_go_errors_are_short_and_a_saved_notebook_opens_clean(page, tmp_path):
    page.open()
    page.do("notebook:run-all-cells")
    bar = "document.querySelector('.jp-OutputArea progress')"
    page.wait(f"{bar} && {bar}.value >= 2", 90)
    page.picture("bar")
    first = page.run(f"return {bar}.value")
    page.wait(f"{bar} && {bar}.value > {first}")
    page.wait("document.body.innerText.includes('To see every frame')", 90)
    text = page.text()
    assert "TextLearner(AWD_LSTM, 5,640 parameters" in text and "[E102]" in text
    assert "line 1: TextDataLoaders.from_df(" in text and "dataloaders.py" not in text and "loaders.py" not in text
    page.picture("done")
    page.do("docmanager:save")
    saved = tmp_path / "nbs" / "a.ipynb"
    end = time.monotonic() + 30
    while "train_loss" not in saved.read_text() and time.monotonic() < end:
        time.sleep(0.2)
    outputs = [cell["outputs"] for cell in json.loads(saved.read_text())["cells"]]
    assert len(outputs[1]) == 1 and "progress" not in json.dumps(outputs[1]) and "widget" not in json.dumps(outputs)
    page.open()
    page.picture("opened again")
    assert "train_loss" in page.text() and "rror displaying" not in page.text() and "[E102]" in page.text()
