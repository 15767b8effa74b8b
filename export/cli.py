"""The verbs of this room: models, weights, export, calibrate."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitwatt.device_configs.cli import note, parser, print_json, say
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.names import suggestion
from splitwatt.engines.bundle.manifest import TASKS
from splitwatt.engines.bundle.model_name import check_own_name

if TYPE_CHECKING:
    from splitwatt.export.request import Request


def models(argv: list[str]) -> int:
    """List the models, or those that match the names and the task."""
    from splitwatt.export import zoo

    flags = parser("models", "The models that can be exported.", "splitwatt models ladon")
    flags.add_argument("name", nargs="*", metavar="NAME",
                       help="only models or families with this in their name, such as ladon")  # fmt: skip
    flags.add_argument("--task", choices=TASKS, help="only models of this task")
    _zoo_flag(flags)
    options = flags.parse_args(argv)
    failed = _add_zoo(options.zoo)
    known = zoo.systems()
    asked = [name.lower() for name in options.name]
    rows: list[dict[str, Any]] = [
        {
            "name": system.name,
            "family": system.family,
            "paper": system.paper,
            "tasks": list(system.tasks),
            "rates": list(system.rates),
            "citation": system.citation,
            "notes": list(system.notes),
            "unavailable": system.unavailable or None,
        }
        for system in known.values()
        if options.task in (None, *system.tasks)
        and (not asked or any(name in f"{system.name} {system.family}".lower() for name in asked))
    ]
    if not rows and not failed:
        asked += [options.task] if options.task else []
        raise UsageError(f"no model matches '{' '.join(asked)}'", suggestion(asked[0], known))
    if options.json:
        print_json(rows)
        return min(failed, 1)
    for row in rows:
        rates = "@ " + " ".join(row["rates"]) if row["rates"] else ""
        say(f"{row['name']:<40} {', '.join(row['tasks'])}  {rates}".rstrip())
        lines = [row["citation"], *row["notes"]]
        if row["paper"] not in row["citation"]:
            lines.insert(1, f"paper: {row['paper']}")
        if row["unavailable"]:
            lines.append(f"cannot be exported: {row['unavailable']}")
        say("\n".join("    " + line for line in lines))
    return min(failed, 1)


def _zoo_flag(flags: Any) -> None:
    flags.add_argument("--zoo", action="append", default=[], metavar="FILE.py",
                       help="a Python file of your own models (may be repeated; it is run)")  # fmt: skip


def _target_flags(flags: Any) -> None:
    add = flags.add_argument
    add("--target", required=True, metavar="NAME|FILE",
        help="the board: one of 'splitwatt targets', or a YAML of your own")  # fmt: skip
    add("--server-target", metavar="NAME|FILE", help="the server (default: the target's own)")
    add("--bundles", default="bundles", help="folder of all bundles (default: bundles)")


def weights(argv: list[str]) -> int:
    """Say what to download for a model, from where, and where to put it."""
    from splitwatt.export import zoo
    from splitwatt.export.weights.files import advice, hub_folder

    flags = parser(
        "weights",
        "What to download for a model, from where, and where to put it.",
        "splitwatt weights ladon_r50@0.32",
    )
    flags.add_argument("model", help="NAME or NAME@RATE; a bare name is its first rate point")
    _zoo_flag(flags)
    options = flags.parse_args(argv)
    _add_zoo(options.zoo)
    system, rate = zoo.find(options.model)
    name = zoo.full_name(system, rate)
    rows = [advice(checkpoint, name, rate) for checkpoint in system.checkpoints(rate)]
    if options.json:
        print_json({"model": name, "files": rows})
        return 0
    if name != options.model:
        note(f"{options.model}: its first rate point, {name}")
    if not rows:
        say(f"{name}: no weights were published; export it with --weights random")
    for row in rows:
        where = "one of the archives of " if row["archive"] else ""
        what = f"{where}{row['url']}" if row["url"] else "no public checkpoint: train it"
        if row["package"]:
            what = f"in the installed package, under {row['package']}"
        say(f"{name}, {row['role']}: {what}")
        say(f"    put it here: {row['put']}")
        if not row["archive"]:
            say(f"    or where torchvision keeps it: {hub_folder()}")
        for other in row["also"]:
            say(f"    also read:   {other}")
        say(f"    present at:  {row['path'] or 'missing'}")
    return 0


def export(argv: list[str]) -> int:
    """Export models to bundles."""
    from splitwatt.export.request import CODERS, OUTSIDE

    flags = parser(
        "export",
        "PyTorch models -> ONNX bundles for a target.",
        "splitwatt export --model ladon_r50@0.32 --target cpu --weights random",
    )
    add = flags.add_argument
    add("--model", action="append", default=[], metavar="NAME[@RATE]",
        help="may be repeated; 'splitwatt models' lists the names")  # fmt: skip
    add("--config", help="every model of an experiment: table3.yaml, demo.yaml, a path")
    add("--only", metavar="IDS", help="only these configurations of the config, such as LC1,SC1")
    add("--sc2bench", metavar="CONFIG.yaml",
        help="the model that a YAML of sc2bench or torchdistill describes")  # fmt: skip
    add("--name", help="the name of --sc2bench's model (default: the YAML's name)")
    _zoo_flag(flags)
    add("--labels", metavar="FILE", help="class names, one a line or a JSON list "
        "(default: the checkpoint's, else the model's own set)")  # fmt: skip
    _target_flags(flags)
    add("--weights", metavar="random|PATH", help="a checkpoint, a folder of them (the papers' layout), "
        "or random (default: ./resource/ckpt and torch.hub's cache are searched)")  # fmt: skip
    add("--weights-entry", metavar="KEY", help="which state_dict to use if a checkpoint has several, "
        "such as state_dict (default: averaged weights first, as timm does)")  # fmt: skip
    add("--precision", help="precision of the board's parts: fp32, fp16 or int8 (default: fp32); "
        "the same as a name that ends in -fp16")  # fmt: skip
    add("--calibration", metavar="DIR", help="images to compute int8's ranges from (default: the "
        "packaged photographs)")  # fmt: skip
    add("--coder", choices=CODERS, default=OUTSIDE, help="in-graph: also write a graph that contains the "
        "range coder, from image to bytes, for TensorRT (default: outside)")  # fmt: skip
    add("--out", help="folder of the bundle, for one model")
    add("--force", action="store_true", help="overwrite existing bundles")
    add("--build", action="store_true", help="also build engines with TensorRT for RTX, "
        "which needs no GPU, for the targets that it serves")  # fmt: skip
    add("--pack", choices=["board"], help="also write the board's half of each bundle, "
        "without the server's parts: BUNDLES/TARGET-board/MODEL")  # fmt: skip
    options = flags.parse_args(argv)
    if options.pack and options.out:
        raise UsageError("--pack does not go with --out", "give --bundles DIR")
    requests = _requests(options)
    if options.build:
        _check_build(requests)
    results = _export_all(requests, options.force)
    if options.build:
        from splitwatt.engines.tensorrt.building.build import build_bundle
        from splitwatt.engines.tensorrt.building.build_part import Options
        from splitwatt.engines.tensorrt.versions import RTX

        for result in results:
            result["engines"] = build_bundle(result["bundle"], note, Options(runtime=RTX))["parts"]
    if options.pack:
        _pack(results)
    if options.json:
        print_json({"bundles": results, **(results[0] if len(results) == 1 else {})})
    else:
        say("\n".join(result["bundle"] for result in results))
    return 0


def _pack(results: list[dict[str, Any]]) -> None:
    """Write the board's half of each bundle, and report their size."""
    from splitwatt.export.replacing import pack_board

    sums = [0, 0]
    for result in results:
        folder, size, whole = pack_board(Path(result["bundle"]))
        result.update(board=str(folder), board_bytes=size)
        sums = [sums[0] + size, sums[1] + whole]
    note(f"for the board: {folder.parent}, {sums[0] / 1e6:.1f} MB of {sums[1] / 1e6:.1f} MB")


