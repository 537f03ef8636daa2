# SPDX-License-Identifier: GPL-2.0-or-later
# The bench: what virtscope costs, beside empty programs and beside the tools
# that people run today.  Included by the Makefile.  BENCH_ARGS goes to
# bench.py: make bench BENCH_ARGS="--quick --json bench.json"

BENCH_OUT := build/tests/bench
# Of bench-vm, whose --json FILE is put into build/bench-vm.
BENCH_KERNEL ?= 6.1
BENCH_BINS := $(BENCH_OUT)/empty_progs $(BENCH_OUT)/tap_loop

$(BENCH_OUT):
	mkdir -p $@

# The dispatcher vmlinux.h names its parts with #include, -MMD follows it.
$(BENCH_OUT)/empty.bpf.o: tests/bench/empty.bpf.c | $(BENCH_OUT)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BENCH_OUT)/empty.skel.h: $(BENCH_OUT)/empty.bpf.o
	$(BPFTOOL) gen skeleton $< name empty_bpf > $@.tmp
	mv $@.tmp $@

$(BENCH_OUT)/empty_progs: tests/bench/empty_progs.c $(BENCH_OUT)/empty.skel.h | $(BENCH_OUT)
	$(CC) $(CFLAGS) -I$(BENCH_OUT) $< -o $@ -lbpf

$(BENCH_OUT)/tap_loop: tests/bench/tap_loop.c | $(BENCH_OUT)
	$(CC) $(CFLAGS) $< -o $@

-include $(BENCH_OUT)/empty.bpf.d

.PHONY: bench bench-scale bench-vm bench-bins
bench-bins: $(BENCH_BINS)
bench: build/virtscope $(BENCH_BINS) build/tests/harness/posed_vm ## what it costs, beside what one would run instead (root)
	/usr/bin/python3 tests/bench/bench.py $(BENCH_ARGS)
bench-scale: build/virtscope build/tests/harness/posed_vm ## how the daemon's cost grows with VMs, synthetic and posed (root)
	/usr/bin/python3 tests/bench/scale.py $(BENCH_ARGS)
bench-vm: build/virtscope $(BENCH_BINS) harness ## counts and ratios of vhost's programs, in scripts/host-vm's machine
	scripts/host-vm --timeout 3600 --out build/bench-vm $(BENCH_KERNEL) -- tests/bench/bench_vhost.py $(BENCH_ARGS)

# The detector alone: neither root nor a kernel.
DETECT_OBJ := $(patsubst %.c,build/%.o,$(wildcard user/detect/*.c user/model/sample.c) user/base/histogram.c user/base/clock.c)
$(BENCH_OUT)/detect_%: tests/bench/detect_%.c $(DETECT_OBJ) | $(BENCH_OUT)
	$(CC) $(VS_CFLAGS) $(CFLAGS) $< $(DETECT_OBJ) -o $@ -ljansson -lm

.PHONY: bench-detect
bench-detect: $(BENCH_OUT)/detect_alarms $(BENCH_OUT)/detect_csv ## false alarms of the detector and what it costs; some minutes
	$(BENCH_OUT)/detect_alarms
