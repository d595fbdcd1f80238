"""The user's own ONNX file: its nodes as they are, without its notes."""

import onnx
from onnx import TensorProto, helper

from model_store.exporters import onnx_copy


def test_the_file_is_kept_and_its_notes_are_not(run_step, work):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    node = helper.make_node("Neg", ["x"], ["y"], name="negate", doc_string="from /home/me")
    opset = helper.make_opsetid("", 13)
    given = helper.make_model(helper.make_graph([node], "mine", [x], [y]), opset_imports=[opset], ir_version=8)
    onnx.save(given, work.frozen / "model.onnx")
    run_step(onnx_copy, inputs=[("x", "FP32", (-1, 2))], outputs=[("y", "FP32", (-1, 2))])
    written = onnx.load(work.onnx)
    assert (written.opset_import[0].version, written.ir_version, written.graph.node[0].name) == (13, 8, "negate")
    assert written.graph.node[0].doc_string == ""
    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
