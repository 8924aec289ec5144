"""Parts by name: no name is given away twice, and an unknown one says what to import."""

import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from torch import nn

from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.data.targets.target import KINDS, TARGETS
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.known import Known
from ulmfit_easy.learner.tasks import TASKS, Task
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head


def an_encoder():
    class AWD_LSTM(Encoder):
        clas_config = Encoder.clas_config | dict(emb_sz=8)


def a_variant_of_its_own_name():
    class AWD_LSTM(get_arch("AWD_LSTM")):
        pass


def a_head_in_another_case():
    class PoolingLinearclassifier(Head):
        @classmethod
        def over(cls, encoder, n_out, output_p):
            return cls()


def a_task():
    class Target(CategoryTarget):
        task = "single"


def a_kind_of_labels():
    class Target(CategoryTarget):
        task, kind = "another", "category"


def a_row():
    class Target(CategoryTarget):
        pass

    TASKS["single"] = Task(Target, Head, nn.CrossEntropyLoss)


@pytest.fixture
def tables(monkeypatch):
    """Give the tables back as they were."""
    tables = (Encoder.known, Head.known, TARGETS, KINDS, TASKS)
    before = [dict(table.filled()) for table in tables]
    yield tables
    for table, old in zip(tables, before, strict=True):
        for name in table.keys() - old.keys():
            del table[name]


@pytest.mark.parametrize("define", [an_encoder, a_variant_of_its_own_name, a_head_in_another_case, a_task,
                                    a_kind_of_labels, a_row])
def test_a_name_of_the_library_is_not_given_away(define, tables):
    before = [{name: table[name] for name in ("AWD_LSTM", "PoolingLinearClassifier", "single", "category")
               if name in table} for table in tables]
    with pytest.raises(ArgumentError, match=r"E602.*test_known\..*another name than that of ulmfit_easy\."):
        define()
    assert all(table[name] is part for table, old in zip(tables, before, strict=True) for name, part in old.items())


def test_a_class_that_is_defined_again_replaces_itself(tables):
    def cell():
        class Mine(Encoder):
            clas_config = Encoder.clas_config | dict(emb_sz=8)
        return Mine

    first, second = cell(), cell()
    assert first is not second and Encoder.find("mine") is second


def test_a_file_in_the_folder_of_the_parts_is_found_without_being_named(tmp_path, monkeypatch):
    (tmp_path / "orchard").mkdir()
    (tmp_path / "orchard" / "__init__.py").write_text("")
    (tmp_path / "orchard" / "apple.py").write_text("import fruits\nclass Apple: pass\nfruits.FRUITS['Apple'] = Apple\n")
    (tmp_path / "fruits.py").write_text("from ulmfit_easy.known import Known\nFRUITS = Known('fruit', 'orchard')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import fruits
    assert fruits.FRUITS["apple"].__module__ == "orchard.apple"
    with pytest.raises(ArgumentError, match="E604.*the fruit 'pear'.*Apple.*first import the file that defines it"):
        fruits.FRUITS["pear"]


@pytest.mark.parametrize("table", [Encoder.known, Head.known, TARGETS, KINDS, TASKS], ids=lambda table: table.noun)
def test_an_unknown_name_is_refused_in_every_table(table):
    assert isinstance(table, Known)
    with pytest.raises(ArgumentError, match=f"E604.*{table.noun} 'nobody'.*first import the file"):
        table["nobody"]


def test_threads_that_ask_while_a_folder_is_read_wait_for_its_parts(monkeypatch):
    known, slow = Known("encoder", "ulmfit_easy.models"), threading.Event()

    def read(name):
        if name.endswith(".awd_lstm"):
            slow.wait(1)
            known["AWD_LSTM"] = AWD_LSTM
        return import_module(name)
    monkeypatch.setattr("ulmfit_easy.known.import_module", read)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(known.__getitem__, "AWD_LSTM") for _ in range(2))
        threading.Timer(0.05, slow.set).start()
        assert first.result() is second.result() is AWD_LSTM