def _check_build(requests: list[Request]) -> None:
    """Refuse --build before an export if it would build nothing or its package is missing."""
    from splitwatt.engines.tensorrt.rtx import import_rtx
    from splitwatt.engines.tensorrt.versions import RTX, serves

    import_rtx()
    for request in requests:
        if not (serves(request.target, RTX) or serves(request.server_target, RTX)):
            names = " or ".join(dict.fromkeys((request.target.name, request.server_target.name)))
            raise UsageError(
                f"--build has nothing to build for {request.name}: TensorRT for RTX does not serve {names}",
                "on a Jetson run splitwatt build; for a server with an RTX GPU give "
                "--server-target server_rtx3090",
            )  # fmt: skip


def _requests(options: Any) -> list[Request]:
    """The requests that the flags make, checked before anything slow starts."""
    from splitwatt.export import experiment, zoo
    from splitwatt.export.request import prepare, split_name

    names = list(options.model)
    _add_zoo(options.zoo)
    if options.sc2bench:
        from splitwatt.export.sc2bench.config import system

        own = system(options.sc2bench, options.name)
        zoo.add([own], options.sc2bench)
        names.append(own.name)
    elif options.name:
        raise UsageError("--name needs --sc2bench")
    if options.config:
        _add_zoo(experiment.zoo_files(options.config))
        names += experiment.models(options.config, options.only)
    elif options.only:
        raise UsageError("--only needs --config")
    if not names:
        raise UsageError(
            "nothing to export", "give --model NAME, --config FILE or --sc2bench CONFIG.yaml"
        )
    if options.out and len(names) > 1:
        raise UsageError("--out is for one model", "give --bundles DIR for several")
    requests: dict[str, Request] = {}
    for name in names:
        request = prepare(
            name,
            options.target,
            options.server_target,
            options.weights,
            options.bundles,
            options.out,
            options.precision,
            options.calibration,
            options.coder,
            options.weights_entry,
            options.labels,
        )
        if split_name(name, None)[0] != request.base and request.name not in requests:
            note(f"{name}: its first rate point, {request.name}")
        requests.setdefault(request.name, request)
    return list(requests.values())


