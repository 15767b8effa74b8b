"""The tables of a report, from the series of its runs."""
# board: no

from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series, links_of_all, slug
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.load.words import unique
from splitwatt.reports.metrics import costs, stats
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.papers.published import is_papers, peak_memory_gb
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import Cell, Column, Row, Table, whole
from splitwatt.reports.tables.which import CONFIG, SERIES, of_entry

END_TO_END = "end_to_end_s"


def total_key(link: Link) -> str:
    """The key of the summary's column of a link."""
    return f"{END_TO_END}_{slug(link)}"


def summary(series: list[Series]) -> Table:
    """One row for each configuration: what the terminal shows and a report opens with."""
    links = links_of_all(series)
    totals = [
        Column(total_key(link), f"End to end at {link.name}", "s", interval=True) for link in links
    ]
    columns = [
        *SERIES,
        CONFIG,
        *totals,
        Column("local_gmac", "Local GMAC"),
        Column("peak_memory_gb", "Peak memory", "GB"),
        Column("encoder_fp32_mib", "Encoder", "MiB"),
        Column("payload_kib", "Data size", "KiB"),
        Column("energy_j", "Energy", "J"),
        Column("samples", "Samples", text=whole, quiet=True),
        Column("failed", "Failed", text=whole, quiet=True),
    ]
    rows = []
    for s in series:
        for entry in s.entries:
            row = of_entry(s, entry)
            for link, column in zip(links, totals, strict=True):
                row[column.key] = _total(s, entry, link)
            row.update(
                local_gmac=costs.local_gmac(entry),
                peak_memory_gb=costs.peak_memory_gb(entry),
                encoder_fp32_mib=costs.encoder_mib(entry, "fp32_params"),
                payload_kib=costs.payload_kib(entry),
                energy_j=costs.energy_j(entry),
                samples=exact(len(entry.samples), "measured"),
                failed=exact(len(entry.failed), "measured"),
            )
            rows.append(row)
    under = [
        f"Energy: of the board, for one image. Latency: median, in brackets its {stats.METHOD}.",
        _HOW_GMAC,
        _HOW_MEMORY,
    ]
    return Table("summary", "Summary", columns, rows, under + _all_notes(series))


_HOW_GMAC = "GMAC: counted from the exported graphs, at the input sizes that the bundles state."
_HOW_MEMORY = "Peak memory: of the board's process, the highest of its blocks; 1 GB = 10^9 bytes."
_HOW_ENCODER = (
    "Encoder: fp32 parameters of encoder and entropy model (as the paper counts), and the deployed "
    "files' bytes; an encoder that models share counts once; 1 MiB = 1024^2 bytes."
)


def latency_table(series: list[Series]) -> Table:
    """End-to-end latency and its parts, for each link."""
    columns = [
        *SERIES,
        Column("link", "Link", number=False),
        CONFIG,
        Column("end_to_end_s", "End to end", "s", interval=True),
        Column("local_s", "Local", "s"),
        Column("network_s", "Network", "s"),
        Column("uplink_s", "Uplink", "s"),
        Column("downlink_s", "Downlink", "s", quiet=True),
        Column("server_s", "Server", "s"),
        Column("samples", "Samples", text=whole),
    ]
    rows = []
    for s in series:
        for link in s.links:
            for entry in s.entries:
                found = latency(entry, link)
                row = of_entry(s, entry)
                row.update(
                    link=link.name,
                    end_to_end_s=found.total,
                    local_s=found.local,
                    network_s=found.network,
                    uplink_s=found.uplink,
                    downlink_s=found.downlink,
                    server_s=found.server,
                    samples=exact(len(entry.samples), "measured"),
                )
                rows.append(row)
    under = [
        f"Medians; in brackets the {stats.METHOD}. Medians of parts need not add up to that of the "
        "whole.",
        "Local: the board's stages. Network: the HTTP round trip as it was, less what the server "
        "accounts for. Uplink: the simulated link's time for the bytes that go up (downlink: for "
        "the answers, where the link charges them). Server: its stages.",
        *_link_notes(series),
    ]
    return Table("latency", "End-to-end latency", columns, rows, under + _all_notes(series))


