/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drop.h - what a freed packet means: where it was lost, and whether it was.
 *
 * BPF knows a reason and the address of the code that freed the packet; here
 * the function's name decides the rest, because one reason (QDISC_DROP,
 * NOT_SPECIFIED) stands for many things and one function for few.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define VS_SITES(X)         \
	X(TAP, "tap")       \
	X(QDISC, "qdisc")   \
	X(BRIDGE, "bridge") \
	X(FILTER, "filter") \
	X(PEER, "peer")     \
	X(OTHER, "other")
enum vs_site {
#define X(name, label) VS_SITE_##name,
	VS_SITES(X)
#undef X
	VS_SITE__N,
};

/* loss: the guest misses it; teardown: its reader went away; benign: nobody
 * was meant to get it. */
#define VS_CLASSES(X)           \
	X(LOSS, "loss")         \
	X(TEARDOWN, "teardown") \
	X(BENIGN, "benign")
enum vs_class {
#define X(name, label) VS_CLASS_##name,
	VS_CLASSES(X)
#undef X
	VS_CLASS__N,
};

struct vs_drop_kind {
	enum vs_site site;
	enum vs_class class;
	uint8_t direction; /* VS_DIR_*: may differ from what BPF assumed */
	bool kernel_counts; /* in the tap's tx_dropped (rx) or rx_dropped (tx) */
	bool by_noop; /* refused by the noop qdisc: some kernels count it there, some do not */
};

/**
 * vs_drop_classify() - the kind of a drop.
 * @reason:    name without SKB_DROP_REASON_, "" before 5.17
 * @symbol:    function that freed the packet, "" if unknown
 * @direction: VS_DIR_* as BPF saw it
 * @flags:     VS_DROP_* of abi.h
 */
struct vs_drop_kind vs_drop_classify(const char *reason, const char *symbol, uint8_t direction,
				     uint8_t flags);

const char *vs_site_name(enum vs_site site);
const char *vs_class_name(enum vs_class class);