def _add_zoo(files: Sequence[str]) -> int:
    """Add the user's own files; returns how many did not import, each of which is reported."""
    from splitwatt.export import zoo

    wrong = 0
    for file in files:
        try:
            zoo.add_file(file)
        except UsageError as error:
            wrong += 1
            note(f"{error.message} ({error.remedy})")
    return wrong


def _export_all(requests: list[Request], force: bool) -> list[dict[str, Any]]:
    todo = [r for r in requests if force or not r.kept()]
    lost = [str(r.out) for r in todo if not force and r.loses_trained_weights()]
    if lost:
        raise UsageError(
            f"{', '.join(lost)}: random weights would replace trained ones",
            "add --force, or write elsewhere with --out or --bundles",
        )
    seconds = _make(todo) if todo else {}
    return [
        {
            "model": r.name,
            "bundle": str(r.out),
            "kept": r.name not in seconds,
            "seconds": seconds.get(r.name),
        }
        for r in requests
    ]


def _make(todo: list[Request]) -> dict[str, float]:
    """Make bundles, one after the other."""
    from splitwatt.device_configs.progress import Progress
    from splitwatt.export import zoo

    seconds: dict[str, float] = {}
    fits: dict[str, list[str]] = {}
    # The steps of one export weigh about 8 in its progress.
    with Progress(8.0 * len(todo)) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings while packages are imported
        progress.begin("loading PyTorch", 0.5)
        from splitwatt.export.exporter import export as make

        def begin(of: str) -> Callable[[str, float], None]:
            return lambda step, weight: progress.begin(of + step, weight)

        for index, request in enumerate(todo, 1):
            start = time.monotonic()
            place = f"{index}/{len(todo)} " if len(todo) > 1 else ""
            of = f"{place}{request.name}: "
            try:
                _, fits[request.name] = make(request, begin(of))
            except SplitwattError:
                raise
            except Exception as error:  # a network of the user's own raises whatever it raises
                fault = zoo.fault_of(request.system.name, error)
                if fault is None:
                    raise
                raise fault from error
            seconds[request.name] = round(time.monotonic() - start, 2)
    _report_fits(fits)
    return seconds


def _report_fits(fits: dict[str, list[str]]) -> None:
    """Print how parts were changed for their targets; equal changes are printed once."""
    reported: dict[tuple[str, ...], str] = {}
    for name, lines in fits.items():
        before = reported.setdefault(tuple(lines), name)
        if before != name and lines:
            note(f"{name}: fitted as {before}")
            continue
        for line in lines:
            note(f"{name}: {line}")


