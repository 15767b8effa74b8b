"""Where frames come from: both decoders against each other, rates, cameras that go."""

import http.server
import io
import pathlib
import re
import threading
import time

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.profiler.deploy import sources
from splitwatt.profiler.deploy.sources import (
    Source,
    _OpenCv,
    _PyAv,
    _rgb,
    _Video,
    open_source,
    without_password,
)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("rtsp://u:p@h/x", "rtsp://h/x"),
        ("rtsp://u:p@ss@h/x", "rtsp://h/x"),
        ("a location=rtsp://u:p@h/x ! b", "a location=rtsp://h/x ! b"),
        ("rtspsrc location=rtsp://h/ user-id=u user-pw=p ! b", "rtspsrc location=rtsp://h/ user-id=u user-pw=... ! b"),
        ('rtspsrc user-pw="p w" ! b', "rtspsrc user-pw=... ! b"),
        ("http://h/v.cgi?user=u&PWD=p&n=1", "http://h/v.cgi?user=u&PWD=...&n=1"),
        ("rtsp://h/user=u_password=p_channel=1", "rtsp://h/user=u_password=..."),
        ("https://h/x?access_token=t", "https://h/x?access_token=..."),
        ("/dev/video0", "/dev/video0"),
        ("folder/a@b.mp4", "folder/a@b.mp4"),
    ],
)  # fmt: skip
def test_a_password_is_not_shown(text, shown):
    assert without_password(text) == shown


def test_grey_frames_and_a_fourth_channel_become_rgb():
    frame = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (_rgb(frame) == frame[:, :, [2, 1, 0]]).all()
    assert (_rgb(frame[:, :, 0]) == frame[:, :, [0, 0, 0]]).all()
    assert (_rgb(frame[:, :, :1]) == frame[:, :, [0, 0, 0]]).all()


def test_both_decoders_give_the_same_frames(video):
    first, second = _OpenCv(str(video)), _PyAv(str(video))
    assert first.fps == second.fps == 10.0
    pairs = list(zip(first.frames(), second.frames()))
    assert len(pairs) == 40 and next(iter(second.frames()), None) is None
    for one, other in pairs:
        assert one.shape == other.shape == (240, 320, 3)
        assert np.abs(one.astype(int) - other).mean() < 3  # they convert colours by other rounding
    first.close()
    second.close()


@pytest.mark.parametrize("decoder", [_OpenCv, _PyAv])
def test_a_file_that_is_no_video_is_one_sentence(decoder, tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("this is no video")
    with pytest.raises(UsageError, match=r"cannot open .*text\.mp4"):
        decoder(str(path))


def test_without_a_decoder_the_sentence_says_what_to_install(monkeypatch, video):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        open_source(str(video))
    assert "python3-opencv" in error.value.remedy and "[video]" in error.value.remedy


def test_an_opencv_without_gstreamer_is_reported_as_that(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2.videoio_registry, "getBackends", lambda: [cv2.CAP_FFMPEG])
    with pytest.raises(UsageError, match="needs an OpenCV with GStreamer.*pip.*python3-opencv"):
        open_source("videotestsrc ! appsink")


class Camera:
    """A camera that gives three frames each time it is opened."""

    fps = 30.0
    opened = 0

    def __init__(self, text):
        Camera.opened += 1
        if Camera.opened == 2:
            raise UsageError("there is no camera")

    def frames(self):
        for _ in range(3):
            yield np.zeros((4, 4, 3), np.uint8)

    def close(self):
        """It needs nothing."""


def test_a_camera_that_vanishes_is_opened_again(monkeypatch, capsys):
    monkeypatch.setattr(sources, "_REOPEN_S", 0.01)
    camera = sources._Video("/dev/video7", None, Camera)
    frames = camera.frames()
    assert [next(frames).number for _ in range(5)] == [0, 1, 2, 3, 4]
    assert Camera.opened == 3 and "no more frames" in capsys.readouterr().err
    camera.stopped = True
    assert list(frames) == []


def test_a_folder_with_a_rate_is_live_and_without_one_waits(photographs):
    folder = str(photographs[0].parent)
    assert not open_source(folder).live and open_source(folder, 20.0).live
    times = [frame.captured_s for frame in open_source(folder, 20.0).frames()]
    assert len(times) == len(photographs) and max(times) - min(times) >= 0.04 * (len(times) - 1)


def test_a_source_that_gives_nothing_is_reported(tiny, capsys, monkeypatch):
    from splitwatt.profiler.deploy import flow
    from splitwatt.profiler.deploy.policy import Point, Policy
    from splitwatt.profiler.deploy.runnable import Runnables

    monkeypatch.setattr(flow, "_SILENT_S", 0.3)

    class Stalled(Source):
        def frames(self):
            while not self.stopped:
                time.sleep(0.05)
            return iter(())

    policy = Policy((Point("LC1", str(tiny / "cpu" / "tiny_local")),))
    with Runnables(policy, False) as opened:
        running = flow.Flow(policy, opened.points, None, lambda result: None)
        threading.Timer(1.0, running.stop).start()
        running.run(Stalled("a camera"))
    assert "a camera has given no frame for 0.3 s" in capsys.readouterr().err


@pytest.mark.parametrize("decoder", [_OpenCv, _PyAv])
def test_a_camera_of_the_network_that_stalls_and_vanishes_is_opened_again(
    decoder, photographs, monkeypatch, capsys
):
    """An HTTP server of pictures, as network cameras have one: its first two connections end, one by
    falling silent and one at once; frames go on with the third.
    """
    monkeypatch.setattr(sources, "_STALLED_S", 1.0)
    picture = io.BytesIO()
    Image.open(photographs[0]).resize((64, 48)).save(picture, "JPEG")
    part = (b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            % len(picture.getvalue()) + picture.getvalue() + b"\r\n")  # fmt: skip
    opened, ended = [], threading.Event()

    class Pictures(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            opened.append(self.path)
            number = len(opened)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for _ in range(60 if number < 3 else 10**6):
                    if ended.wait(0.01):
                        return
                    self.wfile.write(part)
                if number == 1 and decoder is _PyAv:
                    ended.wait(60)
            except OSError:
                return

        def log_message(self, *words):
            """Nothing is printed."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    camera = None
    try:
        camera = sources._Video("http://127.0.0.1:%d/video" % server.server_port, None, decoder)
        numbers = []
        for frame in camera.frames():
            assert frame.rgb.shape == (48, 64, 3)
            numbers.append(frame.number)
            if len(opened) >= 3 and len(numbers) > 100:
                break
        assert numbers == list(range(len(numbers)))
        assert "is opened again every second" in capsys.readouterr().err
    finally:
        ended.set()
        if camera is not None:
            camera.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("decoder", [_OpenCv, _PyAv])
def test_a_long_damaged_middle_of_a_video_loses_nothing_behind_it(decoder, tmp_path):
    """A hundred damaged frames in a row, four seconds, once ended the video."""
    cv2 = pytest.importorskip("cv2")
    path = str(tmp_path / "damaged.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 500, (64, 48))
    pixels = np.random.RandomState(0)
    for _ in range(400):
        writer.write(pixels.randint(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    data = bytearray(pathlib.Path(path).read_bytes())
    at = [found.start() + 8 for found in re.finditer(b"00dc", bytes(data))][:400]
    for number in range(120, 280):
        data[at[number] : at[number + 1] - 8] = bytes(at[number + 1] - 8 - at[number])
    pathlib.Path(path).write_bytes(data)
    assert len(list(_Video(path, None, decoder).frames())) == 400 - 160
