"""`splitwatt energy read | watch | record | integrate | serve`: power and joules alone."""

import argparse
import sys
import time
from typing import Any, Callable, Dict, List, Tuple

from splitwatt.device_configs.cli import (
    note,
    number,
    parser,
    positive,
    print_json,
    say,
    seconds,
    whole,
)
from splitwatt.device_configs.errors import SensorError, UsageError
from splitwatt.device_configs.names import suggestion
from splitwatt.device_configs.printable import table

_HZ = number(0.001, 1e6)
_IDLE_S = number(0.0, 7 * 86400.0)
_T_S = number(-1e15, 1e15)
_RATE_HELP = "samples per second (default: twice the sensor's rate)"


def energy(argv: List[str]) -> int:
    """Run `splitwatt energy VERB`."""
    if not argv or argv[0] in ("-h", "--help"):
        rows = "\n".join("  %-10s %s" % (verb, summary) for verb, (_, summary) in _VERBS.items())
        say("usage: splitwatt energy VERB [options]\n\n%s\n\nexample:\n  %s"
            % (rows, "splitwatt energy record -- ./my_program --fast"))  # fmt: skip
        return 0 if argv else 2
    if argv[0] not in _VERBS:
        raise UsageError("unknown command 'energy %s'" % argv[0], suggestion(argv[0], _VERBS))
    return _VERBS[argv[0]][0](argv[1:])


def _parser(verb: str, example: str) -> argparse.ArgumentParser:
    summary = _VERBS[verb][1]
    result = parser("energy " + verb, summary[0].upper() + summary[1:] + ".", example)
    add = result.add_argument
    if verb == "integrate":
        add("--target", metavar="NAME|FILE", help="target whose rails the trace has")
        return result
    auto = "target or its YAML file (default: auto-detected)"
    add("--target", metavar="NAME|FILE", help=auto)
    add("--sysfs", metavar="DIR", default="/sys", help="directory to use instead of /sys")
    add("--driver", metavar="NAME", help="use only this driver, e.g. `generated`")
    add("--replay", metavar="TRACE", help="replay this trace instead of reading a sensor")
    return result


def _sources(options: argparse.Namespace) -> Dict[str, Any]:
    """Where power is read, as `open_rails` takes it."""
    return {
        "target": options.target,
        "sysfs": options.sysfs,
        "driver": "replay" if options.replay else options.driver,
        "options": {"trace": options.replay} if options.replay else None,
    }


def _read(argv: List[str]) -> int:
    from splitwatt.energy.commands.read import read_once
    from splitwatt.energy.commands.watch import watts_text
    from splitwatt.energy.rail_set import open_rails

    options = _parser("read", "splitwatt energy read --target nano --json").parse_args(argv)
    with open_rails(**_sources(options)) as rails:
        reading = read_once(rails)
    if options.json:
        print_json(reading)
        return 0
    rows = [("rail", "power", "measures")]
    for rail in reading["rails"]:
        what = "total" if rail["total"] else rail["measures"]
        flag = " [%s]" % rail["flag"] if rail["flag"] else ""
        rows.append((rail["name"], watts_text(rail["watts"]), what + flag))
    if len(reading["total_of"]) > 1:
        rows.append(("+".join(reading["total_of"]), watts_text(reading["total_watts"]), "sum"))
    say(table(rows))
    note("read by %s for the target %s" % (reading["driver"], reading["target"] or "none"))
    return 0


def _watch(argv: List[str]) -> int:
    from splitwatt.energy.commands.watch import watch

    arguments = _parser("watch", "splitwatt energy watch --target nano")
    add = arguments.add_argument
    add("--seconds", type=seconds, metavar="S", help="stop after S seconds")
    add(
        "--interval",
        type=seconds,
        default=0.5,
        metavar="S",
        help="seconds between updates (default: 0.5)",
    )
    options = arguments.parse_args(argv)
    last = watch(_sources(options), options.interval, options.seconds, not options.json)
    if options.json:
        print_json(last)
    return 0


