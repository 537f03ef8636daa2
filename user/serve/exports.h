/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exports.h - what /metrics shows: one value per series, kept from sample to sample.
 *
 * A sample's rows are *origins* (a vNIC's direction, a thread, a drop's place),
 * what is exported are *rows* (the series of one set of labels, by collector).
 * Several objects may add to one row: all threads of a role, all addresses in
 * one function, everything that is folded into "other". So each object keeps
 * what it read last, and a row takes differences: modulo 2^32 where counts are 32
 * bit, so that they do not wrap here. A row never goes back while it exists, and
 * "other" exists as long as the daemon.
 *
 * Limits. A VM has at most series_per_vm series: a vNIC or disk that does not fit
 * is folded into one named "other", as are reasons of drops; where a VM alone is
 * too much (more than vms of them) all of it is in vm="other". Who is named stays
 * named, and who is folded stays folded: first come, first served, by the order of
 * their start. One exception: the first vNIC that does not fit takes the last
 * named one with it, which makes the room for "other".
 *
 * Names. Two VMs of one name are NAME~PID, both, and so is one whose name could be
 * mistaken for such or for "other". vNICs and disks likewise, by namespace and
 * device number, but the first keeps its name.
 *
 * Layer:   serve
 * State:   struct vs_exports
 * Threads: one
 */
#pragma once
#include "model/metrics.h"

#include <uthash.h>

#define VS_EXPORTS_BUCKET__N 32
#define VS_EXPORTS_OTHER	    "other"

struct vs_exports_options {
	/* Upper bounds in seconds, ascending; each is moved to the nearest edge of our
	 * own buckets, at most 6 % away, so that counts are exact. Default: 7 bounds, 20 us
	 * to 1 s. */
	double buckets[VS_EXPORTS_BUCKET__N];
	uint32_t buckets_n;	/* 0: the default */
	uint32_t series_per_vm; /* 0: 150. Ten times as many with detail */
	uint32_t vms;		/* 0: 500 */
	const char *const *detail; /* names of VMs with all metrics; "*": all. Copied */
	uint32_t detail_n;
};

enum vs_device_kind {
	VS_DEVICE_NONE, /* what belongs to the VM itself */
	VS_DEVICE_VNIC,
	VS_DEVICE_PHYSICAL,
	VS_DEVICE_LOGICAL,
	VS_DEVICE__N,
};

enum vs_folded { VS_FOLDED_VM, VS_FOLDED_VNIC, VS_FOLDED_DISK, VS_FOLDED_REASON, VS_FOLDED__N };

struct vs_subject;
struct vs_device;

struct vs_row {
	struct vs_device *device;
	enum vs_collector collector;
	char *text;	  /* labels after those of VM and device, escaped; may be "" */
	uint32_t wanted;  /* metrics of the collector that are exported */
	uint32_t has;	  /* those that were there at the last sample */
	uint64_t gen;
	struct vs_row *prev, *next;	/* of the collector */
	struct vs_row *dprev, *dnext;	/* of the device */
	uint64_t v[]; /* by struct vs_layout */
};

struct vs_device {
	struct vs_subject *subject;
	enum vs_device_kind kind;
	uint64_t key; /* network namespace; device number */
	char name[32];
	char *base, *label; /* the name escaped; and told apart. NULL: NONE */
	struct vs_device *into; /* itself, or where it is folded into */
	bool paid;		/* its series are in the subject's account */
	struct vs_row *rows;
	bool dead; /* about to be freed */
	uint64_t gen;
	struct vs_device *prev, *next;
};

/* A VM; or all folded ones; or nobody; or the host. */
struct vs_subject {
	uint64_t uid;
	uint32_t pid;
	char *name, *base, *label; /* "" as label: has none */
	bool detail, folded;
	uint32_t vcpus; /* threads that are, when they were read last */
	uint32_t used, limit; /* series */
	struct vs_device whole;
	struct vs_device *devices;
	struct vs_device *other[VS_DEVICE__N];
	uint64_t gen;
	UT_hash_handle hh;
};

struct vs_origin_key {
	uint64_t a, b;
	uint32_t c, d;
};

struct vs_origin {
	struct vs_origin_key key;
	struct vs_row *row;
	bool folded; /* counted in folded[VS_FOLDED_REASON] */
	uint64_t gen;
	UT_hash_handle hh;
	uint64_t last[]; /* as the row's v[] */
};

/* Where a collector's metrics lie in v[]. A histogram: counts by bucket, then the sum in ns. */
struct vs_layout {
	uint32_t metrics_n, size;
	enum vs_metric_id metric[32];
	uint32_t at[32];
};

