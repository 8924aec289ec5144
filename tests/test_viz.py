import re
import sys
import types
import warnings

import matplotlib
import pytest

from ulmfit_easy import viz
from ulmfit_easy.terminal import printable

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "</td></tr>",
    "$$x$$", r"\(x\)", r"\begin{a}", "a $5 and $6", "&lt;b&gt;", "' onmouseover='x", "<!--", "]]>", "<",
    "javascript:alert(1)", "<a href='javascript:x'>", "\x00<b>", "<B\n>", "&#36;x&#36;", "<style>", "{{x}}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_html_shows_any_text_and_nothing_else(text):
    html = viz.html_table([[text, 0.5]], [text, "n"])
    ours = re.sub(r"</?(table|tr|td|th|span)( (class|style)=\"[a-z0-9_ :-]+\")?>", "", html)
    assert "<" not in ours and ">" not in ours
    assert not set("$\\") & set(re.sub(r"<span>[$\\]</span>", "", html))


def test_formula_marks_stand_alone_in_an_element_so_that_no_reader_pairs_them():
    assert viz.escape(r"a $5 \(x") == r"a <span>$</span>5 <span>\</span>(x"
    assert 'class="tex2jax_ignore mathjax_ignore"' in viz.html_table([], ["a"])


def test_control_characters_cannot_steer_a_terminal():
    assert printable("a\x1b[31mb\nc\u202ed\x00") == "a\ufffd[31mb c\ufffdd\ufffd"
    assert printable(["a\n", 0.5, 1]) == "a ; 0.5000; 1"


def test_a_terminal_table_is_aligned_within_its_width_and_cut():
    rows = [("word " * 300, "pos"), ("short", "neg"), ("x" * 500, 0.25)]
    lines = viz.text_table(rows, ["text", "label"], width=60).splitlines()
    assert max(map(len, lines)) <= 60 and len(lines) == 1 + 6 + 1 + 6
    assert {line.index("pos") for line in lines if "pos" in line} == {lines[0].index("label")}
    assert "\u2026" in lines[6] and lines[-6].endswith("0.2500")


@pytest.mark.parametrize("rows, columns", [([], ["a"]), ([("",)], ["a"]), ([("", "x")], ["", ""]),
                                           ([("x", "y")], ["a", "b" * 200])])
def test_small_and_empty_tables_work(rows, columns):
    assert viz.text_table(rows, columns, width=40)
    assert viz.html_table(rows, columns)


def test_show_table_prints_in_a_terminal_and_displays_in_a_notebook(capsys, monkeypatch):
    assert viz.show_table([("a", 1)], ["x", "y"]) is None
    assert capsys.readouterr().out == "x  y\na  1\n"
    shown = []
    shell = type("ZMQInteractiveShell", (), {})()
    fake = types.SimpleNamespace(get_ipython=lambda: shell)
    display = types.SimpleNamespace(HTML=str, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert viz.in_notebook()
    viz.show_table([("<b>", 1)], ["x", "y"])
    assert "&lt;b&gt;" in shown[0] and capsys.readouterr().out == ""


@pytest.fixture
def plt():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    yield plt
    plt.close("all")


def labelled(ax):
    return ax.get_title() and ax.get_xlabel() and ax.get_ylabel()


def test_the_loss_is_plotted_with_and_without_validation(plt):
    ax = viz.plot_loss([3, 2, 1], [3], [1.5])
    assert labelled(ax) and [line.get_xdata().tolist() for line in ax.lines] == [[1, 2, 3], [3]]
    assert len(viz.plot_loss([1.0]).lines) == 1
    assert viz.plot_loss([9, 2, 1], skip_start=1).lines[0].get_xydata().tolist() == [[2, 2], [3, 1]]
    assert len(viz.plot_loss([9.0], skip_start=5).lines[0].get_xdata()) == 0
    mine = plt.subplots()[1]
    assert viz.plot_loss([1.0], ax=mine) is mine


@pytest.mark.parametrize("n", [1, 2, 3])
def test_schedules_have_one_plot_each(plt, n):
    axes = viz.plot_sched({f"h{i}": [i, i + 1] for i in range(n)})
    assert len(axes) == n and all(labelled(ax) for ax in axes)
    assert axes[0].lines[0].get_ydata().tolist() == [0, 1]


def test_the_rate_finder_marks_its_suggestions_on_a_log_scale(plt):
    ax = viz.plot_lr_find([1e-4, 1e-3, 1e-2], [3, 2, 4], {"valley": 1e-3, "steep": 1.1e-4})
    assert labelled(ax) and ax.get_xscale() == "log"
    assert [line.get_xydata().tolist() for line in ax.lines[1:]] == [[[1e-3, 2]], [[1.1e-4, 3]]]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["valley: 0.001", "steep: 0.00011"]


def test_importing_viz_loads_no_plotting_library():
    import subprocess

    code = "import sys, ulmfit_easy.viz; sys.exit('matplotlib' in sys.modules or 'IPython' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_confusion_matrix_has_rows_actual_and_columns_predicted(plt):
    import numpy as np

    ax = viz.plot_confusion(np.array([[3, 1], [0, 0]]), ["$a$", "\x1b[31mb" * 20])
    assert labelled(ax) and (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "label")
    assert [t.get_text() for t in ax.texts] == ["3", "1", "0", "0"]
    assert [t.get_position() for t in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]  # (column, row)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names[0] == "$a$" and len(names[1]) == 30 and "\x1b" not in names[1]
    ax.figure.canvas.draw()  # "$a$" is drawn as it stands
    shares = viz.plot_confusion(np.array([[3, 1], [0, 0]]), ["a", "b"], normalize=True)
    assert [t.get_text() for t in shares.texts] == ["0.75", "0.25", "0.00", "0.00"]
    assert not viz.plot_confusion(np.eye(2), ["a", "b"], plot_txt=False).texts


def test_reliability_has_a_curve_for_each_name_and_the_line_of_a_perfect_model(plt):
    ax = viz.plot_reliability({"mine": ([0.6, 0.9], [0.5, 0.7], [10, 30])})
    assert labelled(ax)
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 0], [1, 1]], [[0.6, 0.5], [0.9, 0.7]]]
    assert ax.collections[0].get_sizes().tolist() == [65, 155]
    mine = plt.subplots()[1]
    assert viz.plot_reliability({"a": ([0.5], [0.5], [1])}, ax=mine) is mine


