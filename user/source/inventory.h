/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inventory.h - the VMs there are, what they own, and their slots in the maps.
 *
 * Layer:   source
 * State:   struct vs_inventory; entries are its own, borrowed by callers until
 *          the next call that may remove them
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "base/slots.h"
#include "discover/domain.h"
#include "discover/links.h"
#include "discover/proc.h"
#include "probe/loader.h"

#include <uthash.h>

struct vs_vm_entry;

/* A vNIC that its VM has closed keeps its slot so long: what a report over that
 * time must still tell (the purge of its ring, a tap left without a reader). */
#define VS_VNIC_LINGER_NS (300ull * 1000000000ull)

struct vs_vnic_entry {
	uint64_t uid;
	struct vs_vm_entry *vm;
	uint32_t slot, gen; /* slot 0: no room, totals only */
	struct vs_dev_id id;
	uint64_t dev; /* address, 0 if unknown */
	char name[VS_IFNAME__N];
	uint32_t netns_inum;
	uint32_t tun_fd; /* one of the VMM's descriptors of it */
	bool host_netns;
	bool seen; /* by the scan under way */
	uint64_t gone_ns; /* the VM closed it then; 0: it is attached */
	bool has_base;
	struct vs_link_stats base_link; /* at activation: unexplained counts from here */
	uint64_t base_explained[2];
	struct vs_vnic base; /* the slot's counters at activation */
	struct vs_vnic_entry *next; /* of the same VM */
};

struct vs_vm_entry {
	uint64_t uid;
	uint32_t pid;
	uint64_t start_time;
	int pidfd;
	uint32_t slot, gen;
	bool found; /* was there before us */
	bool uses_vhost; /* has /dev/vhost-net open */
	bool named; /* by --vm: nobody renames it */
	char name[VS_NAME__N];
	struct vs_cmdline facts;
	/* What source/domains.c knows from libvirt. */
	const struct vs_domain *domain; /* borrowed; NULL: /proc's word serves */
	char disagreement[160];
	char stop_reason[VS_WORD__N]; /* libvirt told of its end before it came */
	uint64_t cgroups[2];
	int cgroups_n;
	struct vs_vnic_entry *vnics;
	UT_hash_handle hh; /* by pid */
};

/* What the owner is told of. vnic is NULL for changes of the VM. */
enum vs_change {
	VS_VM_STARTED,
	VS_VM_LEAVING, /* has ended; its rows are still there, for the last time */
	VS_VM_STOPPED,
	VS_VNIC_ATTACHED,
	VS_VNIC_DETACHED
};
typedef void (*vs_change_fn)(void *data, enum vs_change change, const struct vs_vm_entry *vm,
			     const struct vs_vnic_entry *vnic);

struct vs_inventory {
	struct vs_loop *loop;
	struct vs_loader *loader;
	struct vs_vm_entry *vms; /* by pid */
	struct vs_vm_entry **vm_by_slot;
	struct vs_vnic_entry **vnic_by_slot;
	struct vs_slots vm_slots, vnic_slots;
	uint64_t next_uid;
	uint64_t slots_full;
	uint32_t cgroups;
	uint64_t home_cookie;	/* of our own network namespace, 0: unknown */
	uint64_t dirty_ns;	/* last release; 0: maps are tidy */
	uint64_t aged_ns;	/* when the spilled requests were last looked through */
	uint64_t rq_aged;	/* of them given up */
	/* entries of the maps that nobody else counts, at that look */
	uint64_t rq_spilled, devices, bursts;
	int links_fd;		/* rtnetlink in our own namespace */
	vs_change_fn changed;
	void *data;
};

/* Return: 0 or -errno. Logs: yes. @loop and @loader must outlive it. */
int vs_inventory_init(struct vs_inventory *inv, struct vs_loop *loop, struct vs_loader *loader,
		      vs_change_fn changed, void *data);
void vs_inventory_done(struct vs_inventory *inv);

/**
 * vs_inventory_add() - process @pid is a VM.
 * @name:  what to call it; NULL: what its command line says, else vmm-PID
 * @found: it ran before we looked for the first time
 *
 * Return: its entry (also when it was known before), NULL if the process has
 * gone or memory is short. Logs: yes.
 */
struct vs_vm_entry *vs_inventory_add(struct vs_inventory *inv, uint32_t pid, const char *name,
				     bool found);

/* Gives @vm the name that libvirt has for it; NULL: what /proc says. */
void vs_inventory_rename(struct vs_vm_entry *vm, const char *name);

/* libvirt's word, else the command line's; "" if neither says one. */
static inline const char *vs_vm_uuid(const struct vs_vm_entry *vm)
{
	return vm->domain ? vm->domain->uuid : vm->facts.uuid;
}

/* Looks for VMMs by name in all of /proc. */
void vs_inventory_scan_processes(struct vs_inventory *inv, bool found);
/* Looks through all open files: new KVM VMs, vNICs that came and went; looks at
 * the VMs' cgroups anew. */
void vs_inventory_scan_files(struct vs_inventory *inv, bool found);

bool vs_inventory_uses_vhost(const struct vs_inventory *inv);

/* Deletes from the maps what released slots left there, and once a minute the
 * block requests in the spill hash whose end never came (older than
 * VS_RQ_AGE_NS). Call it once in a while; mostly there is nothing to do. */
void vs_inventory_tidy(struct vs_inventory *inv, uint64_t now_ns);

/* Totals of one link, wherever it lives. Return: 0 or -errno. */
int vs_inventory_link_stats(struct vs_inventory *inv, const struct vs_vnic_entry *vnic,
			    struct vs_link_stats *ret);
