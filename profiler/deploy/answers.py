"""What comes out of a deployed system: a JSON line a frame, a video with the answers drawn in it."""

import importlib.util
import os
from typing import Any, Dict, List, Optional

import numpy as np

from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.install import install_command
from splitwatt.engines.pipeline.overlay import overlay
from splitwatt.profiler.deploy.flow import Result
from splitwatt.profiler.deploy.runnable import Runnable
from splitwatt.profiler.infer.deployed import named

_MIN_SCORE = 0.5
# A saved video of frames that come at no stated rate.
_FPS = 10.0
# The most repeated frames for a pause between two answers in a saved video.
_MOST_REPEATED = 100


def line_of(result: Result, points: List[Runnable]) -> Dict[str, Any]:
    """A frame's line: what it is, what was chosen, what it cost, and the answer."""
    point = points[result.at]
    sent = result.request
    answer = result.answer
    return {
        "frame": result.frame.number,
        "name": result.frame.name,
        "captured_monotonic_s": round(result.frame.captured_s, 6),
        "config": point.point.config,
        "model": point.model,
        "latency_s": round(result.latency_s, 6),
        "predicted_s": None if result.choice.predicted_s is None
        else round(result.choice.predicted_s, 6),
        "why": "hedged" if result.hedged else result.choice.why,
        "rate_kbit_s": None if result.choice.rate_kbit_s is None
        else round(result.choice.rate_kbit_s, 3),
        "payload_bytes": sent.payload_bytes if sent else None,
        "wire_up_bytes": sent.wire_up_bytes if sent else None,
        "stages_s": {name: round(seconds, 6) for name, seconds in result.stages.items()},
        "error": result.error,
        "answer": None if answer is None else named(answer, point.bundle.manifest),
    }  # fmt: skip


def picture_of(result: Result, points: List[Runnable]) -> np.ndarray:
    """A frame with its answer drawn in it: uint8 (H, W, 3), red first."""
    if result.answer is None:
        return result.frame.rgb
    heads = points[result.at].bundle.manifest.postprocess
    return np.asarray(overlay(result.frame.rgb, result.answer, heads, _MIN_SCORE))


class Video:
    """An MP4 file of answered frames, each shown until the next one, at the pace of their capture.

    Raises:
        UsageError: OpenCV is not installed, or the folder of the file is missing.
    """

    def __init__(self, path: str, fps: Optional[float]) -> None:
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise UsageError("there is no folder for %s" % path, "make it, or name another file")
        if importlib.util.find_spec("cv2") is None:
            raise UsageError("--save needs OpenCV, which is not installed",
                             "on a Jetson: sudo apt-get install python3-opencv; elsewhere: "
                             + install_command("video"))  # fmt: skip
        self._path, self._fps = path, fps or _FPS
        self._writer: Any = None
        self._began_s = 0.0
        self._written = 0
        self._size = (0, 0)

    def add(self, captured_s: float, picture: np.ndarray) -> None:
        """A frame that was captured then; one of another size is scaled to that of the first."""
        import cv2

        bgr = np.ascontiguousarray(picture[:, :, ::-1])
        if self._writer is None:
            self._size = (bgr.shape[1], bgr.shape[0])
            kind = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(self._path, kind, self._fps, self._size)
            if not self._writer.isOpened():
                raise SplitwattError("%s cannot be written" % self._path, "name it *.mp4")
            self._began_s = captured_s
        if (bgr.shape[1], bgr.shape[0]) != self._size:
            bgr = cv2.resize(bgr, self._size)
        due = int(round((captured_s - self._began_s) * self._fps)) + 1 - self._written
        for _ in range(min(max(due, 0), _MOST_REPEATED)):
            self._writer.write(bgr)
            self._written += 1

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
