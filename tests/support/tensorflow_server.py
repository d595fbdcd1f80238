"""A server of real SavedModels: TensorFlow's own signatures, graphs and protos behind TensorFlow Serving's services.

Run as a program with the folder of a SavedModel: it prints its port, and serves until its input ends. A process of its
own, as TensorFlow is slow to load and never lets go.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from gateway.protos.loader import message_class

SERVING = "tensorflow.serving"
MODEL, VERSION = "half_plus_two", 123


def save_half_plus_two(folder):
    """TensorFlow Serving's test model as TensorFlow 2 writes it: y = x / 2 + 2, also for serialised examples."""
    import tensorflow as tf

    class HalfPlusTwo(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
        def predict(self, x):
            return {"y": x / 2 + 2}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
        def regress(self, inputs):
            features = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})
            return {"outputs": self.predict(features["x"])["y"]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
        def classify(self, inputs):
            scores = self.regress(inputs)["outputs"]
            return {"scores": scores, "classes": tf.fill(tf.shape(scores), "half")}

        @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "any")])
        def shapeless(self, any):  # noqa: A002 - names the input
            return {"same": tf.identity(any)}

    model = HalfPlusTwo()
    signatures = {
        "serving_default": model.predict,
        "regress_x_to_y": model.regress,
        "classify_x_to_y": model.classify,
        "shapeless": model.shapeless,
    }
    tf.saved_model.save(model, str(folder), signatures)


def serve(folder):
    """Serve the SavedModel in ``folder`` until the input ends."""
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    loaded = tf.saved_model.load(str(folder))
    definitions = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].signature_def

    def predict(data, context):
        request = message_class(f"{SERVING}.PredictRequest").FromString(data)
        name = request.model_spec.signature_name or "serving_default"
        if request.model_spec.version.value != VERSION or name not in loaded.signatures:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        inputs = {
            key: tf.constant(tf.make_ndarray(TensorProto.FromString(value.SerializeToString())))
            for key, value in request.inputs.items()
        }
        try:
            outputs = loaded.signatures[name](**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = message_class(f"{SERVING}.PredictResponse")()
        response.model_spec.CopyFrom(request.model_spec)
        for key, value in outputs.items():
            response.outputs[key].ParseFromString(tf.make_tensor_proto(value.numpy()).SerializeToString())
        return response.SerializeToString()

    def metadata(data, context):
        known = message_class(f"{SERVING}.SignatureDefMap")()
        for name, definition in definitions.items():
            known.signature_def[name].ParseFromString(definition.SerializeToString())
        response = message_class(f"{SERVING}.GetModelMetadataResponse")()
        response.metadata["signature_def"].Pack(known)
        return response.SerializeToString()

    def status(data, context):
        response = message_class(f"{SERVING}.GetModelStatusResponse")()
        response.model_version_status.add(version=VERSION, state="AVAILABLE")
        return response.SerializeToString()

    services = {
        "PredictionService": {"Predict": predict, "GetModelMetadata": metadata},
        "ModelService": {"GetModelStatus": status},
    }
    server = grpc.server(ThreadPoolExecutor(2))
    for service, methods in services.items():
        handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{SERVING}.{service}", handlers),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201
    server.start()
    sys.stdin.read()


if __name__ == "__main__":
    saved = Path(sys.argv[1])
    save_half_plus_two(saved)
    serve(saved)
