import json
import random
import time

import pytest

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.profiler.analyse.conditions import network_notes
from splitwatt.profiler.analyse.times import downlink_s, end_to_end_s, uplink_delay, uplink_s
from splitwatt.profiler.analyse.waterfall import jumps, offset_at, waterfall
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.execute.block.survey import Survey
from splitwatt.profiler.links.link import Link, framed_bytes
from splitwatt.profiler.links.parse import PRESETS, parse_link, parse_links
from splitwatt.profiler.links.simulated import delay
from splitwatt.profiler.records.blocks import ClockEstimate
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import CLOCK_FILE, read_records
from splitwatt.profiler.records.sample import Request, Sample

CONFIG = {"format": 1, "name": "a", "inferences": 1, "configurations": {"A": {"split": ["m@1"]}}}


def sample(inference=0, server_at=None, sent=None):
    request = Request("m@1", 10000, 10300, 2000, None, 1, sent, None, server_at, None)
    stages = {
        "decode": 0.1, "all.encoder": 0.2, "all.server.body": 0.4, "all.network": 0.3,
        "all.answer": 0.05,
    }  # fmt: skip
    return Sample(
        "A", "a.jpg", 0, inference, "cpu", "A.cpu.0", False, "ok", None, None, 1.05, stages,
        10000, 10300, 2000, [request], None, None, 5.0,
    )  # fmt: skip


def test_links_as_people_write_them():
    link = parse_link("shaped:250kbit")
    assert (link.kind, link.rate_kbit_s, link.downlink_kbit_s) == ("shaped", 250.0, None)
    assert link.name == "250 kbit/s" and link.measured and link.source == "--link shaped:250kbit"
    assert parse_link("shaped:100kbit").source == "Ladon, section 5.1"
    assert parse_link("simulated:12 Mbit/s").rate_kbit_s == 12000.0
    assert parse_link("simulated:1500bit").rate_kbit_s == 1.5
    assert parse_link("shaped:1mbit/100kbit").downlink_kbit_s == 100.0
    assert parse_link("shaped:lora/5g,via=user").downlink_kbit_s == 66900.0
    assert parse_link("LoRa") == parse_link("simulated:lora")
    assert parse_link("none").measured and parse_link("none").rate_kbit_s == 0.0
    link = parse_link("simulated:4g,latency=20ms,jitter=0.005s,loss=1%,bytes=wire,seed=7")
    assert (link.latency_ms, link.jitter_ms, link.loss) == (20.0, 5.0, 0.01)
    assert (link.bytes, link.seed) == ("wire", 7)
    rates = {name: preset.rate_kbit_s for name, preset in PRESETS.items()}
    assert rates == {
        "lora": 37.5, "100kbit": 100.0, "ble": 270.0, "4g": 12e3, "wifi": 54e3, "5g": 66900.0,
    }  # fmt: skip
    assert all(preset.source for preset in PRESETS.values())


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("shapd:100kbit", "did you mean shaped"),
        ("shaped", "'rate_kbit_s' is missing"),
        ("shaped:", "'rate_kbit_s' is missing"),
        ("shaped:100", "'100' is neither a rate"),
        ("shaped:0kbit", "not between"),
        ("shaped:lara", "did you mean lora"),
        ("none:100kbit", "is not a key of links of the kind none"),
        ("shaped:100kbit,loss=1%", "a key of simulated links"),
        ("simulated:lora,via=user", "a key of shaped links"),
        ("simulated:lora,loss=80%", "from 0 to 50%"),
        ("simulated:lora,loss=nan", "from 0 to 50%"),
        ("simulated:lora,jitter=5ms", "larger than the latency"),
        ("simulated:lora,los=1%", "did you mean loss"),
        ("simulated:lora,latency=fast", "is not a value of latency"),
        ("simulated:lora,loss=1%,loss=2%", "'loss' is given twice"),
    ],
)
def test_wrong_links_are_told(text, sentence):
    with pytest.raises(UsageError) as error:
        parse_link(text)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_shaped_link_is_a_runs_only_one():
    assert len(parse_links(["lora", "100kbit", "none"])) == 3
    for texts in (["shaped:lora", "100kbit"], ["shaped:lora", "none"], ["lora", "lora"]):
        with pytest.raises(UsageError):
            parse_links(texts)
    links = [{"kind": "shaped", "preset": "lora"}, {"kind": "simulated", "preset": "ble"}]
    with pytest.raises(ConfigError) as error:
        from_document(dict(CONFIG, links=links), "c.yaml")
    assert "c.yaml: " in str(error.value) and "must be the run's only link" in str(error.value)


