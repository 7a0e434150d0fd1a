import pytest

from epbell_models import devicetree


@pytest.fixture
def dts(tmp_path):
    """Return a tree like the shipped one with some text replaced."""

    def edited(*replacements: tuple[str, str]) -> devicetree.DeviceTree:
        text = devicetree.builtin().read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "edited.dts"
        path.write_text(text, encoding="utf-8")
        return devicetree.load(path)

    return edited
