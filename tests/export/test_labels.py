"""Files of class names, as their authors write them."""

import json

import pytest

from splitwatt.device_configs.errors import UsageError
from splitwatt.export.labels import read_labels


@pytest.mark.parametrize(
    "name, text",
    [
        ("l.txt", "cat\ndog\n"),
        ("l.txt", "\ufeffcat\r\ndog  \r\n\r\n\n"),
        ("l.json", json.dumps(["cat", "dog"])),
        ("l.JSON", json.dumps({"cat": 0, "dog": 1})),
        ("l.json", json.dumps({"1": "dog", "0": "cat"})),
        ("config.json", json.dumps({"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0}})),
        ("bom.json", "\ufeff" + json.dumps(["cat", "dog"])),
        ("idx.json", json.dumps({"class_to_idx": {"dog": 1, "cat": 0}})),
    ],
)
def test_every_usual_form_gives_the_names_by_id(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_labels(str(path)) == ["cat", "dog"]


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("l.txt", b"", "is empty"),
        ("l.txt", b"\n \n", "is empty"),
        ("l.txt", b"cat\n\ndog\n", "line 2 is not a class name"),
        ("l.txt", b"cat\n\x00\n", "line 2 is not a class name"),
        ("l.txt", b"\xff\xfe", "is not UTF-8"),
        ("l.json", b"[]", "is not a list of class names"),
        ("l.json", b'{"1": "dog", "2": "cat"}', "is not a list of class names"),
        ("l.json", b'{"dog": 0, "cat": 0}', "is not a list of class names"),
        ("l.json", b"[", "l.json"),
    ],
)
def test_a_file_without_names_is_one_sentence(tmp_path, name, data, said):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said) as caught:
        read_labels(str(path))
    assert str(path) in caught.value.message


def test_ids_that_do_not_begin_at_0_are_told_so(tmp_path):
    path = tmp_path / "l.json"
    path.write_text('{"1": "dog", "2": "cat"}')
    with pytest.raises(UsageError) as caught:
        read_labels(str(path))
    assert "ids are 0, 1, 2" in caught.value.remedy
