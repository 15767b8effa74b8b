"""`splitwatt infer`: run a bundle on photographs and draw its answers on them."""

import os
from contextlib import ExitStack
from typing import Any, Dict, List, Optional, Set, Tuple

from splitwatt.device_configs.cli import note, number, parser, print_json, say
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.files import write_atomic_with
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.version import check_host
from splitwatt.engines.backends import BACKENDS
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.bits_per_pixel import bits_per_pixel, tells_bits
from splitwatt.engines.pipeline.image import decode_image, list_images
from splitwatt.engines.pipeline.overlay import overlay
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.profiler.client.flags import add_server_flags, client_of
from splitwatt.profiler.infer.bitmap import draw_bitmap
from splitwatt.profiler.infer.deployed import Deployed, check_labels, named
from splitwatt.profiler.records.legacy_size import legacy_bytes

EXAMPLE = "splitwatt infer bundles/cpu/ladon_r50@0.32 photo.jpg"


def infer(argv: List[str]) -> int:
    """Run a bundle on images: answers, annotated pictures, bytes and stage times."""
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
    add("--backend", default="cpu", help="backend of the board's parts (default: cpu)")
    add_server_flags(arguments)
    options = arguments.parse_args(argv)

    if options.bitmap is not None:
        check_host("infer --bitmap", "run it on a host")
    for backend in filter(None, (options.backend, options.server_backend)):
        check_known("backend", backend, BACKENDS)
    images: List[str] = []
    for path in options.images:
        images += list_images(path) if os.path.isdir(path) else [path]
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
        for one in drawn:
            if not tells_bits(one.codec):
                raise UsageError(
                    "the codec of %s does not say how many bits each pixel takes"
                    % one.bundle.manifest.model,
                    "--bitmap needs a model whose latent goes through the range coder",
                )
        for path, (picture, bits) in zip(images, targets):
            try:
                row = _one(deployed, path, picture, bits, options.min_score, drawn)
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


def _targets(images: List[str], out: str, bitmap: bool) -> List[Tuple[str, Optional[str]]]:
    """Each image's picture and the map of its bits: no two of them in one place.

    Raises:
        UsageError: one would take the place of an image that was given.
    """
    inputs = {os.path.realpath(path) for path in images}
    taken: Set[str] = set()
    targets = []
    for path in images:
        stem = os.path.splitext(os.path.basename(path))[0]
        name, count = stem, 1
        while not taken.isdisjoint((name + ".png", name + ".bits.png")):
            count += 1
            name = "%s-%d" % (stem, count)
        taken.update((name + ".png", name + ".bits.png"))
        picture, bits = (os.path.join(out, name + end) for end in (".png", ".bits.png"))
        for written in (picture, bits) if bitmap else (picture,):
            if os.path.realpath(written) in inputs:
                raise UsageError(
                    "the picture %s would replace the image of that name" % written,
                    "give another folder with --out",
                )
        targets.append((picture, bits if bitmap else None))
    return targets


def _one(
    deployed: Deployed, path: str, picture: str, bits: Optional[str], min_score: float,
    drawn: List[Any],
) -> Dict[str, Any]:  # fmt: skip
    rgb = decode_image(path)
    answered = deployed.run(rgb)
    manifest, payload = deployed.bundle.manifest, answered.payload
    check_labels(answered.answer, manifest)
    answers = overlay(rgb, answered.answer, manifest.postprocess, min_score)
    write_atomic_with(picture, lambda stream: answers.save(stream, "PNG"))
    row = {
        "image": path,
        "answer": named(answered.answer, manifest),
        "picture": picture,
        "payload_bytes": None if payload is None else len(payload),
        "wire_up_bytes": answered.wire_up_bytes,
        "legacy_pickled_bytes": None if payload is None else legacy_bytes(payload),
        "stages_s": {name: round(seconds, 6) for name, seconds in answered.stages.items()},
    }
    if bits is not None:
        maps: List[Any] = []
        for one, request in zip(drawn, [answered] + [board.run(rgb) for board in drawn[1:]]):
            of_pixels = bits_per_pixel(one.codec, request.payload, request.sizes)
            maps.append((one.bundle.manifest.model, of_pixels, len(request.payload)))
        draw_bitmap(bits, rgb, maps)
        row["bitmap"] = bits
    return row


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