def costs_table(series: list[Series]) -> Table:
    """Local GMAC (Fig. S3), peak memory, encoder size, energy."""
    columns = [
        *SERIES,
        CONFIG,
        Column("models", "Models", number=False),
        Column("local_gmac", "Local GMAC"),
        Column("gmac_at", "Counted at", number=False),
        Column("encoder_fp32_mib", "Encoder parameters fp32", "MiB"),
        Column("encoder_deployed_mib", "Encoder deployed", "MiB"),
        Column("board_files_mib", "All graphs on the board", "MiB"),
        Column("peak_memory_gb", "Process peak memory", "GB"),
        Column("board_peak_memory_gb", "Board peak memory", "GB"),
        Column("gpu_peak_memory_gb", "Process peak GPU memory", "GB", quiet=True),
        Column("energy_j", "Energy", "J"),
    ]
    rows = []
    for s in series:
        for entry in s.entries:
            row = of_entry(s, entry)
            row.update(
                models=", ".join(entry.models),
                local_gmac=costs.local_gmac(entry),
                gmac_at=costs.gmac_sizes(entry),
                encoder_fp32_mib=costs.encoder_mib(entry, "fp32_params"),
                encoder_deployed_mib=costs.encoder_mib(entry, "deployed"),
                board_files_mib=costs.board_files_mib(entry),
                peak_memory_gb=costs.peak_memory_gb(entry),
                board_peak_memory_gb=costs.peak_memory_gb(entry, "board_peak_bytes"),
                gpu_peak_memory_gb=costs.peak_memory_gb(entry, "gpu_process_peak_bytes"),
                energy_j=costs.energy_j(entry),
            )
            rows.append(row)
    under = [_HOW_GMAC, _HOW_ENCODER, _HOW_MEMORY, *_all_notes(series)]
    return Table("costs", "Operations, sizes, memory, energy", columns, rows, under)


def data_size_table(series: list[Series]) -> Table:
    """What one image sends: payload, wire, and what sc2bench would state."""
    columns = [
        *SERIES,
        CONFIG,
        Column("payload_kib", "Payload", "KiB", interval=True),
        Column("payload_mean_kib", "Mean payload", "KiB"),
        Column("wire_up_kib", "Wire up", "KiB"),
        Column("wire_down_kib", "Wire down", "KiB"),
        Column("legacy_pickled_kib", "Pickled (sc2bench)", "KiB"),
        Column("published_payload_kib", "Published mean, or estimate of it", "KiB"),
    ]
    rows = []
    for s in series:
        for entry in (e for e in s.entries if e.split):
            row = of_entry(s, entry)
            row.update(
                payload_kib=costs.payload_kib(entry),
                payload_mean_kib=costs.payload_mean_kib(entry),
                wire_up_kib=costs.wire_up_kib(entry),
                wire_down_kib=costs.wire_down_kib(entry),
                legacy_pickled_kib=costs.legacy_pickled_kib(entry),
                published_payload_kib=costs.published_payload_kib(entry),
            )
            rows.append(row)
    under = [
        "Medians for one image, all its requests together; 1 KiB = 1024 bytes (the papers' KB). "
        "Payload: the bitstreams alone. Wire: with headers and framing. Pickled: the serialized "
        "object that sc2bench's analyser measures. Published mean, or estimate of it: what links carry "
        "instead, where the run says so.",
        *_all_notes(series),
    ]
    return Table("data_size", "Data size", columns, rows, under)


_HOW_TABLE_S1 = (
    "The paper's columns are its Table S1, which may include background jobs of the board: another "
    "quantity than a process's peak, and other machines."
)