def _record(argv: List[str]) -> int:
    from splitwatt.energy.commands.record import as_lines, record

    arguments = _parser("record", "splitwatt energy record --idle 2 --runs 5 -- ./my_program")
    add = arguments.add_argument
    before = "number of unmeasured runs before them"
    add("--runs", type=positive, default=1, metavar="N", help="number of measured runs")
    add("--warmup", type=whole(0, 10**6), default=0, metavar="N", help=before)
    idle = "measure idle power for S seconds before and after"
    add("--idle", type=_IDLE_S, default=0.0, metavar="S", help=idle)
    add("--hz", type=_HZ, metavar="HZ", help=_RATE_HELP)
    add("--output", metavar="TRACE", help="write the power trace to this CSV file")
    rest = "the command to measure, with its arguments"
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help=rest)
    options = arguments.parse_args(argv)
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        raise UsageError("no command to record", "put it after --")
    result = record(options, _sources(options))
    if options.json:
        print_json(result)
    else:
        say("\n".join(as_lines(result, sys.stdout.encoding)))
    return 0 if all(run["exit_code"] == 0 for run in result["runs"]) else 1


def _integrate(argv: List[str]) -> int:
    from splitwatt.energy.commands.integrate import as_lines, integrate_file

    arguments = _parser("integrate", "splitwatt energy integrate run/power/LC1.cpu.0.csv --json")
    add = arguments.add_argument
    add("trace", metavar="TRACE", help="CSV file with t_s and a column per rail in watts")
    add("--from", dest="start", type=_T_S, metavar="S", help="start of the interval (t_s)")
    add("--to", dest="end", type=_T_S, metavar="S", help="end of the interval (t_s)")
    options = arguments.parse_args(argv)
    result = integrate_file(options.trace, options.target, options.start, options.end)
    if options.json:
        print_json(result)
    else:
        say("\n".join(as_lines(result)))
    refused = [r["refused"] for r in result["rails"].values() if r["refused"]]
    if refused and len(refused) == len(result["rails"]):
        enough = [r["enough_s"] for r in result["rails"].values() if r["enough_s"]]
        remedy = "measure for at least %.3g s" % max(enough) if enough else "measure for longer"
        if all(r["excluded"]["clock"] > r["readings"] for r in result["rails"].values()):
            remedy = "sort its rows by t_s and give every row a time of its own"
        raise SensorError("%s is refused: %s" % (options.trace, refused[0]), remedy)
    return 0


def _serve(argv: List[str]) -> int:
    from splitwatt.energy.endpoint.server import PORT, Endpoint

    arguments = _parser("serve", "splitwatt energy serve --target nano --port 9877")
    add = arguments.add_argument
    port = "listen port (default: %d)" % PORT
    add("--port", type=whole(0, 65535), default=PORT, metavar="N", help=port)
    add("--host", default="", metavar="ADDRESS", help="listen address (default: all interfaces)")
    add("--hz", type=_HZ, metavar="HZ", help=_RATE_HELP)
    add("--procfs", metavar="DIR", default="/proc", help="directory to use instead of /proc")
    add("--seconds", type=seconds, metavar="S", help="stop after S seconds")
    options = arguments.parse_args(argv)
    with Endpoint(
        host=options.host,
        port=options.port,
        procfs=options.procfs,
        hz=options.hz,
        **_sources(options),
    ) as endpoint:
        url = "http://%s:%d/metrics" % (options.host or "localhost", endpoint.port)
        if options.json:
            print_json({"url": url, "hz": endpoint.about["hz"], "target": endpoint.about["target"]})
            sys.stdout.flush()
        note("serving %s (Ctrl-C ends it)" % url)
        end = time.monotonic() + (options.seconds or float("inf"))
        try:
            while time.monotonic() < end and endpoint.alive:
                time.sleep(0.2)
        except KeyboardInterrupt:
            pass  # the usual way to end it
    return 0


_VERBS: Dict[str, Tuple[Callable[[List[str]], int], str]] = {
    "read": (_read, "one reading of every rail"),
    "watch": (_watch, "the rails live, with sparklines"),
    "record": (_record, "the joules of any command"),
    "integrate": (_integrate, "the joules of a recorded trace"),
    "serve": (_serve, "a Prometheus endpoint, compatible with Energon's"),
}
