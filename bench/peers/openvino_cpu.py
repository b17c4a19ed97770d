"""OpenVINO: converted from PyTorch with fused attention; bf16 by the precision hint; int8 static, calibrated by NNCF."""
import openvino

VERSION = openvino.__version__.split("-")[0]
CALIBRATION_INPUTS = 16


def files(folder, shape, precision):
    stem = folder / f"{shape}.{'ovq' if precision == 'int8' else 'ov'}"
    return [stem.with_suffix(stem.suffix + ".xml"), stem.with_suffix(stem.suffix + ".bin")]


def calibration(shape):
    import numpy

    draw = numpy.random.default_rng(5)
    for _ in range(CALIBRATION_INPUTS):
        if shape.picture:
            yield {0: draw.standard_normal((1, 3, shape.picture, shape.picture)).astype("float32")}
        else:
            size = (1, int(draw.integers(16, 65)))
            yield {0: draw.integers(1000, 30000, size), 1: numpy.ones(size, "int64"), 2: numpy.zeros(size, "int64")}


def prepare(folder, name, shape, arguments):
    import nncf
    import torch

    from peers.models import build

    with torch.no_grad():
        model = openvino.convert_model(build(name, fused=True), example_input=tuple(torch.from_numpy(a) for a in arguments.values()))
    plain = files(folder, name, "fp32")[0]
    openvino.save_model(model, plain, compress_to_fp16=False)
    small = nncf.quantize(openvino.Core().read_model(plain), nncf.Dataset(list(calibration(shape))),
                          model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION_INPUTS)
    openvino.save_model(small, files(folder, name, "int8")[0], compress_to_fp16=False)


def load(folder, shape, precision, threads, fixed):
    core = openvino.Core()
    model = core.read_model(files(folder, shape, precision)[0])
    if fixed is not None:  # shapes known beforehand: it plans memory and kernels for them
        model.reshape({port: list(array.shape) for port, array in zip(model.inputs, fixed.values())})
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": threads,
                                                 "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"})
    request = compiled.create_infer_request()

    def run(inputs):
        request.infer(dict(enumerate(inputs.values())), share_inputs=True)
        return request.get_output_tensor(0).data.copy()  # the next call writes into the same tensor

    told = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return run, "int8" if precision == "int8" else {"f32": "fp32"}.get(told, told)