def memory_table(series: list[Series]) -> Table:
    """The paper's Table S1: a row for each configuration, a column for each board and backend."""
    ours = [
        Column(f"peak_memory_gb_{i}", s.label.replace(",", ""), "GB") for i, s in enumerate(series)
    ]
    theirs = [
        Column("nano_gb", "Paper: Nano", "GB"),
        Column("nano_cuda_gb", "Paper: Nano CUDA", "GB"),
        Column("xavier_nx_gb", "Paper: Xavier NX", "GB"),
        Column("xavier_nx_cuda_gb", "Paper: Xavier NX CUDA", "GB"),
    ]
    found = {(s.label, e.id): e for s in series for e in s.entries}
    if not any(is_papers(id) for _, id in found):
        theirs = []
    rows: list[Row] = []
    for id, shown in {e.id: e.marked for e in found.values()}.items():
        row: dict[str, Cell] = {"config": shown}
        for s, column in zip(series, ours, strict=True):
            entry = found.get((s.label, id))
            row[column.key] = costs.peak_memory_gb(entry) if entry else missing("not in this run")
        stated = peak_memory_gb().get(id, {})
        for column in theirs:
            row[column.key] = exact(stated.get(column.key), "published", why="not in Table S1")
        rows.append(row)
    under = [_HOW_MEMORY, *([_HOW_TABLE_S1] if theirs else []), *_all_notes(series)]
    return Table("memory", "Peak memory (Table S1)", [CONFIG, *ours, *theirs], rows, under)


def samples_table(series: list[Series]) -> Table:
    """How many samples each configuration should have, has, and lost, and why; and which are odd."""
    columns = [
        *SERIES,
        CONFIG,
        *(
            Column(key, key.capitalize(), text=whole)
            for key in ("expected", "good", "failed", "missing")
        ),
        Column("reasons", "Reasons", number=False),
        Column("throttled", "Throttled", text=whole),
        Column("unsteady", "Unsteady blocks", text=whole),
    ]
    rows = []
    for s in series:
        for entry in s.entries:
            counts = {
                "expected": entry.expected,
                "good": len(entry.samples),
                "failed": len(entry.failed),
                "missing": entry.missing,
            }
            row = of_entry(s, entry)
            row.update({key: exact(count, "measured") for key, count in counts.items()})
            row["reasons"] = entry.reasons
            row["throttled"] = exact(entry.throttled, "measured", why="the board does not tell")
            row["unsteady"] = exact(entry.unsteady, "measured", why="no warm-up until stable")
            rows.append(row)
    under = [
        "Warm-up samples are not counted. Throttled: good samples in which the board slowed itself "
        "down. Unsteady blocks: not stable when their warm-up reached its cap."
    ]
    return Table("samples", "Samples", columns, rows, under)


def _total(s: Series, entry: Entry, link: Link) -> Value:
    if link not in s.links:
        return missing("this run has no such link")
    return latency(entry, link).total


def _all_notes(series: list[Series]) -> list[str]:
    return [
        *notes.unsettled(series),
        *notes.made_up_energy(series),
        *notes.published_payload(series),
        *notes.assumed(series),
        *notes.untrained(series),
    ]


def _link_notes(series: list[Series]) -> list[str]:
    return unique(_link_note(link) for s in series for link in s.links if link != NO_LINK)


def _link_note(link: Link) -> str:
    """A link as its config has it."""
    rate = f"{link.rate_kbit_s:g} kbit/s (1 kbit = 1000 bits)" if link.rate_kbit_s else "no limit"
    words = [f"{link.name}: {link.kind}, {rate}"]
    words += [] if link.measured else [f"counts the {link.bytes}"]
    words += [f"downlink {link.downlink_kbit_s:g} kbit/s"] if link.downlink_kbit_s else []
    words += [f"latency {link.latency_ms:g} ms +- {link.jitter_ms:g} ms"] if link.latency_ms else []
    words += [f"{100 * link.loss:g} % of segments lost"] if link.loss else []
    return f"{', '.join(words)}; {link.source}."
