"""Small XDP programs, by bpf(2) and without a compiler: to drop, and to send bare frames.

A frame that a program redirects to a veth has no socket buffer, as one that comes from a network
card. One that a socket sends has, and hides what XDP saves.
"""

import ctypes
import os
import socket
import struct
from dataclasses import dataclass

from .machine import MeasureError

# System call numbers of bpf.
SYS_BPF = {"x86_64": 321, "aarch64": 280}
# <linux/bpf.h>: commands, kinds, flags.
PROG_LOAD, PROG_TEST_RUN, LINK_CREATE = 5, 10, 28
PROG_TYPE_XDP, ATTACH_XDP = 6, 37
TEST_XDP_LIVE_FRAMES = 1 << 1
XDP_FLAGS_DRV_MODE = 1 << 2
KTIME_GET_NS, REDIRECT = 5, 23
XDP_DROP, XDP_PASS = 1, 2
ATTRIBUTE_BYTES = 120

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attribute: bytes) -> tuple[int, bytes]:
    """The call's result, and what it wrote into the attribute."""
    buffer = ctypes.create_string_buffer(attribute.ljust(ATTRIBUTE_BYTES, b"\0"), ATTRIBUTE_BYTES)
    result = libc.syscall(SYS_BPF[os.uname().machine], command, buffer, ATTRIBUTE_BYTES)
    if result < 0:
        raise MeasureError(f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result, buffer.raw


def instruction(
    code: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | destination, offset, immediate)


def set_register(register: int, value: int) -> bytes:
    return instruction(0xB7, register, immediate=value)


def call(helper: int) -> bytes:
    return instruction(0x85, immediate=helper)


EXIT = instruction(0x95)
DROP = [set_register(0, XDP_DROP), EXIT]


def dropping_from(address: str) -> list[bytes]:
    """Drops each frame of IPv4 from an address, untagged, and nothing else."""
    [source] = struct.unpack("<i", socket.inet_aton(address))
    # From the context: where the frame begins (register 2) and ends (3).
    frame = [instruction(0x61, 2, 1, 0), instruction(0x61, 3, 1, 4)]
    # If 30 bytes aren't there, or those at 26 are others: on to the last two instructions.
    end = [instruction(0xBF, 4, 2), instruction(0x07, 4, immediate=30)]
    compare = [
        instruction(0x2D, 4, 3, 5),
        instruction(0x61, 5, 2, 26),
        instruction(0xB4, 6, immediate=source),
        instruction(0x5E, 5, 6, 2),
    ]
    return [*frame, *end, *compare, *DROP, set_register(0, XDP_PASS), EXIT]


def redirect(interface: int, delay: int) -> list[bytes]:
    """Sends each frame by an interface, after reading the clock `delay` times to be slower."""
    send = [set_register(1, interface), set_register(2, 0), call(REDIRECT), EXIT]
    return [call(KTIME_GET_NS)] * delay + send


@dataclass(frozen=True)
class Program:
    """A loaded program, for as long as this process lives."""

    descriptor: int

    @classmethod
    def load(cls, instructions: list[bytes]) -> "Program":
        code = ctypes.create_string_buffer(b"".join(instructions))
        license = ctypes.create_string_buffer(b"Apache-2.0")
        addresses = ctypes.addressof(code), ctypes.addressof(license)
        attribute = struct.pack("<IIQQ", PROG_TYPE_XDP, len(instructions), *addresses)
        return cls(bpf(PROG_LOAD, attribute)[0])

    def run(self, frame: bytes, times: int, *, batch: int = 0) -> int:
        """Runs it on a frame; returns nanoseconds for each time. With `batch`, so many frames at
        a time are sent, and nobody else has the core in between."""
        data = ctypes.create_string_buffer(frame, len(frame))
        flags = TEST_XDP_LIVE_FRAMES if batch else 0
        attribute = struct.pack(
            "<IIIIQQIIIIQQIII",
            self.descriptor, 0, len(frame), 0, ctypes.addressof(data), 0, times, 0,
            0, 0, 0, 0, flags, 0, batch,
        )  # fmt: skip
        _, written = bpf(PROG_TEST_RUN, attribute)
        return struct.unpack_from("<I", written, 36)[0]

    def attach(self, interface: int) -> int:
        """In the driver, until the returned descriptor is closed."""
        attribute = struct.pack(
            "<IIII", self.descriptor, interface, ATTACH_XDP, XDP_FLAGS_DRV_MODE
        )
        return bpf(LINK_CREATE, attribute)[0]
