import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.parity.compare import compare
from model_store.parity.tolerance import Tolerance
from model_store.parity.worst import forget_worst, keep_worst

F32 = np.float32


def kept(folder, output="y", names=("x",), wrong=9.0, datatype=Datatype.FP32):
    model = Signature((TensorSpec("x", datatype, (-1, 2)),), (TensorSpec(output, datatype, (-1, 2)),))
    sets = {key: {name: np.arange(6).reshape(3, 2) + 10 * index for name in names} for index, key in enumerate("ab")}
    answers = {name: {key: {output: np.ones((3, 2), F32)} for key in sets} for name in ("source", "good", "bad")}
    answers["bad"]["b"][output][2, 1] = wrong
    differences = compare(answers, model, Tolerance())
    return keep_worst(folder, differences, sets, answers, batched=True)


def test_the_worst_row_of_an_engine_is_kept(tmp_path):
    files = kept(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "worst/bad-y-input-x.npy",
        "worst/bad-y-expected.npy",
        "worst/bad-y-got.npy",
    ]
    assert [np.load(path).tolist() for path in files] == [[[14, 15]], [[1, 1]], [[1, 9]]]


def test_nothing_is_kept_where_nothing_differs(tmp_path):
    assert kept(tmp_path, wrong=1.0) == []
    assert not (tmp_path / "worst").exists()


def test_names_cannot_leave_the_folder_nor_meet(tmp_path):
    files = kept(tmp_path, output="../../y", names=("a/b", "a:b", "a_b", "..", "x" * 300))
    assert {path.parent for path in files} == {tmp_path / "worst"}
    assert len({path.name for path in files}) == len(files) == 7
    assert all(path.exists() for path in files)


def test_text_is_kept_without_pickles(tmp_path):
    model = Signature((TensorSpec("x", Datatype.BYTES, (-1,)),), (TensorSpec("y", Datatype.BYTES, (-1,)),))
    sets = {"s": {"x": np.array(["ü"], object)}}
    answers = {name: {"s": {"y": np.array([text], object)}} for name, text in (("source", "a"), ("engine", b"b"))}
    files = keep_worst(tmp_path, compare(answers, model, Tolerance()), sets, answers, batched=True)
    assert [np.load(path, allow_pickle=False).tolist() for path in files] == [["ü".encode()], [b"a"], [b"b"]]


def test_a_set_without_batches_is_kept_whole(tmp_path):
    model = Signature((), (TensorSpec("y", Datatype.FP32, (4,)),))
    sets = {"s": {"x": np.arange(4)}}
    answers = {name: {"s": {"y": np.full(4, value, F32)}} for name, value in (("source", 0), ("engine", 1))}
    files = keep_worst(tmp_path, compare(answers, model, Tolerance()), sets, answers, batched=False)
    assert [np.load(path).shape for path in files] == [(4,)] * 3


def test_the_rows_of_one_engine_are_forgotten_and_the_others_stay(tmp_path):
    kept(tmp_path)
    (tmp_path / "worst" / "badly-y-got.npy").write_bytes(b"")
    forget_worst(tmp_path, "bad")
    assert [path.name for path in (tmp_path / "worst").iterdir()] == ["badly-y-got.npy"]
    forget_worst(tmp_path, "badly")
    assert not (tmp_path / "worst").exists()
    forget_worst(tmp_path, "badly")