def test_links_of_a_config_survive_being_written():
    for rows in (
        [{"kind": "simulated", "preset": "lora", "loss": 0.01, "latency_ms": 3}],
        [{"kind": "shaped", "rate_kbit_s": 100, "downlink_kbit_s": 50, "via": "kernel"}],
        [{"kind": "none"}],
    ):
        config = from_document(dict(CONFIG, links=rows), "c.yaml")
        again = from_document(json.loads(json.dumps(config.to_json())), "run.json")
        assert again == config
    for row in (
        {"kind": "shaped", "preset": "lora", "bytes": "wire"},
        {"kind": "none", "rate_kbit_s": 3},
        {"kind": "simulated", "preset": "wlan"},
        {"kind": "simulated"},
    ):
        with pytest.raises(ConfigError) as error:
            from_document(dict(CONFIG, links=[row]), "c.yaml")
        assert "links[0]" in str(error.value)


def test_a_plain_simulated_link_is_the_papers():
    one = sample()
    assert uplink_s(one, parse_link("100kbit")) == pytest.approx(0.8)
    wire = parse_link("simulated:100kbit,bytes=wire")
    assert uplink_s(one, wire) == pytest.approx(8 * (10300 + 8 * 66) / 100e3)
    assert downlink_s(one, wire) == 0.0
    assert end_to_end_s(one, parse_link("100kbit")) == pytest.approx(1.85)
    slow_back = parse_link("simulated:100kbit/50kbit")
    assert end_to_end_s(one, slow_back) == pytest.approx(1.85 + 8 * 2000 / 50e3)


def test_latency_jitter_and_loss():
    one = sample()
    late = parse_link("simulated:100kbit,latency=20ms")
    assert uplink_delay(one, late) == pytest.approx((0.8, 0.02, 0.0))
    assert end_to_end_s(one, late) == pytest.approx(1.85 + 0.04)
    odd = parse_link("simulated:100kbit,latency=20ms,jitter=20ms,loss=5%")
    times = [uplink_delay(sample(k), odd) for k in range(2000)]
    assert times == [uplink_delay(sample(k), odd) for k in range(2000)]
    jitter = [t.latency_s for t in times]
    assert 0.0 <= min(jitter) < 0.001 and 0.039 < max(jitter) <= 0.04
    assert sum(jitter) / 2000 == pytest.approx(0.02, rel=0.05)
    # 8 segments, each sent 1 / (1 - p) times; a second time costs a round trip and itself.
    again = 8 * (1 / 0.95 - 1) * (0.04 + 8 * 1514 / 100e3)
    assert sum(t.loss_s for t in times) / 2000 == pytest.approx(again, rel=0.1)
    other = odd._replace(seed=1)
    assert [uplink_delay(sample(k), other) for k in range(9)] != times[:9]


def test_delays_do_not_fall_with_what_is_worse():
    dice = random.Random(3)
    for _ in range(200):
        size = dice.randint(1, 50000)
        rate = dice.uniform(1.0, 1e5)
        link = Link("a", "simulated", rate, "wire", "", None, 5.0, 0.0, 0.1)
        worse = link._replace(latency_ms=6.0)
        found = delay(link, rate, [size], [size + 300], "x")
        assert found.bytes_s == pytest.approx(8e-3 * framed_bytes(size + 300) / rate)
        assert delay(worse, rate, [size], [size + 300], "x").total_s > found.total_s
        assert delay(link, rate, [size + 2000], [size + 2300], "x").bytes_s > found.bytes_s


def test_a_measured_link_is_in_the_sample_itself():
    for text in ("shaped:100kbit", "none"):
        link = parse_link(text)
        assert end_to_end_s(sample(), link) == 1.05 and uplink_s(sample(), link) is None


