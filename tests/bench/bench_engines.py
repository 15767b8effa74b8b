"""Engines against PyTorch: the same part, weights, photograph and number of threads, in one run."""

import os
import sys
from typing import Any

import numpy as np
import torch

from splitwatt.engines.backends import load_engine
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.cli import export
from splitwatt.export.spec import Photo
from splitwatt.export.tracing.photos import photos, samples
from splitwatt.export.weights.random_weights import quantised, seeded
from splitwatt.export.zoo import find
from tests.bench.measure import OUT, publish, side_by_side

LOCAL = [
    "mobilenet_v3_large", "mobilenet_v2", "mnasnet1_3", "mnasnet0_5", "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large",
]  # fmt: skip
SPLIT = ["entropic_student_ic@0.32", "entropic_student_od@0.32", "entropic_student_ss@0.32",
         "ladon_r50@0.32", "ladon_resnest269e@0.32"]  # fmt: skip
ENCODER_SIZES = [(224, 224), (320, 416)]
SECONDS = 4.0
PAUSE_S = 0.03


def main() -> None:
    """The encoder alone on one thread, then every part of every model on all cores."""
    folder = OUT / "bundles"
    models = [argument for name in LOCAL + SPLIT for argument in ("--model", name)]
    if export([*models, "--target", "cpu", "--weights", "random", "--bundles", str(folder)]):
        sys.exit(1)
    encoder_alone(folder / "cpu" / "ladon_r50@0.32")
    every_part(folder / "cpu")


def encoder_alone(bundle: Any) -> None:
    """Ladon's ResNet-50 encoder, one thread: onnxruntime against the module in PyTorch."""
    path = Bundle.open(str(bundle)).part_path("encoder")
    module = network("ladon_r50@0.32").encoder_modules[0]
    torch.set_num_threads(1)
    rows, figures = [], {}
    with load_engine("cpu", path, threads=1) as engine, torch.no_grad():
        for size in ENCODER_SIZES:
            image = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
            tensor = torch.from_numpy(image)
            times = side_by_side(
                {
                    "PyTorch": lambda tensor=tensor: module(tensor),
                    "onnxruntime": lambda image=image: engine.run({"image": image}),
                },
                SECONDS,
                pause_s=PAUSE_S,
            )
            label = "3x{}x{}".format(*size)
            figures[label] = times
            rows.append([label, *(f"{1e3 * t:.1f}" for t in times.values()), ratio(times)])
    publish(
        "encoder",
        "Ladon's ResNet-50 encoder alone, one thread",
        ["image", "PyTorch [ms]", "onnxruntime [ms]", "faster by"],
        rows,
        figures,
    )


def every_part(folder: Any) -> None:
    """Every part of every exported model on all cores: onnxruntime against PyTorch."""
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    rows, figures = [], {}
    for name in LOCAL + SPLIT:
        for part, times in parts(name, Bundle.open(str(folder / name)), threads):
            figures[f"{name} {part}"] = times
            rows.append([name, part, *(f"{1e3 * t:.1f}" for t in times.values()), ratio(times)])
    publish(
        "parts",
        f"Every part on {threads} threads, one photograph",
        ["model", "part", "PyTorch [ms]", "onnxruntime [ms]", "faster by"],
        rows,
        figures,
    )


def parts(name: str, bundle: Bundle, threads: int):
    """(part, seconds) of each part of one model, on the features of a real photograph."""
    model = network(name)
    photo = samples(find(name)[0].preprocess)[0]
    tensors = inputs(photo)
    for part in model.parts():
        feed = {port.name: tensors[port.name].numpy() for port in part.inputs}
        with load_engine("cpu", bundle.part_path(part.name), threads) as engine, torch.no_grad():
            times = side_by_side(
                {
                    "PyTorch": lambda part=part: part.reference(tensors),
                    "onnxruntime": lambda engine=engine, feed=feed: engine.run(feed),
                },
                SECONDS,
                pause_s=PAUSE_S,
            )
            outputs = part.reference(tensors)
        tensors.update(outputs)
        if "latent" in outputs:
            tensors["latent"] = quantised(model.bottleneck, outputs["latent"])
        yield part.name, times


def network(name: str) -> Any:
    """The model in PyTorch with the random weights that its bundle has."""
    system, rate = find(name)
    with seeded(name), torch.no_grad():
        model = system.build(rate)
        model.fit_random(photos(system.preprocess), name)
    return model


def inputs(photo: Photo) -> dict[str, torch.Tensor]:
    """A photograph's tensors by the names of the parts' inputs."""
    return {
        "image": torch.from_numpy(photo.tensor),
        "input_size": torch.tensor(photo.input_size),
        "valid_size": torch.tensor(photo.valid_size),
    }


def ratio(times: dict[str, float]) -> str:
    """How many times faster the second contender is than the first."""
    first, second = times.values()
    return f"{first / second:.2f}x"
