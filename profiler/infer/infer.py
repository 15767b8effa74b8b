"""`splitwatt infer`: run a bundle on photographs and draw its answers on them."""

import os
from contextlib import ExitStack
from typing import Any, Dict, List, Set

from splitwatt.device_configs.cli import note, number, parser, print_json, say
from splitwatt.device_configs.errors import SplitwattError, UsageError

EXAMPLE = "splitwatt infer bundles/cpu/ladon_r50@0.32 photo.jpg"


def infer(argv: List[str]) -> int:
    """Run a bundle on images: answers, annotated pictures, bytes and stage times."""
    from splitwatt.profiler.client.flags import add_server_flags, client_of

    arguments = parser(
        "infer", "Run a bundle on images: answers, annotated pictures, bytes, times.", EXAMPLE
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", help="the bundle's folder")
    add("images", metavar="IMAGE", nargs="+", help="image files, or folders of them")
    add(
        "--out",
        default="inferred",
        metavar="DIR",
        help="folder for annotated images (default: inferred)",
    )
    add("--min-score", type=number(0, 1), default=0.5, metavar="S",
        help="lowest score of a box that is drawn (default: 0.5)")  # fmt: skip
    add("--bitmap", nargs="?", const="", metavar="BUNDLE2",
        help="also draw the bits per pixel of each image; with BUNDLE2, the difference to it")  # fmt: skip
    add("--backend", default="cpu", help="backend that runs the board's parts (default: cpu)")
    add_server_flags(arguments)
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.names import check_known
    from splitwatt.engines.backends import BACKENDS
    from splitwatt.engines.bundle.bundle import Bundle

    for backend in filter(None, (options.backend, options.server_backend)):
        check_known("backend", backend, BACKENDS)
    images = _files(options.images)
    targets = _targets(images, options.out, options.bitmap is not None)
    client = client_of(options)
    bundle = Bundle.open(options.bundle, "board" if client else None)
    if options.bitmap is not None and not bundle.manifest.split:
        raise UsageError(
            "%s sends nothing: it has no bits to draw" % bundle.manifest.model, "leave out --bitmap"
        )
    other = Bundle.open(options.bitmap, "board") if options.bitmap else None
    try:
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise UsageError(
            "the folder %s cannot be made: %s" % (options.out, error.strerror),
            "name another with --out",
        )

    from splitwatt.engines.pipeline.pipeline import BoardPipeline
    from splitwatt.profiler.infer.deployed import Deployed

    failed = 0
    rows: List[Dict[str, Any]] = []
    with ExitStack() as opened:
        deployed = opened.enter_context(
            Deployed(bundle, options.backend, client, options.server_backend)
        )
        drawn: List[Any] = []  # whose bits are drawn
        if options.bitmap is not None:
            drawn.append(deployed)
        if other is not None:
            drawn.append(opened.enter_context(BoardPipeline(other, options.backend)))
        _check_codecs(drawn)
        for path, target in zip(images, targets):
            try:
                row = _one(deployed, path, target, options.min_score, drawn)
            except SplitwattError as error:
                failed += 1
                row = {"image": path, "error": str(error)}
            rows.append(row)
            if not options.json:
                _show(row)
        server = deployed.server
    if options.json:
        print_json({"model": bundle.manifest.model, "server": server, "images": rows})
    elif not bundle.manifest.weights.trained:
        note("%s has random weights: its answers mean nothing" % bundle.manifest.model)
    return 1 if failed else 0


def _files(images: List[str]) -> List[str]:
    from splitwatt.engines.pipeline.image import list_images

    files: List[str] = []
    for path in images:
        files += list_images(path) if os.path.isdir(path) else [path]
    return files


def _targets(images: List[str], out: str, bitmap: bool) -> List[str]:
    """Where each image's picture goes, without its ending: no two of them in one place.

    Raises:
        UsageError: one would take the place of an image that was given.
    """
    inputs = {os.path.realpath(path) for path in images}
    taken: Set[str] = set()
    targets = []
    for path in images:
        stem = os.path.splitext(os.path.basename(path))[0]
        name, count = stem, 1
        while not taken.isdisjoint(_written(name)):
            count += 1
            name = "%s-%d" % (stem, count)
        taken.update(_written(name))
        target = os.path.join(out, name)
        for written in _written(target)[: 2 if bitmap else 1]:
            if os.path.realpath(written) in inputs:
                raise UsageError(
                    "the picture %s would replace the image of that name" % written,
                    "give another folder with --out",
                )
        targets.append(target)
    return targets


def _written(target: str) -> List[str]:
    """The files of an image's target: its picture, and the map of its bits."""
    return [target + ".png", target + ".bits.png"]


def _check_codecs(drawn: List[Any]) -> None:
    from splitwatt.engines.pipeline.bits_per_pixel import tells_bits

    for one in drawn:
        if not tells_bits(one.codec):
            raise UsageError(
                "the codec of %s does not say how many bits each pixel takes"
                % one.bundle.manifest.model,
                "--bitmap needs a model whose latent goes through the range coder",
            )


def _one(
    deployed: Any, path: str, target: str, min_score: float, drawn: List[Any]
) -> Dict[str, Any]:
    from splitwatt.engines.pipeline.image import decode_image
    from splitwatt.engines.pipeline.overlay import overlay
    from splitwatt.profiler.infer.deployed import check_labels, named
    from splitwatt.profiler.records.legacy_size import legacy_bytes

    rgb = decode_image(path)
    answered = deployed.run(rgb)
    heads = deployed.bundle.manifest.postprocess
    check_labels(answered.answer, deployed.bundle.manifest)
    picture, bits = _written(target)
    _save(overlay(rgb, answered.answer, heads, min_score), picture)
    row = {
        "image": path,
        "answer": named(answered.answer, deployed.bundle.manifest),
        "picture": picture,
        "payload_bytes": None,
        "wire_up_bytes": answered.wire_up_bytes,
        "legacy_pickled_bytes": None,
        "stages_s": {name: round(seconds, 6) for name, seconds in answered.stages.items()},
    }
    if answered.payload is not None:
        row["payload_bytes"] = len(answered.payload)
        row["legacy_pickled_bytes"] = legacy_bytes(answered.payload)
    if drawn:
        requests = [answered] + [board.run(rgb) for board in drawn[1:]]
        _bitmap(bits, rgb, drawn, requests)
        row["bitmap"] = bits
    return row


def _bitmap(path: str, rgb: Any, drawn: List[Any], requests: List[Any]) -> None:
    from splitwatt.engines.pipeline.bits_per_pixel import bits_per_pixel
    from splitwatt.profiler.infer.bitmap import draw_bitmap

    maps: List[Any] = []
    for one, request in zip(drawn, requests):
        bits = bits_per_pixel(one.codec, request.payload, request.sizes)
        maps.append((one.bundle.manifest.model, bits, len(request.payload)))
    draw_bitmap(path, rgb, maps)


def _save(picture: Any, path: str) -> None:
    from splitwatt.device_configs.files import write_atomic_with

    write_atomic_with(path, lambda stream: picture.save(stream, "PNG"))


def _show(row: Dict[str, Any]) -> None:
    if "error" in row:
        named = row["image"] in row["error"]
        note(row["error"] if named else "%s: %s" % (row["image"], row["error"]))
        return
    say(row["image"])
    for task, fields in row["answer"].items():
        if task == "classification":
            words = ["%s %.3f" % pair for pair in zip(fields["names"], fields["scores"])]
        elif task == "detection":
            words = ["%d boxes" % len(fields["names"])]
            words += ["%s %.2f" % pair for pair in list(zip(fields["names"], fields["scores"]))[:5]]
        else:
            shares = sorted(fields["percent_of_pixels"].items(), key=lambda item: -item[1])
            words = ["%s %.1f %%" % (fields["names"][label], share) for label, share in shares[:5]]
        say("  %-15s %s" % (task, ", ".join(words)))
    if row["payload_bytes"] is not None:
        wire = row["wire_up_bytes"]
        more = "" if wire is None else ", %d B with HTTP and JSON" % wire
        say("  sent            %d B%s" % (row["payload_bytes"], more))
    stages = ["%s %.1f" % (name, 1000 * s) for name, s in row["stages_s"].items()]
    say("  stages in ms    " + ", ".join(stages))
    say("  picture         " + row["picture"])
    if "bitmap" in row:
        say("  bits            " + row["bitmap"])
