"""One ONNX file into one TensorRT engine, on the machine that will run it."""

from typing import Any, Dict, List, Optional, Tuple

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.tensorrt import rtx
from splitwatt.engines.tensorrt.log import explain, first_refusal
from splitwatt.engines.tensorrt.versions import BINDINGS, RTX, TITLES, TYPED, generation, runtime_of

Shape = Tuple[int, ...]


class RefusedError(EngineError):
    """TensorRT's parser or builder cannot run an operator: the only failure that may fall back."""


def build_engine(
    trt: Any,
    logger: Any,
    onnx_path: str,
    ranges: Dict[str, Tuple[Shape, Shape, Shape]],
    flags: List[str],
    workspace_bytes: int,
    timing_cache: Optional[bytes],
    sm: str,
) -> Tuple[bytes, Optional[bytes]]:
    """The serialised engine of a graph, and the timing cache for the next build.

    Args:
        logger: of `make_logger`, the plugin library being loaded where the graph needs it.
        ranges: input -> (smallest, usual, largest) shape, or values where it is a shape tensor.
        flags: names in `BuilderFlag`.
        workspace_bytes: the memory limit of one kernel.
        timing_cache: the measurements of earlier builds, possibly empty; None for a runtime that has
            no such cache.
        sm: what TensorRT for RTX builds for, as "8.6".

    Raises:
        RefusedError: the parser or the builder cannot run an operator of the graph.
        EngineError: anything else, out of memory included.
    """
    kind = generation(trt.__version__, runtime_of(trt))
    builder = trt.Builder(logger)
    # Shapes include the batch size: a flag before TensorRT 10, the only way from 10 on.
    explicit = 0 if kind == TYPED else 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    network = builder.create_network(explicit)
    _parse(trt, logger, network, onnx_path)
    config = builder.create_builder_config()
    if kind == BINDINGS:
        config.max_workspace_size = workspace_bytes
    else:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes)
    # On by default where there are tensor cores, it rounds fp32 products to 10 bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    for flag in flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if runtime_of(trt) == RTX:
        rtx.configure(trt, sm, config)
    # TensorRT refuses the measurements of another machine: then the cache starts empty.
    if timing_cache is not None and not config.set_timing_cache(
        config.create_timing_cache(timing_cache), False
    ):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    config.add_optimization_profile(_profile(builder, network, ranges))
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        what, remedy = explain(logger.errors)
        sentence = "TensorRT cannot build %s: %s" % (onnx_path, what)
        refusal = first_refusal(logger.errors)
        if refusal:
            raise RefusedError("%s (%s)" % (sentence, refusal), remedy)
        raise EngineError(sentence, remedy)
    if timing_cache is None:
        return bytes(serialized), None
    return bytes(serialized), bytes(config.get_timing_cache().serialize())


def _parse(trt: Any, logger: Any, network: Any, onnx_path: str) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(onnx_path):
        return
    errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
    what, _ = explain(errors)
    raise RefusedError(
        "%s %s refuses %s: %s" % (TITLES[runtime_of(trt)], trt.__version__, onnx_path, what),
        "export for this machine, or let onnxruntime run the part: splitwatt build --fall-back",
    )


def _profile(builder: Any, network: Any, ranges: Dict[str, Tuple[Shape, Shape, Shape]]) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.name not in ranges:
            raise EngineError("nothing is known of the input '%s'" % tensor.name)
        smallest, usual, largest = ranges[tensor.name]
        if tensor.is_shape_tensor:
            profile.set_shape_input(tensor.name, list(smallest), list(usual), list(largest))
        elif len(tuple(tensor.shape)) == len(smallest):
            profile.set_shape(tensor.name, smallest, usual, largest)
        else:  # sizes that the graph computes with: a fixed number of values
            fixed = tuple(tensor.shape)
            profile.set_shape(tensor.name, fixed, fixed, fixed)
    return profile
