"""The page of `ulmfit serve` as a user meets it, in a browser without a window. Skipped if there is none.

KEEP_SCREENSHOTS=FOLDER keeps pictures.
"""

import importlib.util
import os
import shutil
import sys

import pandas as pd
import pytest
from interpret_toys import classifier, data
from test_lab import BROWSER, ROOT, Page, call, started  # noqa: F401  # a fixture

from ulmfit_easy.data.toy import toy_reviews

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
GOOD = ["정말 재미있는 영화였다", "다시 보고 싶은 훌륭한 작품", "배우들의 연기가 뛰어났다",
        "음식이 맛있고 친절했다"] * 10
BAD = ["너무 지루하고 길었다", "돈이 아까운 최악의 영화", "서비스가 불친절하고 느렸다",
       "음식이 차갑고 맛이 없었다"] * 10


class Tab(Page):
    """A tab with the page of a server."""

    def open(self):
        call(f"{self.session}/url", "POST", url=self.address)

    def text(self):
        return self.run("return document.body.innerText")

    def ask(self, *texts):
        self.run("document.getElementById('result').hidden = true; document.getElementById('reasons').hidden = true")
        for i, text in enumerate(texts):
            self.run(f"document.querySelectorAll('textarea')[{i}].value = {text!r}")
        self.run("document.getElementById('ask').click()")
        self.wait("return !document.getElementById('ask').disabled")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three models: English, Korean, and texts with a field more, whose name tries to be markup."""
    folder, df = tmp_path_factory.mktemp("models"), toy_reviews(60, seed=0)
    korean = pd.DataFrame({"text": GOOD + BAD, "label": ["긍정"] * len(GOOD) + ["부정"] * len(BAD)})
    pairs = df.rename(columns={"text": "<b>first"}).assign(second="so it is")
    for name, dls in (("english", data(df)), ("영화평", data(korean)),
                      ("pairs", data(pairs, text_col=["<b>first", "second"]))):
        learn = classifier(dls)
        learn.fit(3, 2e-2)
        learn.export(folder / name)
    return [folder / name for name in ("english", "영화평", "pairs")]


@pytest.fixture(params=["en", "ko"])
def page(request, started, models):  # noqa: F811
    if not shutil.which("chromedriver") or not BROWSER["binary"]:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("fastapi") is None:
        pytest.skip("no packages of a server: pip install -e '.[serve]'")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ULMFIT_EASY_TOKEN": "geheim" if request.param == "ko" else "",
           "LANGUAGE": request.param, "PYTHONWARNINGS": "ignore"}
    if not env["ULMFIT_EASY_TOKEN"]:
        del env["ULMFIT_EASY_TOKEN"]
    command = [sys.executable, "-m", "ulmfit_easy", "serve", *map(str, models), "--port", "0"]
    address = started("server", command, r"(http://127\.0\.0\.1:\d+)", env=env, cwd=ROOT)
    port = started("browser", ["chromedriver", "--port=0"], r"successfully on port (\d+)", env=env)
    driver = f"http://127.0.0.1:{port}/session"
    options = {**BROWSER, "prefs": {"intl.accept_languages": request.param},
               "args": [*BROWSER["args"], f"--lang={request.param}", f"--accept-lang={request.param}"]}
    wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
    session = f"{driver}/{call(driver, 'POST', capabilities=wanted)['sessionId']}"
    try:
        yield Tab(session, address), request.param
    finally:
        call(session, "DELETE")


def test_a_text_gets_bars_and_coloured_words_in_english_and_korean(page):
    page, language = page
    page.open()
    if language == "ko":
        page.wait("return !document.getElementById('secret').hidden")
        page.run("document.getElementById('token').value = 'geheim'; document.getElementById('ask').click()")
    page.wait("return document.querySelectorAll('textarea').length == 1")
    assert ("모델 써 보기" if language == "ko" else "Try the model") in page.text()
    page.ask("The soup was superb. The waiter was rude <img src=x onerror=alert(1)>")
    page.wait("return !document.getElementById('reasons').hidden")
    page.picture(f"serve-{language}-1")
    text = page.text()
    assert "pos" in text and "neg" in text and "%" in text and "<img" in text
    widths = page.run("return [...document.querySelectorAll('.bar')].map(e => parseFloat(e.style.width))")
    assert len(widths) == 2 and abs(sum(widths) - 100) < 0.1 and widths[0] >= widths[1]
    assert page.run("return document.querySelectorAll('.words span').length") == 11

    page.run("const m = document.getElementById('model'); m.selectedIndex = 1; m.dispatchEvent(new Event('change'))")
    page.ask("배우들의 연기가 뛰어났다")
    page.wait("return !document.getElementById('reasons').hidden")
    page.picture(f"serve-{language}-2")
    assert "긍정" in page.text() and "부정" in page.text() and "뛰어났다" in page.text()

    page.run("const m = document.getElementById('model'); m.selectedIndex = 2; m.dispatchEvent(new Event('change'))")
    page.ask("Superb.", "so it is")
    page.wait("return !document.getElementById('reasons').hidden")
    page.picture(f"serve-{language}-3")
    assert "<b>first" in page.text()

    page.ask("a" * 60_000, "b")
    page.wait("return !document.getElementById('error').hidden")
    assert "[E602]" in page.text()
    assert page.run("return performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))")