struct vs_exports {
	struct vs_exports_options options;
	char **detail; /* the options' */
	uint32_t bounds_n;
	uint32_t bound[VS_EXPORTS_BUCKET__N]; /* our buckets up to and with this one */
	char le[VS_EXPORTS_BUCKET__N + 1][24];
	struct vs_layout slots[VS_COLLECT__N];
	struct vs_row *rows[VS_COLLECT__N]; /* doubly linked, in the order of their birth */
	struct vs_origin *objects[VS_COLLECT__N];
	struct vs_origin *at[VS_COLLECT__N]; /* the next object is mostly the one after this */
	uint32_t touched[VS_COLLECT__N];
	struct vs_subject *vms; /* by uid */
	struct vs_subject other, nobody, host;
	uint32_t named;
	uint32_t cost_vm[2], cost[VS_DEVICE__N][2]; /* series of one; by detail */
	uint64_t folded[VS_FOLDED__N];
	bool relabel; /* VMs have come, gone or changed their names */
	bool frozen;  /* being rendered */
	uint64_t gen;
};

/* Return: 0, -EINVAL (bounds not ascending, or not from 2 us to 60 s), or -ENOMEM. Logs: yes. */
int vs_exports_new(const struct vs_exports_options *options, struct vs_exports **ret);
void vs_exports_free(struct vs_exports **series);

/**
 * vs_exports_update() - take a sample in.
 * @s:	 sorted; VMs that ended are none of it any more
 * @own: the exporter's own figures
 *
 * Not while it is frozen. Return: 0, or -ENOMEM with some series missing.
 * Logs: never.
 */
int vs_exports_update(struct vs_exports *series, const struct vs_sample *s, const struct vs_own *own);

/* The bucket of ours whose upper edge is nearest to @seconds. */
uint32_t vs_exports_snap(double seconds);

/* A label's value for the exposition format: valid UTF-8, with \\, \" and \n
 * escaped and other control characters shown as \xNN. What is too long is cut.
 * Return: ret_text. */
#define VS_ESCAPED__N 2048
char *vs_exports_escape(const char *text, char ret_text[static VS_ESCAPED__N]);

/* Series that a row gives when all its metrics are there. */
uint32_t vs_exports_cost(const struct vs_exports *series, enum vs_collector collector, uint32_t wanted);

/*
 * The rest is for the parts of this store: origins.c (rows and their origins), subjects.c
 * (who is named), collectors.c and collectors_self.c (walk a sample).
 */

/* Metrics of a collector that @detail or their level exports. */
uint32_t vs_exports_wanted(const struct vs_exports *series, enum vs_collector collector,
			  const struct vs_metric_context *c, bool detail);
/* The object of @key, or NULL. A hit is marked as seen. */
struct vs_origin *vs_exports_find(struct vs_exports *series, enum vs_collector collector,
				 const struct vs_origin_key *key);
/* A new object that adds to @device's row of these labels. @text may be freed then. */
struct vs_origin *vs_exports_make(struct vs_exports *series, enum vs_collector collector,
				 const struct vs_origin_key *key, struct vs_device *device,
				 const char *text, uint32_t wanted);
/* Adds what @c holds beyond the object's last reading to its row. */
void vs_exports_add(struct vs_exports *series, struct vs_origin *o, const struct vs_metric_context *c);
/* Sets the row of these labels to what @c holds: for what is walked as a whole. With
 * @text_only the collector has one row per device, whose labels may change. */
int vs_exports_set(struct vs_exports *series, enum vs_collector collector, struct vs_device *device,
		  const char *text, bool text_only, const struct vs_metric_context *c);
struct vs_row *vs_exports_row(const struct vs_device *device, enum vs_collector collector,
			     const char *text);
/* Frees objects of @collector that this sample did not have. */
void vs_exports_sweep(struct vs_exports *series, enum vs_collector collector);
/* Frees rows of what is set as a whole and was not set this time. */
void vs_exports_sweep_rows(struct vs_exports *series);
/* Frees the objects that add to rows of dead devices; and the rows of one. */
void vs_exports_bury(struct vs_exports *series);
void vs_exports_free_rows(struct vs_exports *series, struct vs_device *device);

void vs_subjects_init(struct vs_exports *series);
/* The VM, made when it is new. Return: NULL when there is no memory. */
struct vs_subject *vs_subjects_vm(struct vs_exports *series, const struct vs_vm_sample *vm);
struct vs_subject *vs_subjects_find(struct vs_exports *series, uint64_t uid);
/* The device, made when it is new. Its series are those of its ->into, which may become
 * another when the next one is made. */
struct vs_device *vs_subjects_device(struct vs_exports *series, struct vs_subject *s,
				     enum vs_device_kind kind, uint64_t key, const char *name);
/* The vNIC "other" of a subject, for reasons that do not fit. */
struct vs_device *vs_subjects_other_vnic(struct vs_exports *series, struct vs_subject *s);
/* Tells VMs of one name apart. Return: 0 or -ENOMEM. */
int vs_subjects_relabel(struct vs_exports *series);
/* Frees VMs and devices that the last sample did not have. */
void vs_subjects_sweep(struct vs_exports *series);
void vs_subjects_done(struct vs_exports *series);

int vs_exports_walk(struct vs_exports *series, const struct vs_sample *s);
/* After the sweeps: it counts what is folded. */
int vs_exports_walk_self(struct vs_exports *series, const struct vs_sample *s, const struct vs_own *own);
