# amaranth: UnusedElaboratable=no

"""What the elaboration of SystemRDL refuses, by name and before anything is built."""

import pytest
from csr_rig import compile_rdl

from epbell import csr


def one_register(inner, *, outer="", reg=""):
    return f"""
    addrmap bad {{ default regwidth = 32; default accesswidth = 32; {outer}
        reg {{ {reg} {inner} }} R @ 0; }};
    """


FIELD = "field {{ {0} }} F[7:0] = 0;"

REFUSED = {
    "counter": one_register(FIELD.format("sw = r; hw = r; counter;")),
    "we": one_register(FIELD.format("sw = rw; hw = rw; we;")),
    "wel": one_register(FIELD.format("sw = rw; hw = rw; wel;")),
    "onread": one_register(FIELD.format("sw = rw; hw = r; onread = rclr;")),
    "rclr": one_register(FIELD.format("sw = rw; hw = r; rclr;")),
    "rset": one_register(FIELD.format("sw = rw; hw = r; rset;")),
    "swwe": one_register(FIELD.format("sw = rw; hw = r; swwe;")),
    "anded": one_register(FIELD.format("sw = rw; hw = r; anded;")),
    "sticky": one_register(FIELD.format("sw = r; hw = w; level intr; sticky;")),
    "intr": one_register("field { sw = r; hw = w; intr; } F[0:0] = 0;"),
    "hwenable": one_register(
        "field { sw = rw; hw = r; } E[15:8] = 0; " + FIELD.format("sw = r; hw = w;") + " F -> hwenable = E;"
    ),
    "paritycheck": one_register(FIELD.format("sw = rw; hw = r; paritycheck;")),
    "precedence": one_register(FIELD.format("sw = rw; hw = r; precedence = sw;")),
    "donttest": one_register(FIELD.format("sw = rw; hw = r; donttest;")),
    "shared": one_register(FIELD.format("sw = rw; hw = r;"), reg="shared;"),
    "bigendian": one_register(FIELD.format("sw = rw; hw = r;"), outer="bigendian;"),
    "sharedextbus": one_register(FIELD.format("sw = rw; hw = r;"), outer="sharedextbus;"),
    "next": one_register(
        "field { sw = rw; hw = r; } E[15:8] = 0; " + FIELD.format("sw = r; hw = w;") + " F -> next = E;"
    ),
    "mine": "property mine { type = boolean; component = field; };"
    + one_register(FIELD.format("sw = rw; hw = r; mine = true;")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_property_that_is_not_implemented(tmp_path, name):
    node = compile_rdl(tmp_path, REFUSED[name], "bad")
    with pytest.raises(ValueError, match=r"must be one that this elaborator implements .* not '[a-z ]*'$") as error:
        csr.Block(node)
    named = str(error.value).rpartition("not ")[2].strip("'")
    assert named in {name, *({"rclr": {"onread"}, "rset": {"onread"}, "sticky": {"intr"}}.get(name, ()))}
    assert "bad" in str(error.value)


MALFORMED = {
    "sw=rw1": (one_register(FIELD.format("sw = rw1; hw = r;")), "'sw' of bad.R.F must be r, w or rw, not 'rw1'$"),
    "sw=w": (one_register(FIELD.format("sw = w; hw = r;")), "needs 'swmod' or 'singlepulse', not None$"),
    "onwrite": (
        one_register(FIELD.format("sw = rw; hw = r; onwrite = wot;")),
        "'onwrite' of bad.R.F must be woclr or woset, not 'wot'$",
    ),
    "storage hw": (one_register(FIELD.format("sw = rw; hw = w;")), "must be r or na .*, not 'w'$"),
    "no reset": (one_register("field { sw = rw; hw = r; } F[7:0];"), "'reset' of bad.R.F must be a number, not None$"),
    "reset ref": (
        one_register("field { sw = r; hw = na; } E[15:8] = 0; field { sw = rw; hw = r; } F[7:0]; F -> reset = E;"),
        "'reset' of bad.R.F must be a number, not ",
    ),
    "hwset ref": (
        one_register(
            "field { sw = r; hw = na; } E[8:8] = 0; "
            "field { sw = rw; hw = r; onwrite = woclr; } F[0:0] = 0; F -> hwset = E;"
        ),
        "'hwset' of bad.R.F must be true or false, not ",
    ),
    "hwset on storage": (one_register(FIELD.format("sw = rw; hw = r; hwset;")), "must be of use there.* not 'hwset'$"),
    "hwclr on status": (one_register(FIELD.format("sw = r; hw = w; hwclr;")), "must be of use there.* not 'hwclr'$"),
    "swmod on w1c": (
        one_register(FIELD.format("sw = rw; hw = r; onwrite = woclr; swmod;")),
        "must be of use there.* not 'swmod'$",
    ),
    "pulse rw": (
        one_register("field { sw = rw; hw = r; singlepulse; } F[0:0] = 0;"),
        "'sw' of the pulse bad.R.F must be w, not 'rw'$",
    ),
    "unseen w1c": (one_register(FIELD.format("sw = rw; hw = na; onwrite = woclr;")), "must be r or rw, not 'na'$"),
    "regwidth": (
        "addrmap bad { reg { regwidth = 64; field { sw = rw; hw = r; } F[7:0] = 0; } R @ 0; };",
        "'regwidth' of bad.R must be 32, not 64$",
    ),
    "accesswidth": (
        "addrmap bad { reg { regwidth = 32; accesswidth = 16; field { sw = rw; hw = r; } F[7:0] = 0; } R @ 0; };",
        "'accesswidth' of bad.R must be 8 .* not 16$",
    ),
    "external": (
        "addrmap bad { external reg { field { sw = rw; hw = r; } F[7:0] = 0; } R @ 0; };",
        "must be internal.* not 'external'$",
    ),
    "alias": (
        "addrmap bad { reg plain { field { sw = rw; hw = r; } F[7:0] = 0; }; plain R @ 0; alias R plain S @ 4; };",
        "remove the qualifier, not 'alias'$",
    ),
    "mem": (
        "addrmap bad { external mem { mementries = 4; memwidth = 32; } M @ 0; };",
        "must be a reg, regfile or addrmap.* 'mem'$",
    ),
    "signal": (
        "addrmap bad { signal { activehigh; } s; reg { field { sw = rw; hw = r; } F[7:0] = 0; } R @ 0; };",
        "must be a reg, regfile or addrmap.* 'signal'$",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_declaration_that_is_refused(tmp_path, name):
    text, message = MALFORMED[name]
    with pytest.raises(ValueError, match=message):
        csr.Block(compile_rdl(tmp_path, text, "bad"))
