"""The pictures of the Manager: all there, and small."""

import struct

import pytest

from tests.docs.screenshots import FOLDER, LARGEST, LOOKS, NAMES


def test_there_is_a_picture_of_each_page_in_each_look_and_no_other():
    wanted = {f"{name}-{look}.png" for name in NAMES for look in LOOKS}

    assert {file.name for file in FOLDER.iterdir()} == wanted, "run: make screenshots"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_and_as_wide_as_its_window(name: str, look: str):
    picture = (FOLDER / f"{name}-{look}.png").read_bytes()

    width, height = struct.unpack(">II", picture[16:24])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= LARGEST
    assert width == LOOKS[look][1]
    assert height >= 500
