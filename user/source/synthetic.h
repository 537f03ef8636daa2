/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * synthetic.h - VMs that are not there: a source of plausible figures for
 * benchmarks, tests of detectors, and trying out what reads them.
 *
 * Every figure is a pure function of (options, time): two fills for one time are
 * alike whatever was asked for in between, counters only grow, and no state is
 * kept, so that the cost of 1,000 VMs is that of their sample. Rates follow a day,
 * a wave of ten minutes and noise; what hangs together adds up (buckets and
 * counts, parts and totals, drops and the kernel's counter).
 *
 * Layer:   source
 * State:   struct vs_synthetic: options and names, constant
 * Threads: any for the pure part
 */
#pragma once
#include "source/source.h"

#define VS_SYNTHETIC_MAX 4000 /* VMs, as the slots of the real one */

/* What a VM does; the first five VMs are one of each. */
#define VS_SYNTHETIC_KINDS(X)   \
	X(IDLE, "idle")         \
	X(WEB, "web")           \
	X(DATABASE, "database") \
	X(NOISY, "noisy")       \
	X(THROTTLED, "throttled")
enum vs_synthetic_kind {
#define X(name, label) VS_SYNTHETIC_##name,
	VS_SYNTHETIC_KINDS(X)
#undef X
	VS_SYNTHETIC_KIND__N,
};

/* What may go wrong with one, for a while. */
enum vs_odd {
	VS_ODD_RESIDENCE,  /* packets wait 20 times as long for the guest */
	VS_ODD_DISK,	   /* so do requests, in the device */
	VS_ODD_DROPS,	   /* one packet in ten more is lost in the ring */
	VS_ODD_THROUGHPUT, /* eight times the packets */
	VS_ODD_STEAL,	   /* the host's CPUs are elsewhere */
	VS_ODD__N,
};

struct vs_synthetic_anomaly {
	uint32_t vm; /* its index, 0 to vms - 1 */
	enum vs_odd what;
	double from_s, to_s; /* since the begin */
};

#define VS_SYNTHETIC_ANOMALY__N 8
/* With churn_s, one VM in so many comes and goes. */
#define VS_SYNTHETIC_CHURN 8

struct vs_synthetic_options {
	uint32_t vms;
	uint64_t seed;
	uint64_t begin_ns; /* monotonic: all counters are 0 then */
	uint32_t churn_s;  /* length of a life, of which it is away the last tenth; 0: none end */
	uint32_t anomalies_n;
	/* One of a kind for a VM at most: of two, the first counts. */
	struct vs_synthetic_anomaly anomalies[VS_SYNTHETIC_ANOMALY__N];
};

struct vs_synthetic;

/* @options: copied. Return: 0, -EINVAL (vms 0 or too many) or -ENOMEM. Logs: never. */
int vs_synthetic_new(const struct vs_synthetic_options *options, struct vs_synthetic **ret);
void vs_synthetic_free(struct vs_synthetic **synthetic);

/**
 * vs_synthetic_fill() - the sample of one moment, sorted.
 * @mono_ns:  not before begin_ns
 * @since_ns: VMs that ended after it are in, marked as such; UINT64_MAX: none are
 * @look:     as of the live source
 *
 * All but "self", of which only the probes are filled. Return: 0 or -ENOMEM.
 */
int vs_synthetic_fill(const struct vs_synthetic *synthetic, uint64_t mono_ns, uint64_t wall_ns,
		      uint64_t since_ns, enum vs_look look, struct vs_sample *ret);

/**
 * vs_synthetic_source() - the same as a source, by the real clocks, that also
 * tells what comes and goes, and bursts of drops. "self" is this process's.
 * @options:  begin_ns is taken from the clock
 * @listener: copied; NULL: nobody is told
 *
 * Return: 0 or -errno. Logs: yes, above all that nothing of it is real.
 */
int vs_synthetic_source(const struct vs_synthetic_options *options,
			const struct vs_source_listener *listener, struct vs_source *ret);
