"""What the tests of exports share."""

from pathlib import Path

import pytest
from PIL import Image

from splitwatt.engines.photos import default_photos
from splitwatt.export import zoo


@pytest.fixture(autouse=True)
def no_models_of_other_tests(monkeypatch):
    """A test's own models leave with it."""
    monkeypatch.setattr(zoo, "_own", {})


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Real photographs: parts of the packaged ones."""
    folder = tmp_path_factory.mktemp("pictures")
    for path in default_photos():
        image = Image.open(path)
        for number, left in enumerate((0, image.width // 4, image.width // 2)):
            part = image.crop((left, 0, left + image.width // 2, image.height))
            part.save(folder / f"{Path(path).stem}-{number}.png")
    return folder
