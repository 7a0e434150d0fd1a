"""A map with every kind of access, what compiles one, and what drives the bus of the registers made of it."""

from quick_engine import Simulator
from systemrdl import RDLCompiler
from systemrdl.messages import MessagePrinter

EVERY_ACCESS = """
addrmap every {
    default regwidth = 32;
    default accesswidth = 8;
    reg { field { sw = rw; hw = r; } F[27:4] = 0x123456; } STORAGE @ 0x00;
    reg { field { sw = r; hw = na; } F[15:8] = 0xa5; } CONSTANT @ 0x04;
    reg { field { sw = r; hw = w; } F[31:28]; } STATUS @ 0x08;
    reg { field { sw = rw; hw = r; onwrite = woclr; hwset; hwclr; } F[11:4] = 0x0f; } W1C @ 0x0c;
    reg { field { sw = rw; hw = r; onwrite = woset; hwset; hwclr; } F[11:4] = 0; } W1S @ 0x10;
    reg { field { sw = w; hw = r; singlepulse; } F[9:9] = 0; } PULSE @ 0x14;
    reg { field { sw = w; hw = r; swmod; } F[11:4]; } ACTION @ 0x18;
    reg { accesswidth = 32; field { sw = rw; hw = r; swmod; } F[31:0] = 0; } WORD @ 0x1c;
    reg { field { sw = rw; hw = r; swmod; } F[19:4] = 0; } BYTES @ 0x20;
    reg { field { sw = r; hw = w; swacc; } F[31:0] = 0; } POP @ 0x24;
    reg { field { sw = rw; hw = na; } F[7:0] = 0x77; } UNSEEN @ 0x28;
    reg { field { sw = rw; hw = r; hwclr; } F[11:4] = 0x0f; } CLEARED @ 0x30;
    reg { default sw = rw; default hw = r; field {} N0[3:3] = 1; field {} N1[1:1] = 0; field {} N2[2:2] = 0; }
    MANY @ 0x2c;
    regfile { reg { field { sw = rw; hw = r; } F[31:0] = 0; } R[2] @ 0x8; } GROUP[2] @ 0x100 += 0x20;
};
"""


class Quiet(MessagePrinter):
    """Says nothing: what is refused is in the exception."""

    def print_message(self, severity, text, src_ref):
        pass


def compile_rdl(tmp_path, text, top):
    """Return a map out of its text."""
    path = tmp_path / f"{top}.rdl"
    path.write_text(text)
    compiler = RDLCompiler(message_printer=Quiet())
    compiler.compile_file(str(path))
    return compiler.elaborate(top).top


def run(block, testbench):
    """Simulate a block."""
    sim = Simulator(block)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def offer(ctx, block, address, data, strobes=0xF):
    """Put a write on the bus; the caller looks at this cycle and then ends it."""
    ctx.set(block.bus.w_en, 1)
    ctx.set(block.bus.w_addr, address)
    ctx.set(block.bus.w_data, data)
    ctx.set(block.bus.w_strb, strobes)


async def write(ctx, block, address, data, strobes=0xF):
    """Write in this clock."""
    offer(ctx, block, address, data, strobes)
    await ctx.tick()
    ctx.set(block.bus.w_en, 0)
