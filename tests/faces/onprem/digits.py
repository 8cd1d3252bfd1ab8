"""Digits that ``str.isdigit`` takes for digits and a PIN must not."""


def full_width(text: str) -> str:
    return text.translate({ord("0") + n: 0xFF10 + n for n in range(10)})


def arabic_indic(text: str) -> str:
    return text.translate({ord("0") + n: 0x0660 + n for n in range(10)})
