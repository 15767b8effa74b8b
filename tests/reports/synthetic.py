"""Synthetic run folders, written through the profiler's own schema: nothing in them was measured.

For tests of reports alone. Their name says "synthetic", and so do their bundles and versions.
"""

import hashlib
import random
from pathlib import Path

from splitwatt.profiler.config.config import Config, load_config
from splitwatt.profiler.execute.block.system import published_total
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.blocks import Memory
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.legacy_size import pickled_bytes
from splitwatt.profiler.records.run import MEMORY_FILE, SAMPLES_FILE
from splitwatt.profiler.records.sample import Request, Sample

# Model -> GMAC, parameters, seconds: of the right order, and invented.
LOCAL = {
    "mobilenet_v3_large": (0.22, 5.5e6, 0.012),
    "mobilenet_v2": (0.30, 3.5e6, 0.015),
    "mnasnet1_3": (0.53, 6.3e6, 0.020),
    "mnasnet0_5": (0.10, 2.2e6, 0.007),
    "ssd300_vgg16": (34.86, 35.6e6, 0.40),
    "ssdlite320_mobilenet_v3_large": (0.58, 3.4e6, 0.05),
    "fasterrcnn_mobilenet_v3_large_320_fpn": (0.72, 19.4e6, 0.09),
    "deeplabv3_mobilenet_v3_large": (8.73, 11.0e6, 0.13),
    "lraspp_mobilenet_v3_large": (1.7, 3.2e6, 0.045),
}
SPLIT = {  # slot -> encoder GMAC, board seconds, latent height and width
    "ic": (0.588, 0.02, 55, 55),
    "od": (10.213, 0.25, 199, 265),
    "ss": (4.135, 0.11, 127, 170),
    "all": (1.56, 0.05, 79, 103),
}
BOARD_SPEED = {"cpu": 1.0, "nano": 4.0, "xavier_nx": 2.0}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def slot(model: str) -> str:
    return model.split("@")[0].rsplit("_", 1)[1] if model.startswith("entropic") else "all"


def bits_per_symbol(model: str) -> float:
    return 2.2 / (1 + float(model.split("@")[1])) + 0.08


def bundle(model: str) -> dict:
    """What run.json keeps of a bundle, as the profiler writes it."""
    weights = {"model": model, "manifest_sha256": sha(model), "trained": False, "assumed": False,
               "weights_source": "synthetic: invented by a test"}  # fmt: skip
    if model in LOCAL:
        gmac, params, _ = LOCAL[model]
        part = {"name": "model", "placement": "board", "gmac": gmac, "params": int(params),
                "bytes": int(4 * params), "sha256": sha(model + "model")}  # fmt: skip
        return {**weights, "parts": [part], "encoder_size_bytes": None}
    gmac = SPLIT[slot(model)][0]
    shared = "entropic" + model.split("@")[1] if model.startswith("entropic") else model
    fp32 = 980_000 if "269" in model else 561_000
    parts = [
        {"name": "encoder", "placement": "board", "gmac": gmac, "params": fp32 // 4,
         "bytes": fp32 + 9_000, "sha256": sha(shared + "encoder")},
        {"name": "body", "placement": "server", "gmac": 20.0, "params": 23_000_000,
         "bytes": 92_000_000, "sha256": sha(model + "body")},
    ]  # fmt: skip
    sizes = {"fp32_params": fp32, "deployed": fp32 + 31_000}
    return {**weights, "parts": parts, "encoder_size_bytes": sizes}


def make_config(only: list[str] | None = None, links: int = 2, **changes) -> Config:
    """table3.yaml's configurations, or some of them, with 1 to 3 links."""
    config = load_config("table3.yaml")
    config = config.only(only) if only else config
    more = (Link("BLE 270 kbit/s", "simulated", 270.0, "wire", "a test"),)
    return config._replace(links=(*config.links, *more)[:links], name="synthetic", **changes)


def own_names(config: Config) -> Config:
    """The config's rows under names that somebody gave them, one of them long."""
    names = ["mobile_classifier_on_the_board", "heavy3", "jpeg_split_1", "jpeg_split_5"]
    names += [f"Novel{i}" for i in range(1, len(config.configurations) - 3)]
    rows = zip(config.configurations, names, strict=True)
    return config._replace(configurations=tuple(row._replace(id=name) for row, name in rows))


