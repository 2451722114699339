"""A flood of bare frames, sent from within the kernel: `python3 -m harness.flood --help`.

It prints a line of JSON when it ends: frames sent, and seconds.
"""

import argparse
import json
import socket
import struct
import time

from .bpf import Program, redirect

SYN = 0x02
# In one call, which takes the kernel some 20 ms to begin and end.
SECONDS_A_CALL = 0.5
CALIBRATION_FRAMES = 200_000
# As many frames at a time as a network card's driver takes at once.
BATCH = 64
MAX_DELAY = 2_000


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source: str, destination: str, port: int, card: bytes) -> bytes:
    """A frame that opens a TCP connection, 60 bytes as the shortest on a wire."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    fields = [40_000, port, 1, 0, 0x50, SYN, 4096, 0, 0]
    segment = struct.pack("!HHIIBBHHH", *fields)
    fields[7] = checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, 20) + segment)
    segment = struct.pack("!HHIIBBHHH", *fields)
    header = struct.pack("!BBHHHBB", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP)
    header += struct.pack("!H", checksum(header + addresses)) + addresses
    ethernet = card + bytes([2, 0, 0, 0, 0, 3]) + b"\x08\x00"
    return (ethernet + header + segment).ljust(60, b"\0")


def sender(interface: int, frame: bytes, rate: float | None) -> Program:
    """A program that sends about `rate` frames a second, or as many as a core can."""
    if rate is None:
        return Program.load(redirect(interface, 0))
    slow = Program.load(redirect(interface, MAX_DELAY))
    call_ns = slow.run(frame, 10_000) / MAX_DELAY
    fast_ns = seconds_of(Program.load(redirect(interface, 0)), frame) * 1e9
    delay = round((1e9 / rate - fast_ns) / call_ns)
    return Program.load(redirect(interface, min(max(delay, 0), MAX_DELAY)))


def seconds_of(program: Program, frame: bytes) -> float:
    """How long it takes to send a frame."""
    begun = time.process_time()
    program.run(frame, CALIBRATION_FRAMES, batch=BATCH)
    return (time.process_time() - begun) / CALIBRATION_FRAMES


def main() -> None:
    parser = argparse.ArgumentParser(prog="harness.flood", description=__doc__)
    parser.add_argument("--interface", required=True, help="where the frames leave")
    parser.add_argument("--card", required=True, help="hardware address they are for")
    parser.add_argument("--source", required=True, help="IPv4 address they say they come from")
    parser.add_argument("--destination", required=True, help="IPv4 address they are for")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--seconds", required=True, type=float)
    parser.add_argument("--rate", type=float, help="frames a second; default: all one core can")
    arguments = parser.parse_args()

    card = bytes.fromhex(arguments.card.replace(":", ""))
    frame = syn(arguments.source, arguments.destination, arguments.port, card)
    interface = socket.if_nametoindex(arguments.interface)
    program = sender(interface, frame, arguments.rate)
    times = int(SECONDS_A_CALL * (arguments.rate or 1 / seconds_of(program, frame)))
    sent, begun = 0, time.monotonic()
    while time.monotonic() - begun < arguments.seconds:
        program.run(frame, times, batch=BATCH)
        sent += times
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
