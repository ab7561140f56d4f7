"""QR codes read by zbar, which is not the library that draws them (Debian: libzbar0)."""

import ctypes
import ctypes.util
import os

import numpy as np
import pytest
from numpy.typing import NDArray

_QR = 64
_Y800 = int.from_bytes(b"Y800", "little")


def read_qr(picture: NDArray[np.uint8]) -> str:
    """The text of the one code in a grey picture (rows, columns). Skips where zbar is not installed."""
    name = ctypes.util.find_library("zbar")
    if name is None:
        required = os.environ.get("VED_REQUIRE_SERVICES")
        (pytest.fail if required else pytest.skip)("zbar is not installed (Debian: apt install libzbar0)")
    zbar = ctypes.CDLL(name)
    pointer = ctypes.c_void_p
    for function, result, arguments in (
        ("zbar_image_scanner_create", pointer, ()),
        ("zbar_image_create", pointer, ()),
        ("zbar_image_set_format", None, (pointer, ctypes.c_ulong)),
        ("zbar_image_set_size", None, (pointer, ctypes.c_uint, ctypes.c_uint)),
        ("zbar_image_set_data", None, (pointer, ctypes.c_char_p, ctypes.c_ulong, pointer)),
        ("zbar_scan_image", ctypes.c_int, (pointer, pointer)),
        ("zbar_image_first_symbol", pointer, (pointer,)),
        ("zbar_symbol_get_type", ctypes.c_int, (pointer,)),
        ("zbar_symbol_get_data", ctypes.c_char_p, (pointer,)),
        ("zbar_image_destroy", None, (pointer,)),
        ("zbar_image_scanner_destroy", None, (pointer,)),
    ):
        getattr(zbar, function).restype = result
        getattr(zbar, function).argtypes = arguments
    data = np.ascontiguousarray(picture, np.uint8).tobytes()
    scanner, image = zbar.zbar_image_scanner_create(), zbar.zbar_image_create()
    try:
        zbar.zbar_image_set_format(image, _Y800)
        zbar.zbar_image_set_size(image, picture.shape[1], picture.shape[0])
        zbar.zbar_image_set_data(image, data, len(data), None)
        assert zbar.zbar_scan_image(scanner, image) == 1, "one code is in the picture"
        symbol = zbar.zbar_image_first_symbol(image)
        assert zbar.zbar_symbol_get_type(symbol) == _QR
        return zbar.zbar_symbol_get_data(symbol).decode()
    finally:
        zbar.zbar_image_destroy(image)
        zbar.zbar_image_scanner_destroy(scanner)


def from_terminal(text: str) -> NDArray[np.uint8]:
    """The picture that half blocks draw in a terminal: light on dark, as a camera sees it, 6 pixels a module."""
    rows = [line for line in text.splitlines() if line.strip() and set(line) <= set(" ▀▄█")]
    width = max(len(row) for row in rows)
    upper = [[one in "▀█" for one in row.ljust(width)] for row in rows]
    lower = [[one in "▄█" for one in row.ljust(width)] for row in rows]
    lit = np.stack([np.array(upper), np.array(lower)], axis=1).reshape(2 * len(rows), width)
    return np.kron(np.where(lit, 255, 0).astype(np.uint8), np.ones((6, 6), np.uint8))
