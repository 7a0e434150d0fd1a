# Every target is one call of Python; `epbell VERB --help` tells what else each verb takes. All but clean and help build
# .venv by themselves when it is missing or stale.
#
#   make sim [SIM=icarus] [SEED=7] [WIDTH=64,256] [SCENARIO=ring] [STALLS=off] [TREE=rk3588] [BARS=linux] [DTS=mine.dts] [WAVES=1] [ARGS='...']
#   make test [TESTS=tests/unit] [ARGS='-k ring']
#   make block [BLOCK=mu]
#   make selftest [TARGET=sim] [TREE=rk3588] [DTS=mine.dts] [ARGS='--only *.DOORBELL_TEST']
#   make linux [TEST=ntb] [TREE=rk3588] [DTS=mine.dts] [ARGS='--endpoint model']
#   make vntb [SEED=7] [WIDTH=64] [ARGS='--hz 250 --stalls']
#   make soak [SEED=7] [ARGS='--rings 1000000 --width 512']
#   make random [SEED=7] [WIDTH=64] [TREE=rk3588] [ARGS='--stalls --shrink']
#   make regress [ONLY=sim.imx8.*,selftest,long] [ARGS='--resume --seeds 25 --scheduler tcp://host:8786']
#   make formal [ONLY=mu.*] [ARGS='--list']
#   make faults [SEED=7] [WIDTH=64] [ARGS='--family poisoned']
#   make mutate [ONLY=epbell_mu_*] [SEED=7] [ARGS='--mutants 50 --resume']
#   make cover [TREE=imx8] [WIDTH=64] [ONLY=mu,edma] [ARGS='--resume']
#   make area [ONLY=epbell_mu_*] [ARGS='--seeds 5 --page docs/area.md']
#   make verilog [OUT=folder]      make regs [OUT=folder]      make docs [OUT=folder]      make bench [ARGS='--json']
#   make bitstream [BOARD=ulx3s] [BAUD=1000000] [SEED=1] [OUT=folder]
#   make board [PORT=/dev/ttyUSB0] [BAUD=1000000] [ARGS='selftest --only *.DOORBELL_TEST']
#   make testplan [ARGS='--missing --json']

PYTHON ?= python3
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
$(error $(PYTHON) not found; install CPython 3.10 or newer: `apt-get install python3 python3-venv` (Debian, Ubuntu), `dnf install python3` (Fedora) or `brew install python` (macOS))
endif

TOOL := $(PYTHON) tb/epbell_tb/toolchain.py
CHOSEN := $(if $(SEED),--seed '$(SEED)') $(if $(WIDTH),--width '$(WIDTH)') $(if $(SCENARIO),--scenario '$(SCENARIO)') \
        $(if $(BARS),--bars '$(BARS)') $(if $(STALLS),--stalls '$(STALLS)') $(if $(TREE),--tree '$(TREE)') $(if $(DTS),--dts '$(DTS)') $(if $(filter-out 0,$(WAVES)),--waves)

.DEFAULT_GOAL := help
.PHONY: setup sim block selftest linux test regress random vntb soak formal cover mutate faults area unit lint type verilog regs docs bitstream board bench profile mutants testplan clean help

