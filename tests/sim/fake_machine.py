"""QEMU's end of a guest's PCI slot, without QEMU: what a PC's kernel does is done step by step by a test."""

import array
import contextlib
import mmap
import os
import socket
import struct
import threading
import time

HEADER = struct.Struct("=i4xQ")
SYNC, RET, CONFIG_WRITE, CONFIG_READ, WRITE, READ, _, RESET = range(8)
MEMORY = 1 << 20


class FakeMachine:
    """A PC of which nothing moves by itself: memory from address 0 on, a slot, and what interrupts it.

    Attributes
    ----------
    memory
        Its memory.
    slot
        The device's end of its slot.
    heard
        What came to the test socket: ``(address, word)`` of messages, levels of INTA.
    """

    def __init__(self, qtest):
        self.heard = []
        self.descriptor = os.memfd_create("guest")
        os.ftruncate(self.descriptor, MEMORY)
        self.memory = mmap.mmap(self.descriptor, MEMORY)
        self._link, self.slot = socket.socketpair()
        self._link.settimeout(60)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(qtest))
        self._server.listen(1)
        self._ears = threading.Thread(target=self._hear, daemon=True)
        self._ears.start()

    def start(self):
        """Tell where memory is, and reset the device."""
        regions = [0] * 8, [MEMORY, *[0] * 7], [0] * 8
        descriptors = array.array("i", [self.descriptor])
        header = HEADER.pack(SYNC, 192)
        self._link.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        self._link.sendall(struct.pack("=24Q", *(number for part in regions for number in part)))
        self.reset()

    def reset(self):
        """Reset the device."""
        self._ask(RESET, b"")

    def _hear(self):
        """Take what comes to the test socket until it closes, be it before an answer was heard."""
        with contextlib.suppress(OSError):
            link = self._server.accept()[0]
            with link, link.makefile("r") as lines:
                for line in lines:
                    match line.split():
                        case ["writel", address, word]:
                            self.heard.append((int(address, 0), int(word, 0)))
                        case ["set_irq_in", _, _, "20", level]:
                            self.heard.append(int(level))
                        case _:
                            self.heard.append(line)
                    link.sendall(b"OK\n")

    def _ask(self, command, payload):
        self._link.sendall(HEADER.pack(command, len(payload)) + payload)
        answer = b""
        while len(answer) < 24:
            data = self._link.recv(24 - len(answer))
            assert data, "the endpoint has gone"
            answer += data
        assert HEADER.unpack(answer[:16]) == (RET, 8)
        return int.from_bytes(answer[16:], "little")

    def config(self, offset, length=4):
        return self._ask(CONFIG_READ, struct.pack("=IIi", offset, 0, length))

    def configure(self, offset, value, length=4):
        self._ask(CONFIG_WRITE, struct.pack("=IIi", offset, value, length))

    def read(self, address, length=4):
        return self._ask(READ, struct.pack("=QQI?3x", address, 0, length, True))

    def write(self, address, value, length=4):
        self._ask(WRITE, struct.pack("=QQI?3x", address, value, length, True))

    def capability(self, wanted):
        """Follow the list of capabilities, byte by byte, as a kernel does."""
        at = self.config(0x34, 1)
        while at:
            if self.config(at, 1) == wanted:
                return at
            at = self.config(at + 1, 1)
        raise AssertionError(f"no capability {wanted:#x}")

    def until_heard(self, count, seconds=20):
        """Wait for so many interrupts; return and forget them."""
        end = time.monotonic() + seconds
        while len(self.heard) < count and time.monotonic() < end:
            time.sleep(0.001)
        heard, self.heard = self.heard, []
        return heard

    def unplug(self):
        self._link.close()
        self.slot.close()
        self._server.shutdown(socket.SHUT_RDWR)
        self._ears.join(20)
        assert not self._ears.is_alive(), "the test socket is still open at the slot's end"
        self._server.close()
        self.memory.close()
        os.close(self.descriptor)
