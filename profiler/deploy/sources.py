"""Where frames come from: a folder of images, or what OpenCV or PyAV can decode.

A camera, a stream and a video file are live: a frame that nobody takes in time is lost, and the next
one counts. A folder waits.
"""

import importlib.util
import os
import re
import stat
import time
from typing import Any, Iterator, List, NamedTuple, Optional

import numpy as np

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.device_configs.install import install_command
from splitwatt.engines.pipeline.image import MAX_PIXELS, decode_image, list_images

# After this many frames in a row that cannot be decoded, a stream is opened again and a file has
# ended:
# an hour of it, whatever number of frames its head states.
_MOST_DAMAGED, _MOST_DAMAGED_IN_FILE = 100, 100000
# Time between two attempts to open a camera that is gone, s.
_REOPEN_S = 1.0
# PyAV gives up a stream that sends nothing for this time, s; OpenCV does after 30 s.
_STALLED_S = 10.0
# User and password of an address, up to its last "@"; what a camera's query or GStreamer's rtspsrc call so.
_USER = re.compile(r"(://)[^/\s]*@")
_PASSWORD = re.compile(
    r"((?:\b|_)(?:user-pw|password|passwd|passphrase|pass|pwd|pw|token|key|secret|auth)=)(\"[^\"]*\"|[^\s&!]+)",
    re.IGNORECASE,
)
_STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")


class Frame(NamedTuple):
    """A frame: its number from 0, its name, its capture on the monotonic clock (s), its pixels
    uint8 (H, W, 3), red first.
    """

    number: int
    name: str
    captured_s: float
    rgb: np.ndarray


class Source:
    """Frames, one after the other.

    Attributes:
        text: as the user wrote it.
        shown: the same without a password.
        live: frames come at their own pace, and wait for nobody.
        fps: that a video file says; None where it is not known.
    """

    live = True
    fps: Optional[float] = None

    def __init__(self, text: str) -> None:
        self.text = text
        self.shown = without_password(text)
        self.stopped = False

    def frames(self) -> Iterator[Frame]:
        """Frames until the source ends or `stopped` is set; one that cannot be decoded is left out
        with a sentence.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free the device."""


def open_source(text: str, fps: Optional[float] = None) -> Source:
    """The source that a user names.

    Args:
        text: a folder, a video file, a device as /dev/video0, an address as rtsp://..., or a
            GStreamer pipeline that ends in appsink.
        fps: frames a second at the most; a folder's images come at this rate, then.

    Raises:
        UsageError: there is no such source, or nothing here that decodes it.
    """
    if os.path.isdir(text):
        return _Folder(text, fps)
    pipeline = " ! " in text
    if not pipeline and not text.lower().startswith(_STREAMS):
        _check_path(text)
    if importlib.util.find_spec("cv2") is not None:
        return _Video(text, fps, _OpenCv)
    if pipeline:
        raise UsageError("a GStreamer pipeline needs OpenCV, which is not installed",
                         "on a Jetson: sudo apt-get install python3-opencv")  # fmt: skip
    if importlib.util.find_spec("av") is not None:
        return _Video(text, fps, _PyAv)
    raise UsageError(
        "decoding %s needs OpenCV or PyAV, and neither is installed" % text,
        "on a Jetson: sudo apt-get install python3-opencv; elsewhere: " + install_command("video"),
    )


def without_password(text: str) -> str:
    """A source as it may be shown and kept: cameras' addresses have their passwords in them."""
    return _PASSWORD.sub(r"\1...", _USER.sub(r"\1", text))