def calibrate(argv: list[str]) -> int:
    """Refit a bundle's tables to images, and print what that saves on other images."""
    flags = parser(
        "calibrate",
        "Refit a factorized prior's tables to your images, without retraining. Every fifth image is "
        "held out, and says what the new tables save.",
        "splitwatt calibrate bundles/cpu/ladon_r50@0.32 --images photos",
    )
    flags.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    flags.add_argument("--images", required=True, metavar="DIR", help="a folder of images")
    flags.add_argument("--target", metavar="FILE",
                       help="the YAML of the bundle's target, if it is your own")  # fmt: skip
    flags.add_argument("--out", metavar="DIR",
                       help="the new bundle (default: calibrated/TARGET/MODEL, for --bundles "
                            "calibrated); board and server both need it")  # fmt: skip
    options = flags.parse_args(argv)

    from splitwatt.device_configs.progress import Progress
    from splitwatt.device_configs.targets import load_target
    from splitwatt.engines.bundle.bundle import Bundle
    from splitwatt.engines.pipeline.image import list_images
    from splitwatt.export.calibrate import calibrate as run

    images = list_images(options.images)
    if options.target:
        load_target(options.target)  # the manifest has only its name
    bundle = Bundle.open(options.bundle)
    manifest = bundle.manifest
    out = Path(options.out or Path("calibrated", manifest.target, manifest.model))
    with Progress(len(images)) as progress:
        held_out, before, after = run(
            bundle, images, out, lambda: progress.begin(manifest.model, 1.0)
        )
    saved: dict[str, Any] = {
        "bundle": str(out),
        "images": len(images),
        "held_out": held_out,
        "before_bytes": before / held_out,
        "after_bytes": after / held_out,
        "saved_percent": 100.0 * (1 - after / before),
    }
    if options.json:
        print_json(saved)
        return 0
    say("{saved_percent:.2f} % fewer bytes on {held_out} held-out images: {before_bytes:.0f} -> "
        "{after_bytes:.0f} B an image\n{bundle}".format(**saved))  # fmt: skip
    if after >= before:
        note("these tables save nothing: keep the ones that you have")
    return 0


def bundle(argv: list[str]) -> int:
    """Make a bundle of ONNX graphs that exist already."""
    flags = parser(
        "bundle",
        "ONNX graphs of your own -> a bundle for a target, without PyTorch. A local model is one graph.",
        "splitwatt bundle --board encoder.onnx --server decoder.onnx --preprocess classification "
        "--name mine --target cpu",
    )
    add = flags.add_argument
    add("--board", required=True, metavar="FILE.onnx",
        help="image -> latent float32 (1, C, H, W); of a local model, image -> answer")  # fmt: skip
    add("--server", metavar="FILE.onnx", help="latent -> logits, mask or boxes")
    add("--tables", metavar="FILE.npz", help="entropy tables of the latent (default: "
        "fitted to the packaged photographs; 'splitwatt calibrate' fits yours)")  # fmt: skip
    add("--preprocess", required=True, metavar="TASK|FILE.json",
        help="classification, detection or segmentation as sc2bench does it, or a JSON "
             "file in the form of the manifest's key 'preprocess'")  # fmt: skip
    add("--name", required=True, help="the model's name")
    add("--labels", metavar="FILE", help="class names, one a line or a JSON list")
    add("--untrained", action="store_true", help="the graphs' weights are not trained: "
        "reports mark their bytes and answers")  # fmt: skip
    _target_flags(flags)
    options = flags.parse_args(argv)

    from splitwatt.export.compat.fit import lines_of
    from splitwatt.export.own_graphs import make

    if options.tables and not options.server:
        raise UsageError("--tables needs --server", "a local model sends nothing")
    check_own_name(options.name)
    out, fits = make(options)
    _report_fits({options.name: [line for fit in fits for line in lines_of(fit)]})
    if not options.untrained:
        note("reports will count these weights as trained; if they are not, give --untrained")
    if options.json:
        print_json({"model": options.name, "bundle": str(out)})
    else:
        say(str(out))
    return 0
