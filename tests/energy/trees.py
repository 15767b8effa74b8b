"""Builds trees of files that look like the /sys of a board: rails, labels, units, decoys.

What the files are called and what they hold follows NVIDIA's and the kernel's documents (see the
targets' YAML). Values are (millivolts, milliamperes) per rail; a decoy is what must not be read.
"""

import os

# target, generation -> [(bus-address, [label of channel 1, 2, 3])]
BOARDS = {
    ("nano", "iio"): [("6-0040", ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"])],
    ("tx2", "iio"): [
        ("0-0040", ["VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI"]),
        ("0-0041", ["VDD_IN", "VDD_SYS_CPU", "VDD_SYS_DDR"]),
    ],
    ("xavier_nx", "iio"): [("7-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])],
    ("xavier_nx", "hwmon"): [("7-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])],
    ("agx_xavier", "hwmon"): [
        ("1-0040", ["GPU", "CPU", "SOC"]),
        ("1-0041", ["CV", "VDDRQ", "SYS5V"]),
    ],
    ("orin_nano", "hwmon"): [("1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])],
    ("agx_orin", "hwmon"): [
        ("1-0040", ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]),
        ("1-0041", ["NC", "VDDQ_VDD2_1V8AO", "NC"]),
    ],
}
MODELS = {
    "nano": "NVIDIA Jetson Nano Developer Kit",
    "tx2": "NVIDIA Jetson TX2 Developer Kit",
    "xavier_nx": "NVIDIA Jetson Xavier NX Developer Kit",
    "agx_xavier": "NVIDIA Jetson AGX Xavier Developer Kit",
    "orin_nano": "NVIDIA Jetson Orin Nano Developer Kit",
    "agx_orin": "NVIDIA Jetson AGX Orin Developer Kit",
}
# (millivolts, milliamperes) of the n-th rail of a board, all different.
ELECTRICITY = [(5000, 800), (4960, 120), (4990, 308), (5120, 64), (4800, 250), (5040, 96)]


def write(path, text):
    """A file with its folders."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    with open(path, "w") as stream:
        stream.write("%s\n" % text)


def build(root, target, generation, model=True):
    """A board's tree under `root`; returns {label: watts} of its rails."""
    watts = {}
    index = 0
    for number, (chip, labels) in enumerate(BOARDS[target, generation]):
        for channel, label in enumerate(labels):
            millivolts, milliamperes = ELECTRICITY[index % len(ELECTRICITY)]
            if generation == "iio":
                _iio(root, chip, number, channel, label, millivolts, milliamperes)
            else:
                _hwmon(root, chip, number, channel + 1, label, millivolts, milliamperes)
            if label != "NC":
                microwatts = millivolts * milliamperes
                # The iio driver gives whole milliwatts.
                watts[label] = microwatts // 1000 / 1e3 if generation == "iio" else microwatts / 1e6
            index += 1
        name = "ina3221x" if generation == "iio" else "ina3221"
        write(os.path.join(root, "bus/i2c/drivers", name, chip, "name"), name)
        devices = os.path.join(root, "bus/i2c/devices")
        if not os.path.isdir(devices):
            os.makedirs(devices)
        os.symlink(os.path.join("../drivers", name, chip), os.path.join(devices, chip))
    if model:
        write(os.path.join(root, "firmware/devicetree/base/model"), MODELS[target] + "\0")
    return watts


def _iio(root, chip, number, channel, label, millivolts, milliamperes):
    folder = os.path.join(root, "bus/i2c/drivers/ina3221x", chip, "iio:device%d" % number)
    write(os.path.join(folder, "rail_name_%d" % channel), label)
    write(os.path.join(folder, "in_voltage%d_input" % channel), millivolts)
    write(os.path.join(folder, "in_current%d_input" % channel), milliamperes)
    write(os.path.join(folder, "in_power%d_input" % channel), millivolts * milliamperes // 1000)


def hwmon_folder(root, chip="7-0040", number=0):
    """Where a chip's files lie."""
    return os.path.join(root, "bus/i2c/drivers/ina3221", chip, "hwmon", "hwmon%d" % (3 + number))


def _hwmon(root, chip, number, channel, label, millivolts, milliamperes):
    folder = hwmon_folder(root, chip, number)
    write(os.path.join(folder, "in%d_label" % channel), label)
    write(os.path.join(folder, "in%d_input" % channel), millivolts)
    write(os.path.join(folder, "curr%d_input" % channel), milliamperes)
    # Decoys: shunt voltages in microvolts, and their sum.
    write(os.path.join(folder, "in%d_input" % (channel + 3)), 4000 + channel)
    write(os.path.join(folder, "in7_label"), "sum of shunt voltages")
    write(os.path.join(folder, "in7_input"), 12345)
    write(os.path.join(folder, "curr4_input"), 9999)


def rapl_zone(root, zone, name, microjoules, most=262143328850):
    """One RAPL zone, e.g. `intel-rapl:0`."""
    folder = os.path.join(root, "class/powercap", zone)
    write(os.path.join(folder, "name"), name)
    write(os.path.join(folder, "energy_uj"), microjoules)
    write(os.path.join(folder, "max_energy_range_uj"), most)
    return os.path.join(folder, "energy_uj")


def build_laptop(root, psys=True):
    """A laptop's RAPL: package, core, uncore, psys, and the mmio copy that must be left alone."""
    write(os.path.join(root, "class/powercap/intel-rapl/enabled"), 1)
    paths = {
        "package-0": rapl_zone(root, "intel-rapl:0", "package-0", 1000000),
        "core": rapl_zone(root, "intel-rapl:0:0", "core", 500000),
        "uncore": rapl_zone(root, "intel-rapl:0:1", "uncore", 10000),
    }
    if psys:
        paths["psys"] = rapl_zone(root, "intel-rapl:1", "psys", 3000000)
    rapl_zone(root, "intel-rapl-mmio:0", "package-0", 777)
    return paths
