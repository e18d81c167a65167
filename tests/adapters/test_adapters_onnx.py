"""ONNX models as predictors: each shape of input and output, and each way that inputs do not fit, named exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import CouldNotLook, InputError

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
onnx = pytest.importorskip("onnx", reason="the ml extra is not installed")
pytest.importorskip("onnxruntime", reason="the ml extra is not installed")

TABLE = "a,b,c,y\n0.1,1,x,0\n0.7,2,y,1\n0.4,3,,0\n"


def save(path: Path, inputs: Any, nodes: Any, outputs: Any, **metadata: Any) -> None:
    """Write a graph of (name, type, shape) inputs and outputs."""
    from onnx import helper

    def values(items: Any) -> list[Any]:
        return [helper.make_tensor_value_info(*item) for item in items]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("custom", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    path.write_bytes(model.SerializeToString())


def first_column(path: Path, width: Any = 2, **metadata: Any) -> None:
    """A model whose score is the first column of one [N, width] tensor."""
    from onnx import TensorProto, helper

    node = helper.make_node("Gather", ["X", "i"], ["s"], axis=1)
    constant = helper.make_node("Constant", [], ["i"], value=helper.make_tensor("v", TensorProto.INT64, [1], [0]))
    save(path, [("X", TensorProto.FLOAT, [None, width])], [constant, node], [("s", TensorProto.FLOAT, [None, 1])],
         **metadata)  # fmt: skip


@pytest.fixture
def data(dataset: Any) -> Any:
    return dataset(TABLE, label="y", positive=1, drop=["c"])


def test_one_tensor_takes_the_features_in_file_order(tmp_path: Path, data: Any, predictor: Any) -> None:
    first_column(tmp_path / "m.onnx")
    model = predictor("m.onnx", data, threshold=0.4)
    assert model.features == ("a", "b")
    np.testing.assert_array_equal(model.scores(data.table()), np.float32([0.1, 0.7, 0.4]).astype(float))
    assert model.scores(data.table()).dtype == np.float64
    assert model.flagged(data.table()).tolist() == [False, True, True]
    assert (model.queries, model.access, model.threshold) == (9, "score", 0.4)
    assert model.scores(data.table().slice(0, 0)).shape == (0,)


def test_order_comes_from_metadata_then_from_the_manifest(tmp_path: Path, data: Any, predictor: Any) -> None:
    first_column(tmp_path / "m.onnx", features=["b", "a"], threshold=2.5)
    by_metadata = predictor("m.onnx", data)
    assert by_metadata.scores(data.table()).tolist() == [1, 2, 3]
    assert by_metadata.threshold == 2.5
    first_column(tmp_path / "n.onnx")
    assert predictor("n.onnx", data, inputs=["b", "a"]).scores(data.table()).tolist() == [1, 2, 3]
    assert predictor("n.onnx", None, inputs=["b", "a"]).scores(data.table()).tolist() == [1, 2, 3]


def test_one_input_per_column_with_each_type(tmp_path: Path, data: Any, predictor: Any) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("LabelEncoder", ["c"], ["cc"], domain="ai.onnx.ml", keys_strings=["x", "y", ""],
                         values_floats=[10.0, 20.0, 30.0]),
        helper.make_node("Cast", ["b"], ["bb"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["a"], ["aa"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["aa", "bb", "cc"], ["s"]),
    ]  # fmt: skip
    inputs = [
        ("c", TensorProto.STRING, [None, 1]),
        ("b", TensorProto.INT64, [None, 1]),
        ("a", TensorProto.DOUBLE, [None, 1]),
    ]
    save(tmp_path / "m.onnx", inputs, nodes, [("s", TensorProto.FLOAT, [None, 1])])
    model = predictor("m.onnx", data)
    assert model.features == ("c", "b", "a")
    np.testing.assert_allclose(model.scores(data.table()), [11.1, 22.7, 33.4], rtol=1e-6)


@pytest.mark.parametrize("zipmap", [True, False])
def test_scikit_learn_exports_agree_with_scikit_learn(tmp_path: Path, data: Any, predictor: Any, zipmap: bool) -> None:
    sklearn = pytest.importorskip("sklearn.ensemble")
    skl2onnx = pytest.importorskip("skl2onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    model = sklearn.RandomForestClassifier(5, random_state=0).fit(x, np.where(x[:, 0] > 0, "bad", "good"))
    proto = skl2onnx.to_onnx(model, x[:1], options={"zipmap": zipmap})
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    options: dict[str, Any] = {"positive": "bad"} if zipmap else {"positive": 0}
    got = predictor("m.onnx", data, **options)
    table = pa.table({"a": x[:, 0], "b": x[:, 1]})
    np.testing.assert_allclose(got.scores(table), model.predict_proba(x)[:, 0], atol=1e-6)
    assert got.classes == (("bad", "good") if zipmap else (0, 1))


def test_labels_only_is_label_access(tmp_path: Path, data: Any, predictor: Any) -> None:
    from onnx import TensorProto, helper

    nodes = [helper.make_node("ArgMax", ["X"], ["l"], axis=1, keepdims=0)]
    save(tmp_path / "m.onnx", [("X", TensorProto.FLOAT, [None, 2])], nodes, [("l", TensorProto.INT64, [None])])
    model = predictor("m.onnx", data)
    assert model.access == "label"
    assert model.scores(pa.table({"a": [5.0, 1.0], "b": [1, 5]})).tolist() == [0.0, 1.0]
    with pytest.raises(CouldNotLook):
        predictor("m.onnx", None)


@pytest.mark.parametrize(
    ("width", "metadata", "options", "says"),
    [
        (3, {}, {}, r"takes 3 inputs, t.csv has 2 \(a, b\)"),
        (2, {"features": ["a", "income"]}, {}, r"reads income, which t.csv lacks; the data has b instead"),
        (2, {"features": ["a"]}, {}, "takes 2 inputs, its metadata has 1"),
        (2, {"features": ["a", "c"]}, {}, "wants numbers, but c holds text"),
        (2, {}, {"inputs": ["a"]}, "takes 2 inputs, `inputs:` has 1"),
        (2, {}, {"inputs": "a"}, "not a list"),
        (2, {}, {"threshold": "high"}, "not a number"),
        (2, {}, {"threshold": float("nan")}, "not a number"),
        (2, {"classes": ["n", "p"]}, {"positive": "q"}, r"none of its 2 classes \(text\)"),
        (2, {"classes": ["n", "p", "q"]}, {}, r"none of its 3 classes \(text\)"),
    ],
)
def test_a_model_that_does_not_fit_is_named(
    tmp_path: Path, data: Any, predictor: Any, width: int, metadata: Any, options: Any, says: str
) -> None:
    first_column(tmp_path / "m.onnx", width, **metadata)
    with pytest.raises(CouldNotLook, match=says) as error:
        predictor("m.onnx", data, **options)
    assert "\n" not in str(error.value)


def test_nan_scores_are_never_an_answer(tmp_path: Path, data: Any, predictor: Any) -> None:
    first_column(tmp_path / "m.onnx")
    model = predictor("m.onnx", data)
    with pytest.raises(CouldNotLook, match="1 of 2 rows as NaN"):
        model.scores(pa.table({"a": [1.0, None], "b": [1, 2]}))
    with pytest.raises(CouldNotLook, match="rows lack b"):
        model.scores(pa.table({"a": [1.0]}))
    model.close()
    with pytest.raises(CouldNotLook, match="closed"):
        model.scores(pa.table({"a": [1.0], "b": [1]}))


def test_the_column_that_makes_nan_of_a_row_is_named() -> None:
    from assay.adapters.predictor_base import BasePredictor

    class Gap(BasePredictor):
        features = ("a", "b")

        def _score(self, rows: Any) -> Any:
            return np.where(np.isinf(rows.column("a")), np.nan, 0.5)

    rows = pa.table({"a": [1.0, float("inf"), 2.0], "b": [float("inf"), 0.0, 0.0]})
    with pytest.raises(CouldNotLook, match="m: scored 1 of 3 rows as NaN: a holds infinite numbers in 1 row; mend it"):
        Gap("m").scores(rows)


def test_custom_operators_torn_files_and_strangers_are_refused(tmp_path: Path, data: Any, predictor: Any) -> None:
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Evil", ["X"], ["s"], domain="custom")]
    save(tmp_path / "c.onnx", [("X", TensorProto.FLOAT, [None, 2])], nodes, [("s", TensorProto.FLOAT, [None, 1])])
    with pytest.raises(CouldNotLook, match=r"needs custom operators \(custom\.Evil\)"):
        predictor("c.onnx", data)
    first_column(tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    for cut in range(1, len(whole) - 1, 7):
        (tmp_path / "torn.onnx").write_bytes(whole[:cut])
        with pytest.raises(CouldNotLook) as error:
            predictor("torn.onnx", data)
        assert "\n" not in str(error.value)
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(CouldNotLook, match="convert it to ONNX"):
        predictor("m.h5", data)
    with pytest.raises(InputError, match="does not exist"):
        predictor("none.onnx", data)


def test_weights_in_other_files_are_refused(tmp_path: Path, data: Any, predictor: Any) -> None:
    first_column(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/hostname"
    model.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CouldNotLook, match="weights in other files"):
        predictor("m.onnx", data)


def outside(name: str) -> Any:
    """A tensor of one float in the file w.bin."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def with_branches(path: Path, form: str) -> None:
    """A model of one weight, which both branches of an `If` keep in another file."""
    from onnx import TensorProto, helper

    def branch(name: str) -> Any:
        if form == "branch":  # a graph without a node: its weight is its answer
            answer = helper.make_tensor_value_info(f"w_{name}", TensorProto.FLOAT, [1])
            return helper.make_graph([], name, [], [answer], initializer=[outside(f"w_{name}")])
        answer = helper.make_tensor_value_info(f"o_{name}", TensorProto.FLOAT, [1])
        node = helper.make_node("Identity", [f"w_{name}"], [f"o_{name}"])
        return helper.make_graph([node], name, [], [answer], initializer=[outside(f"w_{name}")])

    choose = helper.make_node("If", ["t"], ["w"], then_branch=branch("then"), else_branch=branch("else"))
    true = helper.make_node("Constant", [], ["t"], value=helper.make_tensor("v", TensorProto.BOOL, [], [True]))
    inputs = [("X", TensorProto.FLOAT, [None, 2])]
    nodes = [true, choose, helper.make_node("Mul", ["X", "w"], ["s"])]
    if form == "function":
        nodes[1] = helper.make_node("W", ["t"], ["w"], domain="custom")
    save(path, inputs, nodes, [("s", TensorProto.FLOAT, [None, 2])])
    if form == "function":
        model = onnx.load(path)
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("custom", "W", ["t"], ["w"], [choose], opsets))
        path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("form", ["branch", "function"])
