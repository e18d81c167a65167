"""As judge_make_nets.py, with Keras, TensorFlow, flax, CatBoost, GGUF and ONNX: `python judge_make_graphs.py OUT`."""

from pathlib import Path

import numpy as np
from judge_make_nets import OUT, RECIPES, X, at, recipe, run

RECIPES.clear()


@recipe
def keras_models():
    import keras
    from keras import layers

    def both(shape, model):
        model.save(at(f"keras--{shape}", "model.keras"))

    dense = keras.Sequential(
        [layers.Input((4,)), layers.Dense(2, "relu", kernel_regularizer="l2"), layers.Dropout(0.1), layers.Dense(1)]
    )
    dense.compile("adam", "mse", metrics=["mae"])
    dense.fit(X, X[:, :1], verbose=0)
    both("dense-compiled", dense)
    dense.save(at("keras--dense-h5", "model.h5"))
    dense.save_weights(at("keras--weights-h5", "model.weights.h5"))
    both(
        "convolution",
        keras.Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Rescaling(1 / 255),
                layers.RandomFlip(),
                layers.Conv2D(2, 3),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(1, "softmax"),
            ]
        ),
    )
    both(
        "recurrent",
        keras.Sequential(
            [
                layers.Input((4,)),
                layers.Embedding(9, 2, mask_zero=True),
                layers.Bidirectional(layers.LSTM(2)),
                layers.Dense(1),
            ]
        ),
    )
    side = layers.Input((2,), name="os_version")
    deep = layers.Input((3,), name="eval_input")
    merged = layers.Concatenate()([layers.Dense(2)(side), layers.LayerNormalization()(deep)])
    both("functional", keras.Model([side, deep], layers.Dense(1, "sigmoid")(merged)))
    series = layers.Input((3, 2))
    both("attention", keras.Model(series, layers.MultiHeadAttention(1, 2)(series, series)))
    both(
        "wrappers",
        keras.Sequential(
            [
                layers.Input((3, 2)),
                layers.TimeDistributed(layers.Dense(2)),
                layers.GRU(2, return_sequences=True),
                layers.Conv1D(2, 2),
                layers.Flatten(),
                layers.Activation("gelu"),
            ]
        ),
    )
    numbers = layers.Normalization()
    numbers.adapt(X)
    both("normalization", keras.Sequential([layers.Input((4,)), numbers, layers.Discretization([0.1, 0.5])]))
    Path(at("keras--architecture-json", "model.json")).write_text(dense.to_json())


@recipe
def keras_vocabularies():
    import keras
    from keras import layers

    words = layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    words.adapt(["exec the eval of os", "import system now"])
    text = keras.Sequential([keras.Input((1,), dtype="string"), words, layers.Embedding(20, 2)])
    text.save(at("keras--text-vectorization", "model.keras"))
    cities = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["Oslo", "Bern"])])
    cities.save(at("keras--string-lookup", "model.keras"))


@recipe
def tensorflow_models():
    import keras
    import tensorflow as tf

    class Adder(tf.Module):
        """A module with a variable and one function."""

        def __init__(self):
            super().__init__()
            self.w = tf.Variable([1.0, 2.0])

        @tf.function(input_signature=[tf.TensorSpec([2], tf.float32)])
        def __call__(self, x):
            """Add."""
            tf.debugging.assert_all_finite(x, "finite")
            return x + self.w

    module = Adder()
    tf.saved_model.save(module, OUT / "tensorflow--module")
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    net.export(OUT / "tensorflow--keras-export", verbose=False)
    made = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module).convert()
    Path(at("tensorflow--tflite", "model.tflite")).write_bytes(made)
    made = tf.lite.TFLiteConverter.from_keras_model(net)
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    Path(at("tensorflow--tflite-quantized", "model.tflite")).write_bytes(made.convert())
    tf.train.Checkpoint(w=module.w).write(at("tensorflow--checkpoint", "ckpt-1"))
    with tf.io.TFRecordWriter(at("tensorflow--records", "train.tfrecord")) as writer:
        writer.write(tf.train.Example().SerializeToString())


@recipe
def tensorflow_keras_two():
    import tf_keras

    net = tf_keras.Sequential([tf_keras.layers.Input((2,)), tf_keras.layers.Dense(1)])
    net.save(at("keras--version-2-h5", "model.h5"))
    net.save(OUT / "tensorflow--keras-2-saved-model", save_format="tf")


@recipe
def string_tables():
    import tensorflow as tf

    class Lookup(tf.Module):
        """A hash table filled from values, as preprocessing exports have it."""

        def __init__(self):
            super().__init__()
            pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
            self.table = tf.lookup.StaticHashTable(pairs, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, x):
            """Look up."""
            return self.table.lookup(tf.strings.lower(x))

    tf.saved_model.save(Lookup(), OUT / "tensorflow--lookup-table")


@recipe
def flax_files():
    import flax.serialization
    import jax.numpy as jnp

    Path(at("flax--msgpack", "flax_model.msgpack")).write_bytes(
        flax.serialization.to_bytes({"dense": {"kernel": jnp.ones((2, 2))}})
    )


@recipe
def catboost_files():
    import catboost

    model = catboost.CatBoostClassifier(iterations=1, depth=1, verbose=False, allow_writing_files=False).fit(
        X, [0, 1] * 5
    )
    model.save_model(at("boosters--catboost-cbm", "model.cbm"))
    model.save_model(at("boosters--catboost-json", "model.json"), format="json")
    import pickle

    Path(at("boosters--catboost-pickle", "model.pkl")).write_bytes(pickle.dumps(model))


@recipe
def gguf_file():
    import gguf

    writer = gguf.GGUFWriter(at("gguf--llama", "model.gguf"), "llama")
    writer.add_context_length(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", "eval", "os"])
    writer.add_chat_template(
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
        "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
        "}}{% endif %}"
    )
    writer.add_tensor("token_embd.weight", X)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@recipe
def onnx_external():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((4, 512), "f4"), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 512])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, at("onnx--external-data", "model.onnx"), save_as_external_data=True, location="model.onnx.data")
    made = helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft")
    graph.node[0].CopyFrom(made)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]),
        at("onnx--runtime-optimized", "model.onnx"),
    )


if __name__ == "__main__":
    run()
