"""UDP sockets on one address, one for each worker, among which the kernel shares out what comes (socket(7))."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

from engine.steering.program import steering_program
from sipstack.aio.udp import bind_udp

_SO_ATTACH_REUSEPORT_CBPF: Final = 51  # asm-generic/socket.h; Python has no name for it
_PROGRAM: Final = struct.Struct("@HP")  # sock_fprog of linux/filter.h: instructions, where they are
_INSTRUCTION_BYTES: Final = 8


def bind_group(host: str, port: int, dscp: int, workers: int) -> list[socket.socket]:
    """The sockets in the order of the workers, which is their order in the group. Raises OSError, and leaves none.

    The first one is bound without sharing: where anybody has the address already, another node too, it cannot be had.
    """
    bound = [bind_udp(host, port, dscp)]
    if workers == 1:
        return bound
    try:
        bound[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(1, workers):
            bound.append(bind_udp(host, bound[0].getsockname()[1], dscp, shares=True))
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


def steer(bound: list[socket.socket], via_start: str) -> None:
    """From now on each datagram goes to the socket of its owner, as far as the kernel can tell.

    Raises OSError where there is no such option: the kernel then goes by the addresses of the datagram.
    """
    program = steering_program(len(bound), via_start)
    held = ctypes.create_string_buffer(program, len(program))  # until the kernel has copied it
    told = _PROGRAM.pack(len(program) // _INSTRUCTION_BYTES, ctypes.addressof(held))
    bound[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, told)