def write_run(folder: Path, config: Config, board: str = "cpu", finished: bool = True,
              seed: int = 1, same_machine: bool = True, skip: tuple = (), fail: tuple = (),
              trained: bool = False) -> Path:  # fmt: skip
    """Write a run; configurations in `skip` have no sample, in `fail` every other one failed."""
    dice = random.Random(seed)
    bundles = {model: {**bundle(model), "trained": trained} for model in config.models()}
    document = {
        "format": 1, "id": f"synthetic-{board}-{seed}", "name": config.name,
        "config": config.to_json(), "started_wall": "2026-11-21T00:00:00Z",
        "started_monotonic_s": 1000.0,
        "finished_wall": "2026-11-21T01:00:00Z" if finished else None,
        "targets": {"board": board, "server": "cpu"}, "same_machine": same_machine,
        "bundles": bundles, "versions": {"synthetic": "not measured"},
        "board_state": {"governor": "performance"}, "server": {"backend": "cpu"},
        "images": [{"file": "raccoon.jpg", "sha256": sha("raccoon"), "width": 640, "height": 480}],
        "blocks": [{"id": f"{row.id}-{backend}-{repeat}", "config": row.id, "backend": backend,
                    "repeat": repeat, "again": 0} for backend in config.backends
                   for row in config.configurations for repeat in range(config.repeats)],
    }  # fmt: skip
    run = RunFolder.create(str(folder), document)
    with run, run.appender(SAMPLES_FILE) as samples, run.appender(MEMORY_FILE) as memory:
        for block, peak in _records(config, board, dice, skip, fail):
            for sample in block:
                requests = [dict(request._asdict()) for request in sample.requests]
                samples.append({**sample._asdict(), "requests": requests})
            memory.append(dict(peak._asdict()))
    return folder


def _records(config, board, dice, skip, fail):
    for backend in config.backends:
        speed = BOARD_SPEED[board] / (1 if backend == "cpu" else 5)
        for row in config.configurations:
            if row.id in skip:
                continue
            for repeat in range(config.repeats):
                block = f"{row.id}-{backend}-{repeat}"
                count = config.warmup + config.inferences
                yield (
                    [
                        _sample(config, row, backend, block, repeat, i, speed, dice, row.id in fail)
                        for i in range(count)
                    ],
                    Memory(row.id, backend, block, _peak(row, dice), None, "synthetic"),
                )


def _peak(row, dice) -> int:
    base = 3e8 if row.kind == "split" else 4e8
    heavy = sum(LOCAL[m][1] * 6 for m in row.models if m in LOCAL)
    return int(base + heavy + dice.uniform(0, 5e7))


def _sample(config, row, backend, block, repeat, place, speed, dice, failing) -> Sample:
    warmup = place < config.warmup
    inference = place if warmup else place - config.warmup
    failed = failing and not warmup and inference % 2 == 1
    stages, requests = {"decode": 0.004 * dice.uniform(0.9, 1.2)}, []
    for model in row.models:
        noise = dice.lognormvariate(0, 0.05)
        if model in LOCAL:
            s = {"ssd": "od", "fas": "od", "dee": "ss", "lra": "ss"}.get(model[:3], "ic")
            stages[f"{s}.preprocess"] = 0.003 * speed * noise
            stages[f"{s}.model"] = LOCAL[model][2] * speed * noise
            continue
        s = slot(model)
        _, seconds, height, width = SPLIT[s]
        stages[f"{s}.encoder"] = seconds * speed * noise
        stages[f"{s}.encode"] = 0.01 * speed * noise
        stages[f"{s}.network"] = 0.002 * noise
        stages[f"{s}.answer"] = 0.001 * speed
        stages[f"{s}.server.decode"] = 0.01 * noise
        stages[f"{s}.server.body"] = 0.12 * noise
        size = int(24 * height * width * bits_per_symbol(model) / 8 * dice.uniform(0.9, 1.1))
        requests.append(
            Request(model, size, size + 390, 2900, pickled_bytes([size], height, width), 1)
        )
    charge = published_total(row.models) if config.payload == "published" and requests else None
    return Sample(
        config=row.id, image="raccoon.jpg", repeat=repeat, inference=inference, backend=backend,
        block=block, warmup=warmup, status="failed" if failed else "ok",
        reason="the server is gone" if failed else None, failed_by="server" if failed else None,
        total_s=None if failed else sum(stages.values()) + 0.0001, stages={} if failed else stages,
        payload_bytes=_total(requests, "payload_bytes", failed),
        wire_up_bytes=_total(requests, "wire_up_bytes", failed),
        wire_down_bytes=_total(requests, "wire_down_bytes", failed),
        requests=[] if failed else requests,
        published_payload_bytes=charge[0] if charge else None,
        published_payload_source=charge[1] if charge else None, started_monotonic_s=1000.0,
    )  # fmt: skip


def _total(requests, field, failed):
    return None if failed or not requests else sum(getattr(r, field) for r in requests)