def _check_path(path: str) -> None:
    """A video file or a device; opening anything else, as a named pipe, might never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        wrong = "there is no source %s" % path
    else:
        if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
            return
        wrong = "%s is neither a file nor a camera" % path
    raise UsageError(
        wrong,
        "name a video file, a folder of images, /dev/video0, rtsp://... or a GStreamer pipeline",
    )


class _Folder(Source):
    def __init__(self, text: str, fps: Optional[float]) -> None:
        super().__init__(text)
        self._paths: List[str] = list_images(text)
        self.live, self.fps = fps is not None, fps

    def frames(self) -> Iterator[Frame]:
        started_s = time.monotonic()
        for number, path in enumerate(self._paths):
            if self.stopped:
                return
            try:
                rgb = decode_image(path)
            except ImageError as error:
                note(str(error))
                continue
            if self.fps is not None:
                time.sleep(max(0.0, started_s + number / self.fps - time.monotonic()))
            yield Frame(number, os.path.basename(path), time.monotonic(), rgb)


class _Video(Source):
    """Anything that a decoder opens; `decoder` is `_OpenCv` or `_PyAv`."""

    def __init__(self, text: str, cap_fps: Optional[float], decoder: Any) -> None:
        super().__init__(text)
        self._cap_s = 0.0 if cap_fps is None else 1.0 / cap_fps
        self._decoder = decoder
        self._file = os.path.isfile(text) and stat.S_ISREG(os.stat(text).st_mode)
        self._opened: Any = decoder(text)
        self.fps = self._opened.fps if self._file else None

    def frames(self) -> Iterator[Frame]:
        number, due_s, said = 0, 0.0, False
        started_s = time.monotonic()
        while not self.stopped:
            damaged = 0
            for at, rgb in enumerate(self._opened.frames()):
                if self.stopped:
                    return
                if rgb is None:
                    damaged += 1
                    if damaged == 1:
                        note("%s has damaged frames, which are left out" % self.shown)
                    if damaged > (_MOST_DAMAGED_IN_FILE if self._file else _MOST_DAMAGED):
                        break
                    continue
                if self._file and self.fps:  # a file plays at its own rate
                    time.sleep(max(0.0, started_s + at / self.fps - time.monotonic()))
                damaged, said = 0, False
                captured_s = time.monotonic()
                if captured_s < due_s - 1e-3:
                    continue
                due_s = max(due_s, captured_s - self._cap_s) + self._cap_s
                if rgb.shape[0] * rgb.shape[1] > MAX_PIXELS:
                    note("%s has a frame of more than %d pixels" % (self.shown, MAX_PIXELS))
                    return
                yield Frame(number, "frame-%06d" % number, captured_s, rgb)
                number += 1
            if self._file:
                return
            if not said:
                note("%s gives no more frames: it is opened again every second" % self.shown)
                said = True
            self._reopen()

    def _reopen(self) -> None:
        self._opened.close()
        while not self.stopped:
            time.sleep(_REOPEN_S)
            try:
                self._opened = self._decoder(self.text)
                return
            except UsageError:
                continue

    def close(self) -> None:
        self._opened.close()


class _OpenCv:
    """A source that OpenCV decodes; `frames` gives None for one that is damaged."""

    def __init__(self, text: str) -> None:
        import cv2

        device = text[len("/dev/video") :] if text.startswith("/dev/video") else ""
        if " ! " in text:
            if cv2.CAP_GSTREAMER not in cv2.videoio_registry.getBackends():
                raise UsageError(
                    "a GStreamer pipeline needs an OpenCV with GStreamer, and pip's has none",
                    "uninstall pip's; on Debian, Ubuntu or a Jetson: sudo apt-get install python3-opencv",
                )
            self._capture = cv2.VideoCapture(text, cv2.CAP_GSTREAMER)
        else:
            self._capture = cv2.VideoCapture(int(device) if device.isdigit() else text)
        if not self._capture.isOpened():
            raise UsageError(
                "OpenCV cannot open %s" % without_password(text),
                "check that it is a camera or video",
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps < 1000 else None
        self._count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def frames(self) -> Iterator[Optional[np.ndarray]]:
        for at in range(1 << 62):
            there, bgr = self._capture.read()
            if there and bgr is not None:
                yield _rgb(bgr)
            elif at + 1 < self._count:
                yield None
            else:
                return

    def close(self) -> None:
        self._capture.release()


def _rgb(frame: np.ndarray) -> np.ndarray:
    """A frame of OpenCV, red first: grey, or blue, green, red, with or without a fourth channel."""
    if frame.ndim == 2:
        frame = frame[:, :, None]
    channels = [0, 0, 0] if frame.shape[2] == 1 else [2, 1, 0]
    return np.ascontiguousarray(frame[:, :, channels])


class _PyAv:
    """A source that PyAV decodes."""

    def __init__(self, text: str) -> None:
        import av

        device = text.startswith("/dev/")
        try:
            stalled_s = _STALLED_S if text.lower().startswith(_STREAMS) else None
            self._container = av.open(text, format="v4l2" if device else None, timeout=stalled_s)
            self._stream = self._container.streams.video[0]
        except (OSError, ValueError, IndexError) as error:  # av's own are of the first two
            shown = without_password(text), without_password(str(error))
            raise UsageError("PyAV cannot open %s: %s" % shown, "check that it is a video")
        self._errors, self._stalled = av.error.FFmpegError, av.error.ExitError
        rate = self._stream.average_rate
        self.fps = float(rate) if rate else None

    def frames(self) -> Iterator[Optional[np.ndarray]]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                decoded = [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
            except (StopIteration, EOFError, self._stalled):
                return
            except self._errors:
                yield None
                continue
            for rgb in decoded:
                yield np.ascontiguousarray(rgb)

    def close(self) -> None:
        self._container.close()