setup:  ; @$(TOOL) setup                                         ## build .venv from the lock file and find the tools
sim:    ; @$(TOOL) run sim $(if $(SIM),--sim '$(SIM)') $(CHOSEN) $(ARGS) ## run the scenarios on Verilator (or SIM=icarus) and print what happened
block:  ; @$(TOOL) run block $(if $(BLOCK),'$(BLOCK)') $(ARGS)    ## run the unit tests of the RTL's blocks that were edited, in seconds
selftest:; @$(TOOL) run selftest $(if $(TARGET),--target '$(TARGET)') $(if $(TREE),--tree '$(TREE)') $(if $(DTS),--dts '$(DTS)') $(ARGS) ## run Linux's selftest of an endpoint and print TAP
linux:  ; @$(TOOL) run linux $(if $(TEST)$(TREE)$(DTS),$(or $(TEST),pcitest) $(if $(TREE),--tree '$(TREE)') $(if $(DTS),--dts '$(DTS)'),all) $(ARGS) ## boot stock Linux kernels whose PCI device is the endpoint
test:   ; @$(TOOL) run test $(TESTS) $(ARGS)                     ## run every test
regress:; @$(TOOL) run regress $(if $(ONLY),--only '$(ONLY)') $(ARGS) ## run what is too much for `make test`: takes hours
vntb:   ; @$(TOOL) run vntb $(if $(SEED),--seed '$(SEED)') $(if $(WIDTH),--width '$(WIDTH)') $(ARGS) ## measure pings over pci-epf-vntb, polled and with doorbells
random: ; @$(TOOL) run random $(if $(SEED),--seed '$(SEED)') $(if $(WIDTH),--width '$(WIDTH)') $(if $(TREE),--tree '$(TREE)') $(ARGS) ## run random traffic on the whole endpoint
soak:   ; @$(TOOL) run soak $(if $(SEED),--seed '$(SEED)') $(ARGS) ## send millions of doorbells at the RTL's own speed
formal: ; @$(TOOL) run formal $(if $(ONLY),--only '$(ONLY)') $(ARGS) ## prove the RTL by k-induction, and that each proof refutes deliberate defects
faults: ; @$(TOOL) run faults $(if $(SEED),--seed '$(SEED)') $(if $(WIDTH),--width '$(WIDTH)') $(ARGS) ## try every fault in every state, and see the RTL survive each
mutate: ; @$(TOOL) run mutate $(if $(ONLY),--only '$(ONLY)') $(if $(SEED),--seed '$(SEED)') $(ARGS) ## let Yosys break the RTL at random and count what tests and proofs notice
cover:  ; @$(TOOL) run cover $(if $(TREE),--tree '$(TREE)') $(if $(WIDTH),--width '$(WIDTH)') $(if $(ONLY),--only '$(ONLY)') $(ARGS) ## show how much of the RTL the simulations reach, and what they do not
area:   ; @$(TOOL) run area $(if $(ONLY),--only '$(ONLY)') $(ARGS) ## measure how large and how fast the modules are in an ECP5 FPGA
unit:   ; @$(TOOL) run unit $(ARGS)                              ## run only the tests that need no Verilator
lint:   ; @$(TOOL) run lint $(ARGS)                              ## check the source with ruff
type:   ; @$(TOOL) run type $(ARGS)                              ## check the types with pyright
verilog:; @$(TOOL) run verilog $(if $(OUT),--out '$(OUT)') $(ARGS) ## write the modules as SystemVerilog to build/verilog
regs:   ; @$(TOOL) run regs $(if $(OUT),--out '$(OUT)') $(ARGS)  ## write the registers for C, Python, debuggers (SVD), device trees, and to read
docs:   ; @$(TOOL) run docs $(if $(OUT),--out '$(OUT)') $(ARGS)  ## build the documentation as a site, with diagrams out of simulations
bitstream:; @$(TOOL) run bitstream --board '$(or $(BOARD),ulx3s)' $(if $(BAUD),--baud '$(BAUD)') $(if $(SEED),--seed '$(SEED)') $(if $(OUT),--out '$(OUT)') $(ARGS) ## make the bitstream of a board: ulx3s, ecpix5, versa or colorlight
board:  ; @$(TOOL) run board --port '$(or $(PORT),/dev/ttyUSB0)' $(if $(BAUD),--baud '$(BAUD)') $(or $(ARGS),selftest) ## run Linux's selftest on a board with that bitstream
bench:  ; @$(TOOL) run bench $(ARGS)                             ## measure latency and throughput
profile:; @$(TOOL) run profile $(ARGS)                           ## show where the time of a simulation goes (with py-spy)
mutants:; @$(TOOL) run mutants $(ARGS)                           ## break RTL and models by hand and see that the tests notice
testplan:; @$(TOOL) run testplan $(ARGS)                         ## print what has to be shown, its tests and their last verdict
clean:  ; @$(TOOL) clean                                         ## remove everything that was built, except .venv
help:   ; @$(TOOL) help                                          ## print this list
