"""`splitwatt evaluate`: accuracy and bytes of deployed bundles."""

from typing import Any, Dict, List

from splitwatt.device_configs.cli import note, parser, positive, print_json

EXAMPLE = "splitwatt evaluate bundles/cpu/ladon_r50@0.32 --data imagenet:/data/ilsvrc2012"
_SHOWN = {
    "top1_percent": "top-1", "top5_percent": "top-5", "map_50_95_percent": "mAP 50-95",
    "map_50_percent": "mAP 50", "miou_percent": "mIoU",
}  # fmt: skip


def evaluate(argv: List[str]) -> int:
    """Evaluate a bundle on data sets; a killed evaluation continues where it stopped."""
    from splitwatt.profiler.client.flags import add_server_flags, client_of

    arguments = parser("evaluate", "Accuracy and bytes of a deployed bundle.", EXAMPLE)
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", help="the bundle's folder")
    add("--data", action="append", required=True, metavar="KIND:DIR",
        help="imagenet, coco or voc as published; classes, coco or masks of your own; folder for "
             "bytes alone; may be repeated, once per task")  # fmt: skip
    add(
        "--limit",
        type=positive,
        metavar="N",
        help="at most N images per data set; of classes, the first of each, then the second",
    )
    add("--preprocess", choices=("runtime", "paper"), default="runtime",
        help="the bundle's own preprocessing, or that of the paper's accuracy (default: runtime)")  # fmt: skip
    add("--backend", default="cpu", help="what runs the board's parts (default: cpu)")
    add("--out", default="evaluation", metavar="DIR",
        help="folder whose accuracy.json is written or added to: a run, or any other")  # fmt: skip
    add_server_flags(arguments)
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.names import check_known
    from splitwatt.engines.backends import BACKENDS
    from splitwatt.engines.bundle.bundle import Bundle
    from splitwatt.profiler.evaluate.data_sets.data_set import classes_of
    from splitwatt.profiler.evaluate.data_sets.open import open_data_set
    from splitwatt.profiler.evaluate.document import add_results
    from splitwatt.profiler.evaluate.run import PUBLISHED, RUNTIME, Settings, tasks_on
    from splitwatt.profiler.evaluate.run import evaluate as run
    from splitwatt.profiler.execute.progress import open_progress

    for backend in filter(None, (options.backend, options.server_backend)):
        check_known("backend", backend, BACKENDS)
    client = client_of(options)
    bundle = Bundle.open(options.bundle, "board" if client else None)
    preprocess = PUBLISHED if options.preprocess == "paper" else RUNTIME
    settings = Settings(options.backend, options.server_backend, preprocess, client)
    classes = classes_of(bundle.manifest)
    data_sets = [open_data_set(text, options.limit, classes) for text in options.data]
    for data in data_sets:
        tasks_on(bundle, data)  # says now what would fail later
    results: List[Dict[str, Any]] = []
    path = ""
    told: List[str] = []
    with open_progress(sum(len(data.items) for data in data_sets)) as progress:
        for data in data_sets:
            progress.block(data.name)
            found = run(bundle, data, settings, options.out, progress.advance)
            path, held = add_results(options.out, bundle, found)
            told += held
            results += found
    for sentence in told:
        note(sentence)
    if options.json:
        print_json({"accuracy": path, "model": bundle.manifest.model, "results": results})
        return 0
    _show(bundle, results)
    note("written to %s" % path)
    return 0


def _show(bundle: Any, results: List[Dict[str, Any]]) -> None:
    model = bundle.manifest.model
    if not bundle.manifest.weights.trained:
        note("%s has random weights: these figures mean nothing" % model)
    for result in results:
        what = "%d images%s" % (result["images"], "" if result["whole"] else " of more")
        print(
            "%s on %s (%s, preprocessing: %s)"
            % (model, result["data_set"], what, result["preprocess"])
        )
        for name, figure in result["metrics"].items():
            print("  %-10s %s" % (_SHOWN[name], _figure(figure, "%.2f %%")))
        for name in ("payload_bytes", "wire_bytes", "legacy_pickled_bytes"):
            if result[name]:
                words = name.replace("_bytes", "").replace("_", " ")
                print("  %-16s %s B an image" % (words, _figure(result[name], "%.0f")))
        if result["bits_per_pixel"]:
            print("  bits per pixel   %s" % _figure(result["bits_per_pixel"], "%.4f"))


def _figure(figure: Dict[str, Any], form: str) -> str:
    if figure["value"] is None:
        return "- (undefined on these images)"
    text: str = form % figure["value"]
    if "low" in figure:
        text += " (%s to %s, %s)" % (
            form % figure["low"],
            form % figure["high"],
            figure["interval"],
        )
    return text