def estimate(at, offset, sure=0.001, wall=None, block="A.cpu.0"):
    wall = 1000.0 + at if wall is None else wall
    return ClockEstimate(block, "during", at, offset, sure, 8, wall, None)


def test_clocks_that_jump_are_told():
    assert jumps([estimate(0, 7.0), estimate(100, 7.01), estimate(200, 7.02)]) == []
    (told,) = jumps([estimate(0, 7.0), estimate(100, 7.5)])
    assert "the server's clock jumped between A.cpu.0 (during)" in told
    (told,) = jumps([estimate(0, 7.0), estimate(100, 7.0, wall=5000.0)])
    assert "wall clock was set" in told
    (told,) = jumps([estimate(500, 7.0), estimate(1, 506.0)])
    assert "started again" in told
    gone = estimate(50, None)._replace(uncertainty_s=None, why_not="gone")
    assert jumps([estimate(0, 7.0), gone, estimate(100, 7.0)]) == []
    (told,) = jumps([estimate(0, 7.0), gone, gone, estimate(100, 9.0)])  # it was started again
    assert "the server's clock jumped between A.cpu.0" in told


def test_a_block_without_a_server_keeps_its_own_clocks(tmp_path, monkeypatch):
    survey = Survey(RunFolder(str(tmp_path)), "LC1.cpu.0", None, False, 2)
    survey.take("before")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 100.0)
    survey.take("after")
    rows = read_records(str(tmp_path), CLOCK_FILE, ClockEstimate)
    assert [(r.when, r.offset_s, r.session) for r in rows] == [
        ("before", None, 2),
        ("after", None, 2),
    ]
    run = {"server": None, "versions": {"splitwatt": "0.1.0"}}
    (told,) = network_notes(run, from_document(CONFIG, "c.yaml"), rows, [])
    assert "the board's wall clock was set" in told


def test_only_a_server_of_ours_can_be_of_another_version():
    run = {"server": {"name": "triton", "version": "2.54"}, "versions": {"splitwatt": "0.1.0"}}
    config = from_document(CONFIG, "c.yaml")
    assert network_notes(run, config, [], []) == []
    ours = {"name": "splitwatt", "version": "0.0.9"}
    told = ["the server is splitwatt 0.0.9 and the board 0.1.0"]
    assert network_notes(dict(run, server=ours), config, [], []) == told
    later = dict(run, resumed=[{"server": ours, "versions": run["versions"]}])
    assert network_notes(later, config, [], []) == told


def test_an_estimate_is_used_only_where_the_clock_ran_on():
    few = [estimate(0, 7.0, 0.002), estimate(100, 7.0, 0.001), estimate(200, 9.0)]
    assert offset_at(few, 50).uncertainty_s == 0.001
    assert offset_at(few, 150) is None and offset_at(few, 300).offset_s == 9.0
    assert offset_at([], 1) is None and offset_at(few, 50, "B.cpu.0") is None
    later = estimate(60, 99.0)._replace(session=1)  # after a reboot
    assert offset_at([few[0]._replace(session=0), later], 61, session=0).offset_s == 7.0


def test_a_waterfall_puts_the_server_between_the_two_ways():
    # Sent at 5.3; there, by the server's clock, at 105.4: on ours, 0.1 s later.
    one = sample(server_at=105.4, sent=5.3)
    bars = waterfall(one, [estimate(0, 100.0, 0.003)])
    assert [b.stage for b in bars] == [
        "decode", "all.encoder", "all.uplink", "all.server.body", "all.downlink", "all.answer",
    ]  # fmt: skip
    assert [b.seconds for b in bars] == pytest.approx([0.1, 0.2, 0.1, 0.4, 0.2, 0.05])
    assert [b.start_s for b in bars] == pytest.approx([0.0, 0.1, 0.3, 0.4, 0.8, 1.0])
    assert [b.uncertainty_s for b in bars] == [0.0, 0.0, 0.0, 0.003, 0.003, 0.0]
    halves = waterfall(one, [])
    assert halves[2].seconds == halves[4].seconds == pytest.approx(0.15)
    assert halves[3].uncertainty_s is None
    assert waterfall(one._replace(status="failed"), []) == []
