"""Something of the shape of TensorRT and PyCUDA, to drive the backend where neither can run.

It is no TensorRT: its "engines" are ONNX files that onnxruntime runs. What it holds the backend to
is the API: a class has the names that TensorRT's own binding sources define at a tag, as
tensorrt_names.json lists them, and no others; device memory is memory, so that a wrong size or
address shows.
"""

import ctypes
import enum
import json
import types
import weakref
from pathlib import Path

import numpy as np
import onnxruntime

DOCUMENT = json.loads((Path(__file__).parent / "tensorrt_names.json").read_text())
TAGS = DOCUMENT["tags"]
VERSIONS = {tag: tag.lstrip("v") + ".0" for tag in TAGS}
NUMPY = {"FLOAT": np.float32, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


def names_at(tag, owner):
    return {
        key.split(".", 1)[1]
        for key, tags in DOCUMENT["names"].items()
        if tag in tags and key.split(".", 1)[0] == owner
    }


# What TensorRT 8.6 to 10 say of an input whose shape is outside the profile.
OUTSIDE = (
    "3: [executionContext.cpp::setInputShape::2068] Error Code 3: API Usage Error (Parameter check "
    "failed at: runtime/api/executionContext.cpp::setInputShape::2068, condition: satisfyProfile "
    "Runtime dimension does not satisfy any optimization profile.)"
)


class Recorder:
    """Which of TensorRT's names were used."""

    def __init__(self):
        self.used = set()


def strict(owner, tag, recorder, implementation, **kept):
    """`implementation` with the names of `owner` at `tag` and no others; each use is recorded."""
    allowed = names_at(tag, owner)

    class Strict(implementation):
        def __getattribute__(self, name):
            if not name.startswith("_") or name == "__version__":
                if name not in allowed:
                    raise AttributeError(f"TensorRT {tag} has no {owner}.{name}")
                recorder.used.add(f"{owner}.{name}")
            return super().__getattribute__(name)

        def __setattr__(self, name, value):
            if not name.startswith("_"):
                if name not in allowed:
                    raise AttributeError(f"TensorRT {tag} has no {owner}.{name}")
                recorder.used.add(f"{owner}.{name}")
            super().__setattr__(name, value)

    Strict.__name__ = owner
    return Strict


class StandIn:
    """The module `tensorrt` at a tag.

    Args:
        refuse: a message that the parser gives; fail: one that the builder logs before it fails.
        plugins: (name, version) pairs in the registry.
    """

    def __init__(self, tag, refuse=None, fail=None, plugins=()):
        self.tag, self.recorder = tag, Recorder()
        self.refuse, self.fail, self.plugins = refuse, fail, plugins
        self.version = VERSIONS[tag]
        self.int64 = int(self.version.split(".")[0]) >= 10
        self.built = []
        self.loaded = []  # libraries of plugins, which register nothing else from 10 on
        self.room = lambda address: 1 << 60
        self.alive = weakref.WeakSet()  # what must not outlive the device

    def module(self):
        tag, recorder = self.tag, self.recorder
        members = {
            "ILogger": type("ILogger", (), {"__init__": lambda self: None}),
            "IOutputAllocator": type("IOutputAllocator", (), {"__init__": lambda self: None}),
            "Builder": lambda logger: self.make("Builder", _Builder, logger=logger),
            "Runtime": lambda logger: self.make("Runtime", _Runtime, logger=logger),
            "OnnxParser": lambda network, logger: self.make("OnnxParser", _Parser, network=network),
            "init_libnvinfer_plugins": lambda logger, namespace: True,
            "get_plugin_registry": lambda: self.make("IPluginRegistry", _Registry),
            "__version__": self.version,
        }
        for name, values in (
            ("BuilderFlag", ("FP16", "INT8", "TF32")),
            ("NetworkDefinitionCreationFlag", ("EXPLICIT_BATCH",)),
            ("MemoryPoolType", ("WORKSPACE",)),
            ("TensorIOMode", ("NONE", "INPUT", "OUTPUT")),
            ("TensorLocation", ("DEVICE", "HOST")),
        ):
            known = names_at(tag, name) | ({"NONE", "OUTPUT", "DEVICE"} & set(values))
            members[name] = _enumeration(name, [v for v in values if v in known], recorder)
        allowed = names_at(tag, "module")

        class Module(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("_") and name != "__version__":
                    raise AttributeError(name)
                if name not in allowed:
                    raise AttributeError(f"TensorRT {tag} has no {name}")
                recorder.used.add("module." + name)
                return members[name]

        return Module("tensorrt")

    def make(self, owner, implementation, **state):
        made = strict(owner, self.tag, self.recorder, implementation)()
        made.__dict__.update({"_" + key: value for key, value in state.items()}, _of=self)
        if owner in ("Runtime", "ICudaEngine", "IExecutionContext"):
            self.alive.add(made)
        return made


def _enumeration(name, values, recorder):
    made = enum.IntEnum(name, {value: index for index, value in enumerate(values)})

    class Recording:
        def __getattr__(self, value):
            recorder.used.add(f"{name}.{value}")
            return made[value]

    return Recording()


class _Registry:
    @property
    def plugin_creator_list(self):
        return self._creators()

    all_creators = plugin_creator_list

    def _creators(self):
        return [
            types.SimpleNamespace(name=name, plugin_version=version)
            for name, version in self._of.plugins
            if self._of.loaded or not self._of.int64
        ]

    def load_library(self, path):
        self._of.loaded.append(path)


class _Builder:
    def create_network(self, flags=0):
        explicit = "EXPLICIT_BATCH" in names_at(self._of.tag, "NetworkDefinitionCreationFlag")
        assert flags == (1 if explicit and not self._of.int64 else 0)
        return self._of.make("INetworkDefinition", _Network)

    def create_builder_config(self):
        return self._of.make("IBuilderConfig", _Config, flags=[], profiles=[], workspace=None)

    def create_optimization_profile(self):
        return self._of.make("IOptimizationProfile", _Profile, ranges={})

    def build_serialized_network(self, network, config):
        if self._of.fail:
            self._logger.log(1, self._of.fail)
            return None
        (profile,) = config._profiles
        assert config._workspace, "no workspace was set"
        self._of.built.append(config._flags)
        return json.dumps({"onnx": network._path, "ranges": profile._ranges}).encode()


class _Network:
    @property
    def num_inputs(self):
        return len(self._session.get_inputs())

    def get_input(self, index):
        port = self._session.get_inputs()[index]
        shape = tuple(size if isinstance(size, int) else -1 for size in port.shape)
        made = self._of.make("ITensor", object)
        made.__dict__.update(name=port.name, shape=shape, is_shape_tensor=port.name == "input_size")
        return made


class _Profile:
    def set_shape(self, name, low, usual, high):
        self._ranges[name] = [list(low), list(usual), list(high)]

    set_shape_input = set_shape


class _Config:
    max_workspace_size = property(None, lambda self, size: self.__dict__.update(_workspace=size))

    def set_memory_pool_limit(self, pool, size):
        self.__dict__["_workspace"] = size

    def clear_flag(self, flag):
        self._flags.append("-" + flag.name)

    def set_flag(self, flag):
        self._flags.append(flag.name)

    def create_timing_cache(self, content):
        made = self._of.make("ITimingCache", _Cache)
        made.__dict__["_content"] = content
        return made

    def set_timing_cache(self, cache, ignore_mismatch):
        self.__dict__["_cache"] = cache
        return cache._content != b"of another machine"

    def get_timing_cache(self):
        return self._cache

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)


class _Cache:
    def serialize(self):
        return self._content + b"+"


class _Parser:
    def parse_from_file(self, path):
        if self._of.refuse:
            return False
        self._network.__dict__.update(_path=path, _session=_session(path))
        return True

    num_errors = 1

    def get_error(self, index):
        error = self._of.make("ParserError", object)
        error.__dict__["desc"] = lambda: self._of.refuse
        return error


class _Runtime:
    def deserialize_cuda_engine(self, data):
        if not data.startswith(b"{"):
            self._logger.log(1, "Error Code 1: Serialization (Serialization assertion failed.)")
            return None
        plan = json.loads(data.decode())
        session = _session(plan["onnx"])
        return self._of.make(
            "ICudaEngine", _Engine, plan=plan, session=session, logger=self._logger
        )


def _session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


class _Engine:
    def _ports(self):
        return list(self._session.get_inputs()) + list(self._session.get_outputs())

    def _dtype(self, port):
        name = {"tensor(float)": "FLOAT", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}[
            port.type
        ]
        return "DataType." + ("INT32" if name == "INT64" and not self._of.int64 else name)

    def _named(self, name):
        return next(port for port in self._ports() if port.name == name)

    num_bindings = num_io_tensors = property(lambda self: len(self._ports()))

    def get_binding_name(self, index):
        return self._ports()[index].name

    get_tensor_name = get_binding_name

    def binding_is_input(self, index):
        return index < len(self._session.get_inputs())

    def get_binding_dtype(self, index):
        return self._dtype(self._ports()[index])

    def is_shape_binding(self, index):
        return self._ports()[index].name == "input_size"

    def get_tensor_dtype(self, name):
        return self._dtype(self._named(name))

    def get_tensor_mode(self, name):
        return 1 if name in [port.name for port in self._session.get_inputs()] else 2

    def get_tensor_location(self, name):
        return 1 if name == "input_size" else 0

    def create_execution_context(self):
        return self._of.make(
            "IExecutionContext",
            _Context,
            engine=self,
            shapes={},
            values={},
            addresses={},
            allocators={},
        )


class _Context:
    """Runs the graph on the bytes at the addresses that it was given."""

    def set_binding_shape(self, index, shape):
        return self._set(self._engine._ports()[index].name, shape)

    def set_shape_input(self, index, values):
        name = self._engine._ports()[index].name
        self._shapes[name] = (len(values),)
        self._values[name] = values
        return True

    def set_input_shape(self, name, shape):
        return self._set(name, shape)

    def _set(self, name, shape):
        low, _, high = self._engine._plan["ranges"][name]
        sizes = name in ("input_size", "valid_size")
        if not sizes and not all(a <= b <= c for a, b, c in zip(low, shape, high)):
            self._engine._logger.log(1, OUTSIDE)
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_binding_shape(self, index):
        return self.__dict__["_probe"](self, self._engine._ports()[index].name)

    def get_tensor_shape(self, name):
        return self.__dict__["_probe"](self, name)

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        if self._engine.get_tensor_location(name) == 1:  # its values decide the outputs' shapes
            dtype = np.int64 if self._engine._of.int64 else np.int32
            self._values[name] = _array_at(address, self._shapes[name], dtype).tolist()
        return True

    def set_output_allocator(self, name, allocator):
        self._allocators[name] = allocator
        return True

    def execute_async_v2(self, bindings, stream):
        names = [port.name for port in self._engine._ports()]
        return self._execute(dict(zip(names, bindings)))

    def execute_async_v3(self, stream):
        return self._execute(self._addresses)

    @property
    def _probe(self):
        return _probe

    def __init__(self):
        self.__dict__["_probe"] = _probe

    def _execute(self, addresses):
        feeds = {}
        for port in self._engine._session.get_inputs():
            dtype = NUMPY[self._engine._dtype(port).split(".")[1]]
            array = _array_at(addresses[port.name], self._shapes[port.name], dtype)
            feeds[port.name] = array.astype(np.int64) if port.type == "tensor(int64)" else array
        found = self._engine._session.run(None, feeds)
        for port, value in zip(self._engine._session.get_outputs(), found):
            dtype = NUMPY[self._engine._dtype(port).split(".")[1]]
            value = np.ascontiguousarray(value.astype(dtype))
            address = addresses[port.name]
            if port.name in self._allocators:
                asked = self._allocators[port.name]
                ask = getattr(
                    asked,
                    "reallocate_output_async" if self._engine._of.int64 else "reallocate_output",
                )
                extra = (7,) if self._engine._of.int64 else ()
                address = ask(port.name, address, value.nbytes, 256, *extra)
                asked.notify_shape(port.name, value.shape)
            assert self._engine._of.room(address) >= value.nbytes, (
                f"{port.name} has too little room"
            )
            ctypes.memmove(address, value.ctypes.data, value.nbytes)
        return True


def _probe(context, name):
    """The shape by those of the inputs: by running the graph; -1 where it depends on values."""
    session = context._engine._session
    if name in ("boxes", "labels", "scores"):
        return (-1, 4) if name == "boxes" else (-1,)
    feeds = {}
    for port in session.get_inputs():
        dtype = np.int64 if port.type == "tensor(int64)" else np.float32
        feeds[port.name] = np.full(context._shapes[port.name], 32, dtype)
        if port.name in context._values:
            feeds[port.name] = np.array(context._values[port.name], dtype)
    outputs = [port.name for port in session.get_outputs()]
    return session.run([name], feeds)[0].shape if name in outputs else context._shapes[name]


def _array_at(address, shape, dtype):
    count = int(np.prod(shape))
    buffer = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(address)
    return np.frombuffer(buffer, dtype, count).reshape(shape).copy()


class Driver:
    """The module `pycuda.driver`; its device memory lies on the heap and is counted."""

    class Error(Exception):
        pass

    MemoryError = MemoryError

    def __init__(self, sm=(8, 6), limit_bytes=1 << 30):
        self.sizes, self.alive, self.retained = {}, (), 0
        self.sm, self.limit, self.live, self.uploads, self.pushed = sm, limit_bytes, 0, 0, 0
        driver = self

        class Device:
            def __init__(self, index):
                assert index == 0

            @staticmethod
            def count():
                return 1

            def name(self):
                return "Stand-in"

            def compute_capability(self):
                return driver.sm

            def retain_primary_context(self):
                driver.retained += 1
                return types.SimpleNamespace(
                    push=driver._push, pop=driver._pop, detach=driver._detach
                )

        class Allocation:
            def __init__(self, size):
                if driver.live + size > driver.limit:
                    raise driver.MemoryError("cuMemAlloc failed: out of memory")
                driver.live += size
                self.memory = np.empty(size, np.uint8)
                driver.sizes[int(self)] = size

            def __int__(self):
                return self.memory.ctypes.data

            def free(self):
                driver.live -= self.memory.nbytes
                self.memory = None

        self.Device, self.mem_alloc = Device, Allocation

    def _detach(self):
        self.retained -= 1
        # A runtime, an engine and an execution context of each device that is still open.
        assert len(self.alive) <= 3 * self.retained, "TensorRT's objects outlive the device"

    def _push(self):
        self.pushed += 1

    def _pop(self):
        self.pushed -= 1

    def init(self):
        pass

    def Stream(self):
        return types.SimpleNamespace(handle=7, synchronize=lambda: None)

    def Event(self):
        return types.SimpleNamespace(record=lambda stream: None, time_since=lambda other: 2.5)

    def pagelocked_empty(self, shape, dtype):
        return np.empty(shape, dtype)

    def memcpy_htod_async(self, destination, source, stream):
        assert self.pushed == 1, "no context is current"
        self.uploads += 1
        ctypes.memmove(destination, source.ctypes.data, source.nbytes)

    def memcpy_dtoh_async(self, destination, source, stream):
        assert self.pushed == 1, "no context is current"
        ctypes.memmove(destination.ctypes.data, source, destination.nbytes)
