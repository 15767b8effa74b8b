"""Measured end-to-end over kernel-shaped links against compute alone and what the records derive.

Real models on the packaged photographs, server and board on this machine. Needs network namespaces.
"""

import os
import tempfile
from pathlib import Path

from tests.bench.links import achieved, compare, profile
from tests.bench.measure import publish
from tests.conftest import ROOT, splitwatt

MODELS = ["ladon_r50@20.48", "entropic_student_ic@5.12"]
LINKS = ["shaped:100kbit", "shaped:37.5kbit", "shaped:100kbit,via=user"]
QUICK = ["shaped:100kbit"]
LEAST_BYTES = 8192


def main() -> None:
    """Profile each model over each link and publish the table; BENCH_QUICK=1 for one link."""
    quick = os.environ.get("BENCH_QUICK") == "1"
    bundles = ROOT / "build" / "bench" / "bundles"
    models = [argument for model in MODELS for argument in ("--model", model)]
    splitwatt("export", *models, "--target", "cpu", "--weights", "random", "--bundles", bundles)
    rows, data = [], []
    for model in MODELS[:1] if quick else MODELS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            alone = profile(folder, bundles, model, "none", 12)
            for link in QUICK if quick else LINKS:
                shaped = profile(folder, bundles, model, link, 6)
                for one in compare(alone, shaped, LEAST_BYTES):
                    row = dict(one._asdict(), model=model, link=link, achieved=achieved(shaped))
                    data.append(row)
                    rows.append(
                        [
                            model,
                            link,
                            one.image,
                            f"{one.payload_bytes}",
                            f"{one.measured_s:.3f}",
                            f"{one.own_s:.3f}",
                            f"{one.wire_s:.3f}",
                            f"{100 * one.off_by:+.2f} %",
                            f"{100 * one.off_by_alone:+.2f} %",
                            f"{one.over_payload_bits:.3f}",
                            f"{one.transfer_over_bits:.3f}",
                            f"{one.headers_s / one.payload_s:.3f}",
                            f"{(one.wire_s - one.payload_s - one.headers_s) / one.payload_s:.3f}",
                        ]
                    )
    columns = [
        "model", "link", "image", "payload [B]", "measured [s]", "compute [s]",
        "uplink_wire_s [s]", "off by", "off by, compute of the other run", "over payload bits", "link alone over payload bits",
        "of it headers and JSON", "of it framing",
    ]  # fmt: skip
    publish("links", "Measured end to end over shaped links", columns, rows, data)


if __name__ == "__main__":
    main()
