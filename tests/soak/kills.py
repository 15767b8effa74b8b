"""Profiles killed with SIGKILL at random moments, over and over: is every sample there, and once?

The runner, the block and the run folder are those of `splitwatt profile`, in processes of their own;
a process is forked from this one instead of started anew, so that a kill takes a fraction of a
second and not two. The models are tiny, so most of a run is what writes it down. Some runs also ask a
server, which no kill hits, or end with `splitwatt evaluate` into the same folder.

After each kill the last line of a file may be torn as well, as a power cut would leave it. Then the
run resumes (and may be killed again, until it is through), and must be whole: each sample of the
plan once, none twice, what was on the disk at a kill there unchanged, and every check of
`splitwatt check` met: memory peaks, windows, starts, clocks, power traces, repeated stages, accuracy.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from PIL import Image

from splitwatt.engines.labels import labels
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.config.config import Config, from_document
from splitwatt.profiler.evaluate.cli import evaluate
from splitwatt.profiler.execute import job, power
from splitwatt.profiler.execute.block import block
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.execute.runner import resume_run, start_run
from splitwatt.profiler.execute.work import Recorded, lacking, lacking_stages, left, stages_left
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import FILES, read_run
from tests.board.tiny import tiny_bundle
from tests.profiler.conftest import RunningServer

POINTS = 1000
WORKERS = 2
SEED = 2026
TIMEOUT_S = 120.0
# A resume is killed again with this probability, and a file torn after a kill with that one.
AGAIN, TORN = 0.4, 0.33
IMAGES = 3
# A machine that other work keeps busy takes the processor between two stages.
BUSY = "stages add up to the total"
IDLE_S = 0.02
RULES: list[dict[str, Any]] = [
    {},
    {"repeats": 2, "inferences": 3},
    {"until": {"relative_width": 0.3, "max_inferences": 24}},
    {"warmup_until": {"window": 3, "windows": 2, "within": 0.3, "max_inferences": 12}},
    {"pipelined": True},
    {"throttled": True},
    {"power": True},
    {"power": True, "stage_energy_s": 0.02, "inferences": 3},
    {"split": True},
    {"split": True, "pipelined": True},
    {"accuracy": True},
]
# What a rule says of the trial, not of the config.
OWN = ("throttled", "power", "split", "accuracy")


class NotWholeError(Exception):
    """A run that is not whole."""


class Forked:
    """Stands for the `subprocess.Popen` of a block: the same code, forked instead of started."""

    def __init__(
        self, module: str, arguments: list[str], errors: Any, keep: int, prefix: Any = ()
    ) -> None:
        ours, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.dup2(theirs, 1)
                os.dup2(errors.fileno(), 2)
                sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False))
                code = block.main(arguments)
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(theirs)
        self.stdout = os.fdopen(ours, "rb")
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._end(os.WNOHANG)

    def wait(self) -> int:
        code = self._end(0)
        assert code is not None
        return code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _end(self, flags: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                self.stdout.close()
        return self._code


class Material:
    """Bundles, images of one class, and a server of the bundles."""

    def __init__(self, folder: Path) -> None:
        self.bundles = folder / "bundles"
        self.images = folder / "data" / "val" / labels("imagenet1k_synsets")[0]
        (self.bundles / "cpu").mkdir(parents=True)
        self.images.mkdir(parents=True)
        tiny_bundle(self.bundles / "cpu" / "tiny_local", split=False)
        tiny_bundle(self.bundles / "cpu" / "tiny@1")
        for n in range(IMAGES):
            Image.new("RGB", (40 + n, 40), (n, 80, 200)).save(self.images / f"{n}.png")
        self._server = RunningServer(self.bundles, "--port", "0")
        self.server = self._server.url

    def close(self) -> None:
        """End the server."""
        self._server.stop()


class Trial:
    """One run: started, killed, resumed until it is through, and looked at."""

    def __init__(
        self, material: Material, folder: Path, rng: random.Random, rule: dict[str, Any]
    ) -> None:
        folder.mkdir()
        self.rng = rng
        self.kills = 0
        self.folder = folder
        self.run = folder / "run"
        self.throttled = rule.get("throttled", False)
        self.accuracy = rule.get("accuracy", False)
        self.material = material
        driver = "generated" if rule.get("power") else None
        server = material.server if rule.get("split") else None
        self.sysfs = folder / "sys"
        self._counter()
        self.config = config(material.images, rule)
        self.options = Options(
            str(material.bundles), "cpu", server=server, sysfs=str(self.sysfs), driver=driver
        )
        self.kept: bytes = b""

    def _counter(self) -> None:
        """A tree that stands for /sys, whose over-current events can be counted up."""
        hwmon = self.sysfs / "class/hwmon/hwmon0"
        hwmon.mkdir(parents=True)
        (hwmon / "name").write_text("soctherm_oc\n")
        self.events = hwmon / "oc1_event_cnt"
        self.events.write_text("0\n")

    def go(self, likely_s: float) -> None:
        """Run it through with kills.

        Args:
            likely_s: how long it takes without any.
        """
        while self.session(likely_s) and self.rng.random() < AGAIN:
            pass
        self.session(None)
        self.check()

    def session(self, likely_s: float | None) -> bool:
        """Start or resume in a process; kill it somewhere, or (None) let it end. Was it killed?"""
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._profile()
        if likely_s is not None:
            self._wait_for_a_moment(pid, likely_s)
            killed = self._kill(pid)
            if killed:
                self._look()
            return killed
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            self._count_up()
            if time.monotonic() - start > TIMEOUT_S:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise NotWholeError("a resume did not end within %g s" % TIMEOUT_S)
            time.sleep(0.002)
        return False

    def _profile(self) -> None:
        code = 1
        try:
            os.setsid()
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), write_through=True)
            vars(job)["start_module"] = Forked
            power.IDLE_S = IDLE_S
            if (self.run / "run.json").exists():
                resume_run(str(self.run), self.options)
            else:
                start_run(self.config, self.options, str(self.run))
            if self.accuracy:
                self._evaluate()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _evaluate(self) -> None:
        bundle = str(self.material.bundles / "cpu" / "tiny_local")
        data = "imagenet:%s" % self.material.images.parent.parent
        evaluate([bundle, "--data", data, "--out", str(self.run)])

    def _wait_for_a_moment(self, pid: int, likely_s: float) -> None:
        """Some time, or some bytes."""
        until = time.monotonic() + self.rng.uniform(0, 1.1 * likely_s)
        size = self._size() + self.rng.randrange(1, 12000) if self.rng.random() < 0.5 else None
        if size is not None:
            until += likely_s
        while time.monotonic() < until and not _ended(pid):
            if size is not None and self._size() >= size:
                return
            self._count_up()
            time.sleep(0.0003)

    def _kill(self, pid: int) -> bool:
        """The runner's group, the block alone, or both; whether anything was there to kill."""
        if _ended(pid):
            os.waitpid(pid, 0)
            return False
        blocks = _children(pid)
        what = self.rng.choice(("runner", "block", "both"))
        if what != "runner":
            for block in blocks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(block, signal.SIGKILL)
        if what == "block" and blocks:  # the runner lives on, and starts the block again
            self.kills += 1
            time.sleep(self.rng.uniform(0, 0.2))
            if _ended(pid):
                os.waitpid(pid, 0)
                return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        return True

    def _look(self) -> None:
        """What is on the disk now must stay; tear a last line, sometimes."""
        _wait_for_lock(self.run)
        if self.rng.random() < TORN:
            path = self.run / self.rng.choice(list(FILES))
            data = path.read_bytes() if path.exists() else b""
            last = data.rfind(b"\n", 0, -1) + 1
            if data:
                path.write_bytes(data[: self.rng.randrange(last, len(data))])
        samples = self.run / "samples.jsonl"
        data = samples.read_bytes() if samples.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if not whole.startswith(self.kept[: len(whole)]):
            raise NotWholeError("lines that were written have changed")
        self.kept = whole

    def _count_up(self) -> None:
        if self.throttled and self.rng.random() < 0.02:
            self.events.write_text("%d\n" % (int(self.events.read_text() or 0) + 1))

    def _size(self) -> int:
        samples = self.run / "samples.jsonl"
        return samples.stat().st_size if samples.exists() else 0

    def check(self) -> None:
        """The run is whole."""
        run = read_run(str(self.run))
        if not run.finished:
            raise NotWholeError("the run has no end")
        data = (self.run / "samples.jsonl").read_bytes()
        if not data.startswith(self.kept):
            raise NotWholeError("a sample that was on the disk is gone")
        keys = [sample.key for sample in run.attempts]
        if len(keys) != len(set(keys)):
            raise NotWholeError("a sample was recorded twice")
        if not all(s.ok for s in run.samples):
            raise NotWholeError(
                "a sample failed: %s" % next(s.reason for s in run.samples if not s.ok)
            )
        recorded = Recorded(str(self.run))
        for row in run.document["blocks"]:
            missing = left(self.config, recorded.done(row["id"]), IMAGES)
            if missing:
                raise NotWholeError("the block %s lacks %s" % (row["id"], missing))
            own = [k for block, warmup, k in keys if block == row["id"] and not warmup]
            if sorted(own) != list(range(len(own))):
                raise NotWholeError("the block %s has inferences %s" % (row["id"], own))
        if lacking(run):
            raise NotWholeError("blocks lack records: %s" % lacking(run))
        for repeating, _, count in stages_left(self.config, run.bundles, run.stages):
            if count or lacking_stages(run, repeating.id):
                raise NotWholeError("%s lacks stages" % repeating.id)
        if bool(run.throughput) != self.config.pipelined:
            raise NotWholeError("throughput was recorded for %s" % run.throughput)
        if self.accuracy:
            rows = json.loads((self.run / "accuracy.json").read_bytes())["bundles"]["tiny_local"][
                "results"
            ]
            if [row["images"] for row in rows] != [IMAGES]:
                raise NotWholeError("accuracy.json has %s" % rows)
        unmet = [c for c in audit(str(self.run)) if c.met is False and c.name != BUSY]
        if unmet or run.damaged:
            raise NotWholeError("checks are not met: %s %s" % (unmet, run.damaged))
        strange = [n for n in os.listdir(self.run) if n.startswith(".") and n != ".lock"]
        if strange:
            raise NotWholeError("files are left over: %s" % strange)


