"""ONNX Runtime: the graph fused by its own transformer optimizer; int8 dynamic, weights by channel (U8S8)."""
import onnxruntime

VERSION = onnxruntime.__version__
FILES = {"fp32": "{shape}.opt.onnx", "int8": "{shape}.int8.onnx"}


def files(folder, shape, precision):
    return [folder / FILES[precision].format(shape=shape)]


def prepare(folder, name, shape, arguments):
    """`arguments`: numpy inputs of a batch, whose first axis (and second, for texts) stays free."""
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    from peers.models import build

    raw, fused, int8 = folder / f"{name}.onnx", *(folder / FILES[p].format(shape=name) for p in ("fp32", "int8"))
    axes = {0: "batch"} if shape.picture else {0: "batch", 1: "tokens"}
    with torch.no_grad():
        torch.onnx.export(build(name, fused=False), tuple(torch.from_numpy(a) for a in arguments.values()), raw, input_names=list(arguments),
                          output_names=["hidden"], opset_version=17, dynamic_axes={n: axes for n in [*arguments, "hidden"]}, dynamo=False)
    graph = optimize_model(str(raw), model_type="vit" if shape.picture else "bert", num_heads=shape.heads, hidden_size=shape.hidden, opt_level=0)
    attention = graph.get_fused_operator_statistics().get("Attention", 0)
    if attention != shape.layers:
        print(f"peers: ONNX Runtime fused attention in {attention} of {shape.layers} layers of {name}", flush=True)
    graph.save_model_to_file(str(fused))
    maps = ["MatMul", "Attention"] + ([] if shape.picture else ["Gather", "EmbedLayerNormalization"])
    quantize_dynamic(fused, int8, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=maps,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    raw.unlink()


def load(folder, shape, precision, threads, fixed):
    """What runs one batch, and in which numbers it says to compute. `fixed`: the one shape of its inputs, not needed here."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(files(folder, shape, precision)[0]), options, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    return lambda inputs: session.run(None, {n: a for n, a in inputs.items() if n in wanted})[0], precision
