"""`splitwatt calibrate`: entropy tables refitted to your own images."""

from __future__ import annotations

from pathlib import Path

from splitwatt.device_configs.cli import note, parser, print_json, say

EXAMPLE = "splitwatt calibrate bundles/cpu/ladon_r50@0.32 --images photos"


def calibrate(argv: list[str]) -> int:
    """Refit a bundle's tables to images, and print what that saves on other images."""
    flags = parser(
        "calibrate",
        "Refit a factorized prior's tables to your images, without retraining. Every fifth image is "
        "held out, and says what the new tables save.",
        EXAMPLE,
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
    from splitwatt.export.calibrate.calibrate import calibrate as run

    images = list_images(options.images)
    if options.target:
        load_target(options.target)  # the manifest has only its name
    bundle = Bundle.open(options.bundle)
    manifest = bundle.manifest
    out = Path(options.out or Path("calibrated", manifest.target, manifest.model))
    with Progress(len(images)) as progress:
        saving = run(bundle, images, out, lambda: progress.begin(manifest.model, 1.0))
    before, after = sum(saving.before_bytes), sum(saving.after_bytes)
    count = len(saving.before_bytes)
    if options.json:
        print_json(
            {
                "bundle": str(out),
                "images": len(images),
                "held_out": count,
                "before_bytes": before / count,
                "after_bytes": after / count,
                "saved_percent": saving.percent,
                "saved_percent_low": saving.low,
                "saved_percent_high": saving.high,
            }
        )
        return 0
    sure = ""
    if saving.low is not None and saving.high is not None:
        sure = f" (95 % bootstrap: {saving.low:.2f} to {saving.high:.2f} %)"
    say(
        f"{saving.percent:.2f} % fewer bytes{sure} on {count} held-out images: "
        f"{before / count:.0f} -> {after / count:.0f} B an image"
    )
    say(str(out))
    if saving.percent <= 0:
        note("these tables save nothing: keep the ones that you have")
    return 0
