"""Links by name: rates of the papers, with where each is stated."""

from typing import Dict, NamedTuple

_LADON = "Ladon, section 5.1"
_FRANKENSPLIT = "FrankenSplit, table 7"


class Preset(NamedTuple):
    """A rate with a name.

    Attributes:
        name: as reports print it.
        rate_kbit_s: of the uplink, in 1000 bits a second.
        source: where it is stated.
    """

    name: str
    rate_kbit_s: float
    source: str


PRESETS: Dict[str, Preset] = {
    "lora": Preset("LoRa 37.5 kbit/s", 37.5, "Ladon, section 5.1 and supplement B"),
    "100kbit": Preset("100 kbit/s", 100.0, _LADON),
    "ble": Preset("BLE 0.27 Mbit/s", 270.0, _FRANKENSPLIT),
    "4g": Preset("4G 12 Mbit/s", 12000.0, _FRANKENSPLIT),
    "wifi": Preset("Wi-Fi 54 Mbit/s", 54000.0, _FRANKENSPLIT),
    "5g": Preset("5G 66.9 Mbit/s", 66900.0, _FRANKENSPLIT),
}
