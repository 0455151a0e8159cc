"""The page map: which frame each mapped page has. A hash table with open addressing and linear probing."""

import numpy as np

from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import EMPTY, INVALID, PageMap

_VPN_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 / golden ratio: Fibonacci hashing (Knuth, TAOCP 3, 6.4)
_KEY_FACTOR = np.uint64(0xC2B2_AE3D_27D4_EB4F)
_HALF = np.uint64(32)


@inlined
def _first_place(pages: PageMap, key: np.uint64, vpn: np.uint64) -> int:
    return signed(((vpn * _VPN_FACTOR ^ key * _KEY_FACTOR) >> _HALF) & np.uint64(len(pages.frame) - 1))


@kernel
def find_page(pages: PageMap, key: np.uint64, vpn: np.uint64) -> int:
    """Frame slot of page (key, vpn), INVALID if it is not mapped."""
    place = _first_place(pages, key, vpn)
    while pages.frame[place] != INVALID:
        if pages.vpn[place] == vpn and pages.key[place] == key:
            return signed(pages.frame[place])
        place = (place + 1) & (len(pages.frame) - 1)
    return INVALID


@kernel
def insert_page(pages: PageMap, key: np.uint64, vpn: np.uint64, frame: int) -> None:
    """Map page (key, vpn), which is not mapped yet. The caller keeps the table at most half full."""
    place = _first_place(pages, key, vpn)
    while pages.frame[place] != INVALID:
        place = (place + 1) & (len(pages.frame) - 1)
    pages.key[place] = key
    pages.vpn[place] = vpn
    pages.frame[place] = frame


@kernel
def remove_page(pages: PageMap, key: np.uint64, vpn: np.uint64) -> None:
    """Unmap page (key, vpn), which is mapped. Later entries of the probe run move up, so no grave marks remain."""
    last = len(pages.frame) - 1
    hole = _first_place(pages, key, vpn)
    while pages.vpn[hole] != vpn or pages.key[hole] != key or pages.frame[hole] == INVALID:
        hole = (hole + 1) & last
    place = (hole + 1) & last
    while pages.frame[place] != INVALID:
        home = _first_place(pages, pages.key[place], pages.vpn[place])
        if ((place - home) & last) >= ((place - hole) & last):
            pages.key[hole] = pages.key[place]
            pages.vpn[hole] = pages.vpn[place]
            pages.frame[hole] = pages.frame[place]
            hole = place
        place = (place + 1) & last
    pages.key[hole] = EMPTY
    pages.vpn[hole] = EMPTY
    pages.frame[hole] = INVALID


@kernel
def change_frame(pages: PageMap, key: np.uint64, vpn: np.uint64, frame: int) -> None:
    """Give page (key, vpn), which is mapped, another frame."""
    place = _first_place(pages, key, vpn)
    while pages.vpn[place] != vpn or pages.key[place] != key or pages.frame[place] == INVALID:
        place = (place + 1) & (len(pages.frame) - 1)
    pages.frame[place] = frame


@kernel
def insert_all(source: PageMap, target: PageMap) -> None:
    """Copy every mapping of one table into another, which has room."""
    for place in range(len(source.frame)):
        if source.frame[place] != INVALID:
            insert_page(target, source.key[place], source.vpn[place], source.frame[place])
