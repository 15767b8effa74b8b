"""`splitwatt evaluate`: accuracy and bytes of deployed bundles, and how far two of them agree."""

from typing import Any, Dict, List

from splitwatt.device_configs.cli import note, parser, positive, print_json, say
from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.progress import Progress
from splitwatt.engines.backends import BACKENDS
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.client.flags import add_server_flags, client_of
from splitwatt.profiler.evaluate.against import common_tasks, compare
from splitwatt.profiler.evaluate.data_sets.data_set import classes_of
from splitwatt.profiler.evaluate.data_sets.open import open_data_set
from splitwatt.profiler.evaluate.document import add_agreement, add_results, check_addable
from splitwatt.profiler.evaluate.run import PUBLISHED, RUNTIME, Settings, tasks_on
from splitwatt.profiler.evaluate.run import evaluate as run

EXAMPLE = "splitwatt evaluate bundles/cpu/ladon_r50@0.32 --data imagenet:/data/ilsvrc2012"
_SHOWN = {
    "top1_percent": "top-1", "top5_percent": "top-5", "map_50_95_percent": "mAP 50-95",
    "map_50_percent": "mAP 50", "miou_percent": "mIoU",
}  # fmt: skip
_DIFFERENCES = {"score": ("score", "%.4g"), "side_pixels": ("side of a box", "%.3g px"),
                "pixels_percent": ("pixels of a mask", "%.3g %%")}  # fmt: skip


def evaluate(argv: List[str]) -> int:
    """Evaluate a bundle on data sets; an evaluation that was killed continues where it stopped."""
    arguments = parser(
        "evaluate",
        "Accuracy and bytes of a deployed bundle, or its agreement with another.",
        EXAMPLE,
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", help="the bundle's folder")
    add("--data", action="append", required=True, metavar="KIND:DIR",
        help="imagenet, coco or voc as published; classes, coco or masks of your own; images "
             "without labels, for bytes or --against; may be repeated, once per task")  # fmt: skip
    add("--against", metavar="BUNDLE2",
        help="compare the answers with those of BUNDLE2 on images:DIR; needs no labels")  # fmt: skip
    add("--against-backend", default="cpu", metavar="BACKEND",
        help="backend of BUNDLE2 (default: cpu)")  # fmt: skip
    add("--limit", type=positive, metavar="N",
        help="at most N images per data set; classes take turns: the first image of each, then the second")  # fmt: skip
    add("--preprocess", choices=("runtime", "paper"), default="runtime",
        help="the bundle's own preprocessing, or the one that the paper measured accuracy with (default: runtime)")  # fmt: skip
    add("--backend", default="cpu", help="backend of the board's parts (default: cpu)")
    add("--out", default="evaluation", metavar="DIR",
        help="folder for accuracy.json (with --against: agreement.json), where results are added: "
             "a run, or any other (default: evaluation)")  # fmt: skip
    add_server_flags(arguments)
    options = arguments.parse_args(argv)

    chosen = (options.backend, options.server_backend, options.against_backend)
    for backend in filter(None, chosen):
        check_known("backend", backend, BACKENDS)
    if options.against and options.preprocess == "paper":
        raise UsageError(
            "--against compares answers under the bundles' own preprocessing",
            "leave out --preprocess paper",
        )
    client = client_of(options)
    bundle = Bundle.open(options.bundle, "board" if client else None)
    preprocess = PUBLISHED if options.preprocess == "paper" else RUNTIME
    settings = Settings(options.backend, options.server_backend, preprocess, client)
    classes = classes_of(bundle.manifest)
    data_sets = [open_data_set(text, options.limit, classes) for text in options.data]
    other = Bundle.open(options.against) if options.against else None
    for data in data_sets:  # fails before the first image of any data set
        if other is None:
            tasks_on(bundle, data)
        else:
            common_tasks(bundle, other, data)
    check_addable(options.out, other is not None)
    results: List[Dict[str, Any]] = []
    path, held = "", []
    with Progress(sum(len(data.items) for data in data_sets), "images") as progress:
        for data in data_sets:
            progress.begin(data.name)
            if other is None:
                made = run(bundle, data, settings, options.out, progress.advance)
                path, kept = add_results(options.out, bundle, made)
                held += kept
            else:
                made = [
                    compare(bundle, other, options.against_backend, data, settings, options.out,
                            progress.advance)
                ]  # fmt: skip
                path = add_agreement(options.out, made[0])
            results += made
    for sentence in held:
        note(sentence)
    if options.json:
        key, model = "agreement" if other else "accuracy", bundle.manifest.model
        print_json({key: path, "model": model, "results": results})
        return 0
    for one in [bundle] + ([other] if other is not None else []):
        if not one.manifest.weights.trained:
            note("%s has random weights: these figures mean nothing" % one.manifest.model)
    for result in results:
        if other is None:
            _show_accuracy(bundle.manifest.model, result)
        else:
            _show_agreement(result)
    if len(held) < len(results):
        note("written to %s" % path)
    return 0


def _show_accuracy(model: str, result: Dict[str, Any]) -> None:
    images = result["data_set"], _images(result), result["preprocess"]
    say("%s on %s (%s, preprocessing: %s)" % ((model,) + images))
    _show_metrics(result["metrics"])
    for name in ("payload_bytes", "wire_bytes", "legacy_pickled_bytes"):
        if result[name]:
            words = name.replace("_bytes", "").replace("_", " ")
            say("  %-16s %s per image" % (words, _figure(result[name], "%.0f B")))
    if result["bits_per_pixel"]:
        say("  bits per pixel   %s" % _figure(result["bits_per_pixel"], "%.4f"))


def _show_agreement(result: Dict[str, Any]) -> None:
    against = result["against"]
    say("%s (%s) against %s (%s) on %s (%s)"
        % (result["model"], result["backend"], against["model"], against["backend"],
           result["data_set"], _images(result)))  # fmt: skip
    for task, figures in result["tasks"].items():
        say("  " + task)
        _show_metrics(figures["agreement"], "    ")
        for name, value in figures["differences"].items():
            words, form = _DIFFERENCES[name]
            shown = "- (nothing to compare)"
            if value is not None:
                shown = "%s, at most %s" % (_figure(value["mean"], form), form % value["max"])
            say("    difference, %s: %s" % (words, shown))
    sent = {"payload_bytes": "sent", "against_payload_bytes": "sent by the other"}
    for name, words in sent.items():
        if result[name]:
            say("  %-18s %s per image" % (words, _figure(result[name], "%.0f B")))


def _images(result: Dict[str, Any]) -> str:
    return "%d images%s" % (result["images"], "" if result["whole"] else " of more")


def _show_metrics(figures: Dict[str, Any], indent: str = "  ") -> None:
    for name, figure in figures.items():
        say("%s%-10s %s" % (indent, _SHOWN[name], _figure(figure, "%.2f %%")))


def _figure(figure: Dict[str, Any], form: str) -> str:
    if figure["value"] is None:
        return "- (undefined on these images)"
    text: str = form % figure["value"]
    if "low" in figure:
        ends = form % figure["low"], form % figure["high"]
        text += " (%s to %s, %s)" % (ends + (figure["interval"],))
    return text