def config(images: Path, rule: dict[str, Any]) -> Config:
    """Two configurations of tiny models."""
    second = {"split": ["tiny@1"]} if rule.get("split") else {"local": ["tiny_local"]}
    document = {
        "format": 1, "name": "kills", "images": str(images), "warmup": 2, "inferences": 6,
        "configurations": {"LC1": {"local": ["tiny_local"]}, "LC2": second},
    }  # fmt: skip
    more = {name: value for name, value in rule.items() if name not in OWN}
    return from_document({**document, **more}, "kills")


def kill_many(points: int, seed: int, worker: int = 0) -> dict[str, Any]:
    """Trials until there were so many kills: how many of what, and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="splitwatt-kills-") as temporary:
        folder = Path(temporary)
        material = Material(folder)
        kills = runs = 0
        failures: list[str] = []
        likely_s: dict[int, float] = {}
        while kills < points and len(failures) < 5:
            rng = random.Random("%d %d %d" % (seed, worker, runs))
            here = folder / "run"
            which = rng.randrange(len(RULES))
            trial = Trial(material, here, rng, RULES[which])
            try:
                if which not in likely_s:  # the first of its kind is left alone
                    start = time.monotonic()
                    trial.session(None)
                    trial.check()
                    likely_s[which] = time.monotonic() - start
                else:
                    trial.go(likely_s[which])
            except Exception as error:
                log = here / "log"
                tail = log.read_text()[-800:] if log.exists() else ""
                failures.append(f"run {runs} of worker {worker}: {error!r}\n{tail}")
            kills += trial.kills
            runs += 1
            subprocess.run(["rm", "-rf", str(here)], check=True)
        material.close()
    return {"kills": kills, "runs": runs, "failures": failures}


def main(points: int = POINTS, workers: int = WORKERS) -> int:
    """Kill so many times on so many cores; the exit code."""
    start = time.monotonic()
    results: list[dict[str, Any]] = []
    share = -(-points // workers)
    threads = []
    for worker in range(workers):
        ours, theirs = multiprocessing.Pipe()
        if os.fork() == 0:
            theirs.send(kill_many(share, SEED, worker))
            os._exit(0)
        threads.append(threading.Thread(target=lambda pipe=ours: results.append(pipe.recv())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(workers):
        os.wait()
    failures = [text for result in results for text in result["failures"]]
    kills, runs = (sum(result[name] for result in results) for name in ("kills", "runs"))
    took_s = time.monotonic() - start
    print(f"{kills} kill points in {runs} runs, {took_s:.0f} s: {len(failures)} runs not whole")
    for text in failures:
        print(text)
    return 1 if failures else 0


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _children(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(n) for task in tasks for n in (task / "children").read_text().split()]
    except OSError:
        return []


def _wait_for_lock(run: Path) -> None:
    """Until the processes of a killed session are gone."""
    if (run / ".lock").exists():
        with contextlib.suppress(Exception):
            folder = RunFolder(str(run))
            folder.hold()
            folder.close()
