"""What the scratchpads of ntb_transport are for (drivers/ntb/ntb_transport.c); each side writes the peer's."""

__all__ = [
    "Spad",
]


class Spad:
    """Scratchpads by index.

    QP_LINKS has a bit per queue whose client is ready. From WINDOW_SIZE on there are two for each window: upper half of
    its size, lower half.
    """

    VERSION = 0
    QP_LINKS = 1
    NUM_QPS = 2
    NUM_MWS = 3
    WINDOW_SIZE = 4
