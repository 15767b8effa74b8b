"""Clocks, temperatures, throttling and GPU memory, from trees that stand for a board's."""

import os
import shutil
import subprocess
import time

import pytest

from splitwatt.profiler.board.gpu import GpuMemory, Used, cuda_init_s
from splitwatt.profiler.board.memory import BoardMeter
from splitwatt.profiler.board.probe import BoardProbe

# A Jetson Orin's and a Nano's files, as their kernels' drivers name them.
JETSON = {
    "firmware/devicetree/base/model": "NVIDIA Jetson Nano Developer Kit",
    "class/thermal/thermal_zone0/type": "CPU-therm",
    "class/thermal/thermal_zone0/temp": "41500",
    "class/thermal/thermal_zone1/type": "GPU-therm",
    "class/thermal/thermal_zone1/temp": "39000",
    "class/thermal/cooling_device0/type": "pwm-fan",
    "class/thermal/cooling_device0/cur_state": "2",
    "class/thermal/cooling_device1/type": "thermal-cpufreq-0",
    "class/thermal/cooling_device1/cur_state": "0",
    "devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1479000",
    "class/devfreq/57000000.gpu/cur_freq": "921600000",
    "class/hwmon/hwmon0/name": "ina3221",
    "class/hwmon/hwmon3/name": "soctherm_oc",
    "class/hwmon/hwmon3/oc1_event_cnt": "3",
    "class/hwmon/hwmon3/oc2_event_cnt": "0",
    "class/hwmon/hwmon3/oc3_event_cnt": "17",
}


@pytest.fixture
def board(tmp_path):
    for name, text in JETSON.items():
        write(tmp_path, name, text)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kmsg").write_text("6,1,0;soctherm: OC ALARM 0x00000001\n")
    return tmp_path


def write(board, name, text):
    path = board / "sys" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def probe(board):
    return BoardProbe(str(board / "sys"), budget_s=1.0)


def test_a_board_at_rest(board):
    with probe(board) as probe_:
        reading = probe_.read()
        assert reading.values == {
            "cooling 1 thermal-cpufreq-0": 0.0, "cpu0_khz": 1479000.0, "gpu_hz": 921600000.0,
            "CPU-therm_c": 41.5, "GPU-therm_c": 39.0,
        }  # fmt: skip
        # Events before the run, a line said before it, and a fan that turns are no throttling.
        assert reading.throttled is False and reading.by is None and not probe_.hot()


def test_each_sign_of_throttling(board):
    with probe(board) as probe_:
        write(board, "class/hwmon/hwmon3/oc1_event_cnt", "4")
        assert probe_.read().by == "OC1 event (under-voltage)"
        assert probe_.read().throttled is False  # it was one event
        write(board, "class/thermal/cooling_device1/cur_state", "3")
        reading = probe_.read()
        assert reading.throttled and reading.by == "cooling 1 thermal-cpufreq-0" and probe_.hot()
        assert probe_.read().throttled  # as long as it lasts
        write(board, "class/thermal/cooling_device1/cur_state", "0")
        with open(str(board / "dev" / "kmsg"), "a") as stream:
            stream.write("4,2,9;soctherm: OC ALARM 0x00000001\n")
        assert "kernel log" in probe_.read().by
        assert probe_.read().throttled is False


def test_what_an_x86_counts(tmp_path):
    name = "devices/system/cpu/cpu1/thermal_throttle/core_throttle_count"
    write(tmp_path, name, "7")
    with probe(tmp_path) as probe_:
        assert probe_.read().throttled is False
        write(tmp_path, name, "9")
        reading = probe_.read()
        assert reading.by == "cpu1 core_throttle" and reading.values is None


