"""What a resume and the start of every block cost, at up to 24,000 samples in 240 blocks."""

import json
import shutil
import time
from pathlib import Path

from splitwatt.profiler.execute.job import Job, read_job
from splitwatt.profiler.execute.work import Recorded, lacking
from splitwatt.profiler.records.run import read_run
from tests.bench.measure import OUT, publish
from tests.profiler.runs import CONFIG, made_run

TIMES = {"LC1": (0.5, 0.0, None), "SC1": (0.6, 0.3, 40000), "Ours1": (0.4, 0.3, 5000)}
INFERENCES = 99
REPEATS = (20, 40, 80)


def main() -> None:
    """Seconds by size of the run."""
    rows, figures = [], {}
    for repeats in REPEATS:
        path = OUT / "records" / str(repeats)
        shutil.rmtree(path, ignore_errors=True)
        config = json.loads(json.dumps({**CONFIG, "inferences": INFERENCES, "repeats": repeats}))
        made_run(path, TIMES, config)
        samples = sum(1 for _ in (path / "samples.jsonl").open())
        blocks = len(json.loads((path / "run.json").read_text())["blocks"])
        figures[samples] = cost = costs(path)
        rows.append([f"{samples:,}", f"{blocks}", *(f"{cost[name]:.3f}" for name in cost)])
    publish(
        "records",
        "Resuming a run",
        ["samples", "blocks", "samples read, once a resume [s]", "all jobs written and read [s]",
         "run read, once at its end [s]", "looked for lost records [s]"],
        rows,
        figures,
    )  # fmt: skip


def costs(path: Path) -> dict[str, float]:
    """What a resume does: read the samples, give each block its job, read the run at the end."""
    start = time.perf_counter()
    recorded = Recorded(str(path))
    read = time.perf_counter()
    for block in json.loads((path / "run.json").read_text())["blocks"]:
        done = recorded.done(block["id"])
        job = Job(
            run=str(path), block=block, parent=1, options={"bundles": "", "target": ""},
            warmups=sorted(done.warmups), inferences=done.inferences,
        )  # fmt: skip
        assert len(read_job(job.write()).inferences) == INFERENCES
    jobs = time.perf_counter()
    run = read_run(str(path))
    end = time.perf_counter()
    lacking(run)
    looked = time.perf_counter()
    return {
        "samples_s": read - start, "jobs_s": jobs - read, "run_s": end - jobs,
        "lost_s": looked - end,
    }  # fmt: skip
