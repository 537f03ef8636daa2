# SPDX-License-Identifier: GPL-2.0-or-later
# One Makefile, everything is built under build/. `make help` is the map.

VERSION := $(shell cat VERSION)
ARCH    := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')

CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX  ?= /usr
DESTDIR ?=
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' $(1) $(2))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
VS_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DVS_VERSION='"$(VERSION)"' $(WARN) \
	     -Iuser -Ibpf -Ibuild/skel -fstack-protector-strong
# WITH_LIBVIRT=0 leaves virtscope-libvirt out: VMs then have the names that /proc tells.
WITH_LIBVIRT ?= 1
# WITH_SYSTEMD=0 leaves libsystemd out: the service manager is then told nothing. The journal needs no library.
WITH_SYSTEMD ?= 1
LDLIBS := -lbpf -lelf -lz -ljansson -lcyaml -lyaml -lmicrohttpd -lm
ifneq ($(WITH_SYSTEMD),0)
VS_CFLAGS += -DVS_WITH_SYSTEMD
LDLIBS += -lsystemd
endif
BPF_CFLAGS := -g -O2 -target bpf -D__TARGET_ARCH_$(ARCH) -Wall -Werror \
	      -Wno-missing-declarations -Ivmlinux -Ibpf
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

# virtscope-libvirt is a program of its own, so that only it carries libvirt and libxml2 (12 MiB).
XML_SRC     := user/discover/domain_xml.c user/discover/domain_label.c
LIBVIRT_SRC := user/app/libvirt_main.c user/app/libvirt_words.c $(XML_SRC)
SRC      := $(filter-out $(LIBVIRT_SRC),$(sort $(wildcard user/*/*.c)))
OBJ      := $(SRC:%.c=build/%.o)
ifneq ($(WITH_LIBVIRT),0)
LIBVIRT     := build/virtscope-libvirt
LIBVIRT_OBJ := $(LIBVIRT_SRC:%.c=build/%.o) $(addprefix build/user/,base/text.o base/log.o base/privilege.o model/label.o)
XML_SAN_OBJ := $(XML_SRC:%.c=build/san/%.o)
XML_FUZZ_OBJ := $(XML_SRC:%.c=build/fuzz/obj/%.o)
XML_CFLAGS   = $(shell pkg-config --cflags libxml-2.0)
XML_LDLIBS   = $(shell pkg-config --libs libxml-2.0)
endif
BPF_SRC  := $(sort $(wildcard bpf/*.bpf.c))
SKEL     := $(BPF_SRC:bpf/%.bpf.c=build/skel/%.skel.h)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
ifeq ($(WITH_LIBVIRT),0)
UNIT_SRC := $(filter-out tests/unit/test_discover_domain_xml.c tests/unit/test_discover_domain_label.c,$(UNIT_SRC))
endif
UNIT     := $(UNIT_SRC:tests/unit/%.c=build/tests/unit/%)
HARNESS  := $(patsubst tests/harness/%.c,build/tests/harness/%,$(wildcard tests/harness/*.c))
# Unit tests link everything but main(), instrumented.
SAN_OBJ  := $(patsubst %.c,build/san/%.o,$(filter-out user/app/main.c,$(SRC)))

FUZZ     := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJ := $(SRC:%.c=build/fuzz/obj/%.o)
ifeq ($(WITH_LIBVIRT),0)
FUZZ     := $(filter-out build/fuzz/fuzz_domain_xml,$(FUZZ))
endif
# Seconds for each target; crashes and the words learnt stay in build/fuzz/.
FUZZ_S   ?= 20

.PHONY: all help check test bench clean harness lint generate fuzz
.SECONDARY:
all: build/virtscope $(LIBVIRT) ## build build/virtscope (default); WITH_LIBVIRT=0 without libvirt

help: ## this text
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile dist/package.mk tests/bench/bench.mk | expand -t 20

build/virtscope: $(OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

build/virtscope-libvirt: $(LIBVIRT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libvirt) $(XML_LDLIBS)

$(XML_SRC:%.c=build/%.o) $(XML_SRC:%.c=build/san/%.o) $(XML_SRC:%.c=build/fuzz/obj/%.o): VS_CFLAGS += $(XML_CFLAGS)
build/user/app/libvirt_main.o build/user/app/libvirt_words.o: VS_CFLAGS += $(shell pkg-config --cflags libvirt)

build/user/%.o: user/%.c | $(SKEL)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(VS_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

build/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<

build/skel/%.skel.h: build/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf > $@.tmp && mv $@.tmp $@

build/user/app/main.o: VERSION

build/san/%.o: %.c | $(SKEL)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(VS_CFLAGS) -O1 -g $(SANITIZE) -MMD -MP -c -o $@ $<

build/tests/unit/%: tests/unit/%.c $(SAN_OBJ) $(XML_SAN_OBJ)
	$(call say,UNIT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(VS_CFLAGS) -Wno-missing-prototypes -O1 -g $(SANITIZE) -MMD -MP -MF $@.d -o $@ $< $(SAN_OBJ) $(XML_SAN_OBJ) -lcmocka $(LDLIBS) $(XML_LDLIBS)

# Programs of one file, and what they share; vhost_drive has a folder of its own.
build/tests/harness/vhost_drive: $(wildcard tests/harness/vhost/*.[ch])
build/tests/harness/%: tests/harness/%.c $(wildcard tests/harness/pose/*.[ch])
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARN) -Itests/harness -O2 -g -o $@ $(filter %.c,$^) -lm

harness: $(HARNESS) ## build the test drivers

lint: build/virtscope ## rules of the tree: layers, licence lines, no version checks, what is generated, rules and dashboards
	scripts/check-layers --self-test
	scripts/check-layers
	scripts/check-spdx --self-test
	scripts/check-spdx
	scripts/gen-kernels --self-test
	scripts/gen-kernels --check
	scripts/gen-metrics --self-test
	scripts/gen-metrics --check
	scripts/gen-man --self-test
	scripts/gen-man --check
	scripts/gen-completion --check
	@build/virtscope check-config --print-defaults | cmp - docs/virtscope.yaml || \
		{ echo "docs/virtscope.yaml is out of date: make generate"; exit 1; }
	build/virtscope check-config docs/virtscope.yaml
	build/virtscope check-config dist/virtscope.yaml
	scripts/gen-dashboards --self-test
	scripts/gen-dashboards --check
	scripts/check-dist --self-test
	scripts/check-dist
	@! grep -rnE 'LINUX_VERSION_CODE|KERNEL_VERSION\(' bpf user || { echo "facts decide, not versions"; exit 1; }

generate: build/virtscope ## what is made from the tables of options and keys: man pages, completion, docs/virtscope.yaml
	scripts/gen-man
	scripts/gen-completion
	build/virtscope check-config --print-defaults > docs/virtscope.yaml

check: lint $(UNIT) ## unit tests: no root, no network
	@fail=0; for t in $(UNIT); do \
		echo "== $$t"; ./$$t || fail=1; done; exit $$fail

# clang's libFuzzer; not gcc, and not $(CLANG)'s BPF flags.
build/fuzz/obj/%.o: %.c | $(SKEL)
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(VS_CFLAGS) -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<

# libFuzzer brings a main() of its own.
build/fuzz/obj/user/app/main.o: VS_CFLAGS += -Dmain=vs_main -Wno-missing-prototypes

build/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJ) $(XML_FUZZ_OBJ)
	$(call say,FUZZ,$<)
	$(Q)$(CLANG) $(VS_CFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-MMD -MP -MF $@.d -o $@ $< $(FUZZ_OBJ) $(XML_FUZZ_OBJ) $(LDLIBS) $(XML_LDLIBS)

fuzz: $(FUZZ) ## fuzz each parser of foreign text for FUZZ_S seconds (20)
	@for t in $(FUZZ); do \
		name=$${t##*/}; learnt=build/fuzz/corpus/$$name; seeds=tests/fuzz/corpus/$$name; mkdir -p $$learnt; \
		echo "== $$name"; [ -d $$seeds ] || seeds=; \
		dict=tests/fuzz/$$name.dict; [ -e $$dict ] && dict=-dict=$$dict || dict=; \
		$$t -max_total_time=$(FUZZ_S) -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 $$dict \
			-artifact_prefix=build/fuzz/$$name. $$learnt $$seeds > build/fuzz/$$name.log 2>&1 || \
			{ tail -n 40 build/fuzz/$$name.log; exit 1; }; \
		grep number_of_executed_units build/fuzz/$$name.log; done

test: ## everything: unit tests, then end to end on this kernel (root)
	scripts/test

clean: ## remove what was built (keeps the guest kernel)
	rm -rf build/user build/bpf build/skel build/san build/fuzz build/tests build/deb build/virtscope build/virtscope-libvirt

include dist/package.mk
-include tests/bench/bench.mk
-include $(OBJ:.o=.d) $(LIBVIRT_OBJ:.o=.d) $(SAN_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) $(FUZZ:=.d) $(BPF_SRC:%.c=build/%.d) $(UNIT:=.d)