def test_a_machine_that_tells_nothing(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kmsg").write_text("")
    with probe(tmp_path) as probe_:
        assert probe_.read() == (None, None, None) and not probe_.hot()


def test_zones_of_one_type_are_told_apart(tmp_path):
    for n in range(2):
        write(tmp_path, "class/thermal/thermal_zone%d/type" % n, "acpitz")
        write(tmp_path, "class/thermal/thermal_zone%d/temp" % n, "%d000" % (20 + n))
    with probe(tmp_path) as probe_:
        assert probe_.read().values == {"acpitz_c": 20.0, "thermal_zone1_acpitz_c": 21.0}


def test_a_sensor_that_goes_and_comes(board):
    with probe(board) as probe_:
        zone = board / "sys/class/thermal/thermal_zone0/temp"
        zone.write_text("")
        assert "CPU-therm_c" not in probe_.read().values
        zone.write_text("50000\n")
        assert probe_.read().values["CPU-therm_c"] == 50.0


def test_many_files_cost_no_more_than_the_budget(board):
    for n in range(400):
        write(board, "class/thermal/thermal_zone%d/type" % (n + 2), "zone%d" % n)
        write(board, "class/thermal/thermal_zone%d/temp" % (n + 2), "%d" % (1000 * n))
    with BoardProbe(str(board / "sys"), budget_s=1e-4) as probe_:
        times = []
        for _ in range(60):
            start = time.perf_counter()
            reading = probe_.read()
            times.append(time.perf_counter() - start)
        assert sorted(times)[30] < 1e-3  # 404 files in one go take longer
        assert reading.values["zone399_c"] == 399.0  # the last known
        write(board, "class/hwmon/hwmon3/oc3_event_cnt", "18")
        signs = [probe_.read().by for _ in range(400)]
        assert signs.count("OC3 event (instantaneous over-current)") == 1


MEMINFO = "MemTotal:  4000000 kB\nMemAvailable: 1000000 kB\nNvMapMemUsed: %d kB\n"


def test_a_jetsons_shared_memory(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO % 300000)
    for_all = GpuMemory(str(meminfo), "libnothing.so")
    assert for_all.read(77) == Used(300000 * 1024, None)
    assert for_all.source == "NvMapMemUsed of %s" % meminfo


def test_no_gpu_no_figure(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    none = GpuMemory(str(tmp_path / "meminfo"), "libnothing.so")
    assert none.source is None and none.read(1) == Used(None, None)
    assert cuda_init_s("cpu") is None
    assert cuda_init_s("cuda", "libnothing.so") is None


NVML = """
typedef unsigned int u32; typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory;
typedef struct { u32 pid; u64 used; u32 gpu, compute; } process;
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(u32 *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, void **d) { *d = (void *)(u64)(i + 1); return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, u64 *r) {
  static int calls = 0; *r = 4 | (calls++ >= 2 ? 0x40 : 0); return 0;  /* a cap; later heat */
}
int nvmlDeviceGetClockInfo(void *d, int which, u32 *mhz) { *mhz = 1530; return 0; }
int nvmlDeviceGetTemperature(void *d, int where, u32 *c) { return 3; }  /* not supported */
int nvmlDeviceGetMemoryInfo(void *d, memory *m) { m->used = 5000; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, u32 *n, process *p) {
  *n = 2; p[0].pid = 7; p[0].used = 1500; p[1].pid = 8; p[1].used = ~0ull; return 0;
}
"""
CUDA = """
int cuInit(unsigned f) { return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = c; return 0; }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_calls_of_nvidias_libraries(tmp_path):
    libraries = {}
    for name, source in (("nvml", NVML), ("cuda", CUDA)):
        (tmp_path / (name + ".c")).write_text(source)
        libraries[name] = str(tmp_path / ("lib%s.so" % name))
        subprocess.check_call(
            ["gcc", "-shared", "-fPIC", "-o", libraries[name], str(tmp_path / (name + ".c"))]
        )
    gpu = GpuMemory(library=libraries["nvml"])
    assert gpu.source == "NVML"
    assert gpu.read(7) == Used(5000, 1500)
    assert gpu.read(8) == Used(5000, None)  # the driver does not tell
    assert gpu.read(9) == Used(5000, None)  # not listed, as in a container: not 0
    gpu.close()
    assert 0 <= cuda_init_s("tensorrt", libraries["cuda"]) < 1


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_a_gpu_that_its_driver_slows_down(tmp_path):
    (tmp_path / "nvml.c").write_text(NVML)
    library = str(tmp_path / "libnvml.so")
    subprocess.check_call(["gcc", "-shared", "-fPIC", "-o", library, str(tmp_path / "nvml.c")])
    with BoardProbe(str(tmp_path), budget_s=1.0, library=library) as probe_:
        reading = probe_.read()  # the third and fourth call: two when opened
        assert reading.values["gpu0_hz"] == 1.53e9 and "gpu0_c" not in reading.values
        assert reading.throttled and reading.by == "gpu0 slowed down by heat"


def test_the_meter_keeps_the_peaks_of_a_process_that_is_gone(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO % 100)
    gpu = GpuMemory(str(tmp_path / "meminfo"), "libnothing.so")
    with BoardMeter(str(tmp_path / "meminfo"), 0.01, gpu) as meter:
        meter.watch(os.getpid())
        time.sleep(0.1)
        (tmp_path / "meminfo").write_text(MEMINFO % 900)
        time.sleep(0.1)
        meter.watch(2**22 + 1)  # no such process
        (tmp_path / "meminfo").write_text(MEMINFO % 200)
        time.sleep(0.1)
    assert meter.peak_bytes == 3000000 * 1024
    assert meter.process_peak_bytes > 1 << 20
    assert (meter.gpu_peak_bytes, meter.gpu_process_peak_bytes) == (900 * 1024, None)
