"""A guest's slot without QEMU: interrupt messages and lines go to the test socket, everything else to memory."""

import socket
import threading

import pytest

from epbell_tb.guest.attachment import Attachment
from epbell_tb.guest.port import HostFault
from epbell_tb.guest.qtest import Qtest, QtestError


class TestSocket:
    """QEMU's end of its test socket: notes each line and answers it."""

    __test__ = False

    def __init__(self, path, answers=("OK",)):
        self.lines = []
        self._answers = list(answers)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        link, _ = self._listener.accept()
        with link, link.makefile("rw") as lines:
            for line in lines:
                self.lines.append(line.strip())
                answer = self._answers[min(len(self.lines), len(self._answers)) - 1]
                if answer is None:
                    return
                lines.write(answer + "\n")
                lines.flush()

    def close(self):
        self._thread.join(5)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture
def slot(tmp_path):
    qemu, ours = socket.socketpair()
    qtest = TestSocket(tmp_path / "qtest")
    attachment = Attachment(ours, tmp_path / "qtest")
    yield attachment, qtest
    attachment.intx(0, False)  # so that somebody has connected
    attachment.close()
    qtest.close()
    qemu.close()
    ours.close()


def test_a_message_is_a_store_of_its_word(slot):
    attachment, qtest = slot
    attachment.write(0xFEE0_0000, bytes.fromhex("21400000"))
    attachment.write(0xFEEF_FFFC, bytes.fromhex("ffffffff"))
    assert qtest.lines == ["writel 0xfee00000 0x4021", "writel 0xfeeffffc 0xffffffff"]
    assert attachment.messages == 2


@pytest.mark.parametrize(("address", "length"), [(0xFEE0_0000, 8), (0xFEE0_0000, 2), (0xFEE0_0002, 4)])
def test_what_is_no_message(slot, address, length):
    attachment, qtest = slot
    with pytest.raises(HostFault):
        attachment.write(address, bytes(length))
    assert qtest.lines == []


@pytest.mark.parametrize(("pin", "line"), [(0, 20), (1, 21), (2, 22), (3, 23)])
def test_lines_of_slot_4(slot, pin, line):
    attachment, qtest = slot
    attachment.intx(pin, True)
    attachment.intx(pin, False)
    at = f"set_irq_in /machine/q35/ioapic unnamed-gpio-in {line}"
    assert qtest.lines == [f"{at} 1", f"{at} 0"]
    assert attachment.lines == 2


def test_memory_is_not_there_before_it_is_announced(slot):
    attachment, qtest = slot
    with pytest.raises(HostFault):
        attachment.read(0x1000, 4)
    with pytest.raises(HostFault):
        attachment.write(0x1000, b"data")
    assert qtest.lines == []


@pytest.mark.parametrize("answer", ["FAIL Unknown command 'writel'", "IRQ raise 1", ""])
def test_an_answer_that_is_not_ok(tmp_path, answer):
    qemu = TestSocket(tmp_path / "qtest", [answer])
    qtest = Qtest(tmp_path / "qtest")
    with pytest.raises(QtestError, match=r"answers 'writel 0xfee00000 0x21' with .* instead of OK"):
        qtest.message(0xFEE0_0000, 0x21)
    assert qtest.messages == 0
    qtest.close()
    qemu.close()


def test_no_answer(tmp_path):
    qemu = TestSocket(tmp_path / "qtest", ["OK", None])
    qtest = Qtest(tmp_path / "qtest")
    qtest.message(0xFEE0_0000, 0x21)
    with pytest.raises(QtestError, match=r"does not answer 'set_irq_in .* 20 1'"):
        qtest.line(4, 0, True)
    qtest.close()
    qemu.close()


@pytest.mark.parametrize("goes", [True, False])
def test_an_interrupt_of_a_guest_that_is_being_switched_off(tmp_path, goes):
    """It is no error, unless the guest is still there."""
    qemu, ours = socket.socketpair()
    qtest = TestSocket(tmp_path / "qtest", [None])
    attachment = Attachment(ours, tmp_path / "qtest")
    if goes:
        qemu.close()
        attachment.write(0xFEE0_0000, bytes(4))
        attachment.intx(0, True)
    else:
        with pytest.raises(QtestError):
            attachment.write(0xFEE0_0000, bytes(4))
    attachment.close()
    qtest.close()
    for end in (qemu, ours):
        end.close()


def test_nobody_listens(tmp_path):
    with pytest.raises(QtestError, match=r"cannot be reached within 0.05 s"):
        Qtest(tmp_path / "qtest", patience=0.05).message(0xFEE0_0000, 0x21)
