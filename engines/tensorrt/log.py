"""TensorRT's messages while it works, and the one sentence that they become where it fails."""

from typing import Any, List, Tuple

KEEP = 40
_NO_RUNNER = ("has no runners", "could not find any implementation")
_NO_KERNEL = "TensorRT has no kernel for an operator"
# A part of TensorRT's message, lower case -> (what is wrong, what to do).
_KNOWN = (
    (("out of memory", "outofmemory", "insufficient memory", "cuda failure: 2 ",
      "memory allocation"),
     "there is not enough memory",
     "close other programs, add swap (see docs/board-guide.md), or lower --workspace-mb"),
    (("insufficient workspace", "increasing the workspace"),
     "a kernel needs more memory than one kernel may take", "raise --workspace-mb"),
    (("different version of tensorrt", "version tag does not match", "serialization assertion",
      "magictag", "magic tag"),
     "the engine is of another TensorRT", "run splitwatt build again on this machine"),
    (("different devices", "compute capability", "generated on a different",
      "incompatible device"),
     "the engine is of another GPU", "run splitwatt build on this machine"),
    (("plugin not found", "no importer registered", "getplugincreator could not find",
      "failed to find plugin", "unsupported operator"),
     "TensorRT knows an operator neither itself nor from a plugin",
     "build the plugin library (splitwatt build does), or export for this machine's TensorRT"),
    (_NO_RUNNER, _NO_KERNEL,
     "export for this machine, or run the part in onnxruntime: splitwatt build --fall-back"),
    (("no space left",), "the disk is full", "free some space and run the same command again"),
)  # fmt: skip


def make_logger(trt: Any) -> Any:
    """A TensorRT logger; its attribute `errors` holds the last errors, oldest first."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []

        def log(self, severity: Any, msg: str) -> None:
            """Called by TensorRT, with 0 for an internal error, 1 error, 2 warning, 3 information."""
            if int(severity) <= 1:
                self.errors = (self.errors + [msg])[-KEEP:]

    return Logger()


def explain(messages: List[str]) -> Tuple[str, str]:
    """(what is wrong, what to do) of TensorRT's messages, the known causes first.

    An unknown cause is TensorRT's own first error, shortened.
    """
    joined = " ".join(" ".join(messages).lower().split()) + " "
    for words, what, remedy in _KNOWN:
        if any(word in joined for word in words):
            return what, remedy
    return (_shortened(messages[0]) if messages else "TensorRT does not say why"), ""


def first_refusal(messages: List[str]) -> str:
    """The builder's message that it cannot run an operator; empty where it failed by another cause.

    TensorRT also says "could not find any implementation" where a kernel's memory is missing.
    """
    if explain(messages)[0] != _NO_KERNEL:
        return ""
    said = (text for text in messages if any(word in text.lower() for word in _NO_RUNNER))
    return _shortened(next(said, messages[0]))


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "..."
