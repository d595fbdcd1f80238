"""What every route to an ONNX file ends with; ONNX Runtime is the judge."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.manifests import make_signature

from model_store.errors import BuildFailed
from model_store.exporters.onnx_graph import finish, unknown_operators

FLOAT = TensorProto.FLOAT
X = np.array([[1, 2], [-3, 4]], np.float32)


def info(name, shape=("N", 2), kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, value):
    return helper.make_tensor(name, FLOAT, np.shape(value), np.ravel(value))


def model(nodes, inputs=("a",), outputs=("b",), initializers=(), **more):
    inputs = [info(value) if isinstance(value, str) else value for value in inputs]
    outputs = [info(value) if isinstance(value, str) else value for value in outputs]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "g", inputs, outputs, [*initializers])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **more)


def signature(inputs=("x",), outputs=("y",), shape=(-1, 2)):
    return make_signature([(name, "FP32", shape) for name in inputs], [(name, "FP32", shape) for name in outputs])


@pytest.fixture
def finished(tmp_path):
    """Finish a model; gives a function that runs the file, and the graph in it."""

    def finish_it(made, wanted):
        path = tmp_path / "onnx" / "model.onnx"
        finish(made, wanted, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == [spec.name for spec in wanted.inputs]
        assert [value.name for value in session.get_outputs()] == [spec.name for spec in wanted.outputs]
        names = [spec.name for spec in wanted.outputs]
        return lambda **tensors: dict(zip(names, session.run(names, tensors), strict=True)), onnx.load(path)

    return finish_it


def test_inputs_and_outputs_get_the_models_names(finished):
    run, _ = finished(model([("Neg", ["a"], ["b"])]), signature())
    np.testing.assert_array_equal(run(x=X)["y"], -X)


def test_the_order_is_that_of_the_graph(finished):
    made = model([("Sub", ["a", "b"], ["d"]), ("Add", ["a", "b"], ["s"])], inputs=("a", "b"), outputs=("d", "s"))
    run, _ = finished(made, signature(inputs=("left", "right"), outputs=("difference", "sum")))
    np.testing.assert_array_equal(run(left=X, right=X * 2)["difference"], -X)


@pytest.mark.parametrize("inner", ["x", "y", "y__inner"])
def test_an_inner_value_with_a_wanted_name_steps_aside(finished, inner):
    made = model([("Neg", ["a"], [inner]), ("Abs", [inner], ["y__inner2"]), ("Neg", ["y__inner2"], ["b"])])
    run, _ = finished(made, signature())
    np.testing.assert_array_equal(run(x=X)["y"], -np.abs(X))


def test_what_steps_aside_meets_nothing(finished):
    nodes = [("Neg", ["a"], ["y"]), ("Abs", ["y"], ["y__inner"]), ("Add", ["y", "y__inner"], ["b"])]
    run, _ = finished(model(nodes), signature())
    np.testing.assert_array_equal(run(x=X)["y"], -X + np.abs(X))


def test_names_may_be_exchanged(finished):
    made = model([("Neg", ["y"], ["x"])], inputs=("y",), outputs=("x",))
    np.testing.assert_array_equal(finished(made, signature())[0](x=X)["y"], -X)
    made = model([("Sub", ["b", "a"], ["y"])], inputs=("b", "a"), outputs=("y",))
    run, _ = finished(made, signature(inputs=("a", "b")))
    np.testing.assert_array_equal(run(a=X, b=X * 3)["y"], -2 * X)


def test_an_initializer_with_a_wanted_name_steps_aside(finished):
    made = model([("Mul", ["a", "x"], ["b"])], initializers=[constant("x", 3.0)])
    np.testing.assert_array_equal(finished(made, signature())[0](x=X)["y"], 3 * X)


def test_an_initializer_that_is_listed_as_an_input_is_none(finished):
    made = model([("Mul", ["a", "w"], ["b"])], inputs=("a", info("w", ())), initializers=[constant("w", 3.0)])
    np.testing.assert_array_equal(finished(made, signature())[0](x=X)["y"], 3 * X)


@pytest.mark.parametrize("names", [("p", "q"), ("a", "q"), ("q", "a"), ("x", "y")])
def test_an_output_may_be_an_input_and_twice_the_same(finished, names):
    made = model([("Neg", ["a"], ["b"])], outputs=("a", "b", "b"))
    wanted = signature(inputs=("in",), outputs=(*names, "third"))
    answers = finished(made, wanted)[0](**{"in": X})
    np.testing.assert_array_equal(answers[names[0]], X)
    np.testing.assert_array_equal(answers[names[1]], -X)
    np.testing.assert_array_equal(answers["third"], -X)


def test_an_input_that_is_passed_on_under_its_own_name_stays(finished):
    made = model([("Neg", ["a"], ["b"])], outputs=("b", "a"))
    answers = finished(made, signature(inputs=("x",), outputs=("y", "x")))[0](x=X)
    np.testing.assert_array_equal(answers["x"], X)
    np.testing.assert_array_equal(answers["y"], -X)


def test_one_name_for_an_input_and_another_value_is_refused(tmp_path):
    made = model([("Neg", ["a"], ["b"])])
    with pytest.raises(BuildFailed, match="'x' is an input and an output"):
        finish(made, signature(inputs=("x",), outputs=("x",)), tmp_path / "model.onnx")


def test_an_output_may_be_an_initializer(finished):
    made = model([("Neg", ["a"], ["b"])], outputs=("b", info("w", (2, 2))), initializers=[constant("w", X)])
    wanted = make_signature([("x", "FP32", (-1, 2))], [("y", "FP32", (-1, 2)), ("weights", "FP32", (2, 2))])
    np.testing.assert_array_equal(finished(made, wanted)[0](x=X)["weights"], X)


def function(*operators):
    nodes = [helper.make_node(operator, ["p"], ["r"]) for operator in operators]
    return helper.make_function("local", "Mine", ["p"], ["r"], nodes, [helper.make_opsetid("", 17)])


def branching(inner="inner", doc=""):
    """y = -a where the first number is positive, else |a|; both branches use the graph's input."""
    branches = {
        branch: helper.make_graph(
            [helper.make_node(kind, ["a"], [inner], doc_string=doc), helper.make_node("Identity", [inner], [branch])],
            branch,
            [],
            [info(branch)],
        )
        for branch, kind in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    nodes = [
        helper.make_node("ReduceMax", ["a"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["b"], **branches),
    ]
    graph = helper.make_graph(nodes, "g", [info("a")], [info("b")], [constant("zero", 0.0)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("inner", ["inner", "x", "y"])
def test_subgraphs_are_renamed_too(finished, inner):
    run, _ = finished(branching(inner), signature())
    np.testing.assert_array_equal(run(x=X)["y"], -X)
    np.testing.assert_array_equal(run(x=-np.abs(X))["y"], np.abs(X))


def test_the_batch_and_free_dimensions_are_named_and_fixed_ones_are_numbers(finished):
    shapes = {"a": ("odd", "length", "three"), "b": (7, None, 3)}
    made = model([("Neg", ["a"], ["b"])], inputs=[info("a", shapes["a"])], outputs=[info("b", shapes["b"])])
    _, found = finished(made, signature(shape=(-1, -1, 3)))

    def dimensions(value):
        return [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]

    assert dimensions(found.graph.input[0]) == ["batch", "length", 3]
    assert dimensions(found.graph.output[0]) == ["batch", "y_1", 3]


def test_notes_are_stripped_wherever_they_are(tmp_path, finished):
    made = branching(doc="/home/me/secret.py")
    made.doc_string = "/home/me/secret.py"
    made.graph.doc_string = "/home/me/secret.py"
    helper.set_model_props(made, {"source": "/home/me/secret.py"})
    for item in (*made.graph.node, made.graph.input[0], made.graph.initializer[0]):
        item.doc_string = "/home/me/secret.py"
        item.metadata_props.add(key="stack", value="/home/me/secret.py")
    made.graph.value_info.append(info("top", ("/home/me/secret.py",)))
    finished(made, signature())
    assert b"secret" not in (tmp_path / "onnx" / "model.onnx").read_bytes()


def test_a_local_function_runs_and_its_notes_are_stripped(tmp_path, finished):
    made = model([("Mine", ["a"], ["b"], "n", "", "local")], functions=[function("Neg")])
    made.functions[0].node[0].doc_string = made.functions[0].doc_string = "/home/me/secret.py"
    run, _ = finished(made, signature())
    np.testing.assert_array_equal(run(x=X)["y"], -X)
    assert b"secret" not in (tmp_path / "onnx" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (("x", "z"), ("y",), r"the converted graph has the inputs \['a'\], the model \['x', 'z'\]"),
        (("x",), ("y", "z"), r"the converted graph has the outputs \['b'\], the model \['y', 'z'\]"),
    ],
)
def test_other_inputs_and_outputs_than_the_models_are_refused(tmp_path, inputs, outputs, message):
    with pytest.raises(BuildFailed, match=message):
        finish(model([("Neg", ["a"], ["b"])]), signature(inputs, outputs), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("node", "functions", "unknown"),
    [
        (("Neg", ["a"], ["b"]), (), []),
        (("Neg", ["a"], ["b"], "n", "", "ai.onnx"), (), []),
        (("Gelu", ["a"], ["b"], "n", "", "com.microsoft"), (), []),
        (("Mine", ["a"], ["b"], "n", "", "local"), (function("Neg"),), []),
        (("Mine", ["a"], ["b"], "n", "", "local"), (), ["local.Mine"]),
        (("Mine", ["a"], ["b"], "n", "", "local"), (function("aten_secret"),), ["aten_secret"]),
        (("FlexErf", ["a"], ["b"]), (), ["FlexErf"]),
        (("aten_erf", ["a"], ["b"], "n", "", "org.pytorch.aten"), (), ["org.pytorch.aten.aten_erf"]),
    ],
)
def test_operators_that_no_runtime_knows_are_found(node, functions, unknown):
    assert unknown_operators(model([node], functions=functions)) == unknown


def test_unknown_operators_of_a_subgraph_are_named(tmp_path):
    made = branching()
    made.graph.node[2].attribute[0].g.node[0].op_type = "FlexErf"
    with pytest.raises(BuildFailed, match=r"^the converter left operators that are not ONNX's: FlexErf$"):
        finish(made, signature(), tmp_path / "model.onnx")