def test_weights_that_a_branch_keeps_in_other_files_are_refused(
    tmp_path: Path, data: Any, predictor: Any, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    import onnxruntime

    from assay.adapters.onnx_predictor import _session

    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(np.float32([3]).tobytes())
    with_branches(tmp_path / "m.onnx", form)
    content = (tmp_path / "m.onnx").read_bytes()
    # onnxruntime by itself does read the file, so that the refusals are not vain.
    own = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert own.run(None, {"X": np.float32([[1, 2]])})[0].tolist() == [[3, 6]]
    with pytest.raises(CouldNotLook, match="weights in other files"):
        predictor("m.onnx", data)
    with pytest.raises(CouldNotLook, match="cannot be loaded"):
        _session(content, "m.onnx")


def test_no_place_of_a_model_hides_weights_in_other_files(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    from assay.adapters.onnx_facts import require_self_contained

    first_column(tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    require_self_contained(whole, "m.onnx")
    inside = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    unmarked = outside("w")
    unmarked.ClearField("data_location")
    node = helper.make_node("Constant", [], ["k"])
    sparse = onnx.SparseTensorProto(values=outside("w"), indices=inside, dims=[3])
    turned = onnx.SparseTensorProto(values=inside, indices=outside("w"), dims=[3])
    branch = helper.make_graph([], "b", [], [], initializer=[outside("w")])
    attribute = onnx.AttributeProto
    for part in (
        onnx.GraphProto(initializer=[outside("w")]),
        onnx.GraphProto(initializer=[unmarked]),
        onnx.GraphProto(sparse_initializer=[sparse]),
        onnx.GraphProto(sparse_initializer=[turned]),
        *(
            onnx.GraphProto(node=[onnx.NodeProto(op_type="Constant", output=["k"], attribute=[one])])
            for one in (
                attribute(name="value", type=attribute.TENSOR, t=outside("w")),
                attribute(name="value", type=attribute.TENSORS, tensors=[inside, outside("w")]),
                attribute(name="value", type=attribute.SPARSE_TENSOR, sparse_tensor=turned),
                attribute(name="value", type=attribute.SPARSE_TENSORS, sparse_tensors=[sparse]),
                attribute(name="value", type=attribute.GRAPHS, graphs=[onnx.GraphProto(), branch]),
            )
        ),
    ):
        model = onnx.ModelProto.FromString(whole)
        model.graph.MergeFrom(part)
        with pytest.raises(CouldNotLook, match="weights in other files"):
            require_self_contained(model.SerializeToString(), "m.onnx")
    model = onnx.ModelProto.FromString(whole)
    held = helper.make_attribute("k", outside("w"))
    model.functions.append(onnx.FunctionProto(name="W", domain="own", node=[node], attribute_proto=[held]))
    with pytest.raises(CouldNotLook, match="weights in other files"):
        require_self_contained(model.SerializeToString(), "m.onnx")


def test_custom_operators_are_found_in_branches_without_end(tmp_path: Path) -> None:
    from onnx import helper

    from assay.adapters.onnx_facts import require_self_contained

    first_column(tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    for depth, says in ((3, r"custom\.Evil"), (31, "nests graphs more than 30 deep")):
        node = helper.make_node("Evil", [], ["e"], domain="custom")
        for _ in range(depth):
            node = helper.make_node("If", ["t"], ["e"], then_branch=helper.make_graph([node], "b", [], []))
        model = onnx.ModelProto.FromString(whole)
        model.graph.node.append(node)
        with pytest.raises(CouldNotLook, match=says):
            require_self_contained(model.SerializeToString(), "m.onnx")


def test_what_onnxruntime_says_of_a_row_is_not_passed_on(tmp_path: Path, dataset: Any, predictor: Any) -> None:
    from onnx import TensorProto, helper

    weights = helper.make_tensor("v", TensorProto.FLOAT, [3, 1], [0, 0, 0])
    nodes = [helper.make_node("Constant", [], ["w"], value=weights), helper.make_node("Gather", ["w", "card"], ["e"]),
             helper.make_node("Cast", ["word"], ["f"], to=TensorProto.FLOAT),
             helper.make_node("Squeeze", ["e"], ["e2"]), helper.make_node("Add", ["e2", "f"], ["s"])]  # fmt: skip
    inputs = [("card", TensorProto.INT64, [None]), ("word", TensorProto.STRING, [None])]
    save(tmp_path / "m.onnx", inputs, nodes, [("s", TensorProto.FLOAT, [None])])
    data = dataset("card,word,y\n1,3,0\n2,4.5,1\n", label="y", positive=1)
    model = predictor("m.onnx", data)
    assert model.scores(data.table()).tolist() == [3, 4.5]
    for card, word, says in ((4111111, "2", "InvalidArgument in Gather"), (2, "zaphod", "")):
        with pytest.raises(CouldNotLook, match=f"failed to predict: {says}") as error:
            model.scores(pa.table({"card": [1, card], "word": ["1", word]}))
        assert "4111111" not in str(error.value)
        assert "zaphod" not in str(error.value)


def test_what_onnxruntime_says_of_a_models_constants_is_not_passed_on(tmp_path: Path, predictor: Any) -> None:
    """Keys and values of an encoder that do not match are noticed as the model is loaded."""
    from onnx import TensorProto, helper

    labels = {"keys_strings": ["zaphod", "4111111"], "values_floats": [1.0]}
    nodes = [helper.make_node("LabelEncoder", ["X"], ["s"], name="n4111111", domain="ai.onnx.ml", **labels)]
    save(tmp_path / "m.onnx", [("X", TensorProto.STRING, [None, 2])], nodes, [("s", TensorProto.FLOAT, [None, 2])])
    with pytest.raises(CouldNotLook, match="cannot be loaded: ") as error:
        predictor("m.onnx", None, inputs=["a", "b"])
    assert "4111111" not in str(error.value)
    assert "zaphod" not in str(error.value)


def test_a_missing_library_is_the_exact_pip_line() -> None:
    from assay.adapters.extras import library
    from assay.core.errors import MissingExtra

    with pytest.raises(MissingExtra, match=r"pip install 'assay\[ml\]'"):
        library("not_a_library_at_all.inner")