def test_names_in_letters_that_the_usual_font_lacks_get_an_installed_font_that_has_them(plt, monkeypatch):
    from matplotlib import font_manager, get_data_path

    usual = font_manager.findfont("DejaVu Sans")
    symbols = f"{get_data_path()}/fonts/ttf/STIXGeneral.ttf"  # comes with matplotlib
    installed = [usual, "/no/such/font.ttf"]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: installed)
    letter = next(chr(c) for c in font_manager.get_font(symbols).get_charmap()
                  if chr(c).isprintable() and not font_manager.get_font(usual).get_char_index(c))
    assert viz.fonts_with(["neg", "pos"]) == ["sans-serif"]
    with pytest.warns(UserWarning, match="no installed font has all the letters"):
        assert viz.fonts_with(["neg", letter]) == ["sans-serif"]
    installed.append(symbols)  # in the same process
    assert viz.fonts_with(["neg", letter]) == ["sans-serif", "STIXGeneral"]
    import numpy as np

    ax = viz.plot_confusion(np.eye(2), ["neg", letter], letter)
    drawn = [ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
    assert [label.get_fontfamily() for label in drawn] == [["sans-serif", "STIXGeneral"]] * 5
    ax.figure.canvas.draw()  # a missing letter would be a warning here


def test_letters_that_no_font_has_are_told_once_with_the_package_that_has_them(monkeypatch):
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    viz._font_with.cache_clear()
    with pytest.warns(UserWarning, match="drawn as boxes.*fonts-nanum"):
        assert viz.fonts_with(["\uae0d\uc815"]) == ["sans-serif"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        viz.fonts_with(["\uae0d", "\uc815"])
    viz._font_with.cache_clear()


def test_the_rates_of_layer_groups_are_drawn_on_a_log_scale_with_gaps_where_they_are_frozen(plt):
    ax = viz.plot_rates([[float("nan"), 0.1], [0.01, 0.2]], ["encoder", "head"])
    assert labelled(ax) and ax.get_yscale() == "log"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["encoder", "head"]
    assert ax.lines[1].get_xydata().tolist() == [[1, 0.1], [2, 0.2]]
    assert [t.get_text() for t in viz.plot_rates([[1.0]]).get_legend().get_texts()] == ["group 1"]
    assert not viz.plot_rates([]).lines


def test_scores_are_bars_from_top_to_bottom_with_their_intervals(plt):
    ax = viz.plot_scores({"none": (0.5, 0.4, 0.65), "$a$": (0.7, 0.6, 0.75)})
    assert [t.get_text() for t in ax.get_yticklabels()] == ["none", "$a$"] and ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.7]
    lines = [c.get_segments()[0][:, 0].tolist() for c in ax.collections]
    assert lines == [pytest.approx([0.4, 0.65]), pytest.approx([0.6, 0.75])]
    assert [t.get_text().strip() for t in ax.texts] == ["0.500", "0.700"] and ax.get_xlabel() == "accuracy"
