/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domains.h - which domain of libvirt's is which process, and what that tells.
 *
 * libvirt's word names a VM once it has come; until then, and whenever libvirt
 * is lost, /proc's word serves. A domain and a process belong together by
 * libvirt's pid file, else by the UUID, else (a process without one) by the
 * name. What does not fit is kept as text in vm->disagreement.
 *
 * Layer:   source
 * State:   struct vs_domains: the descriptions; vm->domain points to them
 * Threads: one; callbacks run inside the loop
 */
#pragma once
#include "discover/libvirt.h"
#include "source/inventory.h"

enum vs_news_kind {
	VS_NEWS_LIBVIRT_LOST,	  /* .text: why */
	VS_NEWS_LIBVIRT_RESTORED, /* .seconds: it was lost for */
	VS_NEWS_VM_DESCRIBED,	  /* for the first time */
	VS_NEWS_VM_STATE,	  /* .domain's state differs from .text */
	VS_NEWS_VM_GONE,	  /* .domain: uuid, reason; .vm may be NULL */
	VS_NEWS_DISK_ATTACHED,	  /* .disk */
	VS_NEWS_DISK_DETACHED,
	VS_NEWS_DISK_IO_ERROR, /* .disk; .text: what QEMU did; .domain's reason; .count */
};

/* Borrowed for the call. */
struct vs_news {
	enum vs_news_kind kind;
	const struct vs_vm_entry *vm;
	const struct vs_domain *domain;
	const struct vs_domain_disk *disk;
	const char *text, *reason;
	uint64_t count;
	double seconds;
	bool was_connected; /* before this loss */
};
typedef void (*vs_news_fn)(void *data, const struct vs_news *news);

struct vs_domains;

/**
 * vs_domains_new() - begin to listen to libvirt.
 * @inv:  must outlive it; may still be all zero
 * @uri, @labels: as of vs_libvirt_new()
 * @news: may be NULL
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_domains_new(struct vs_loop *loop, struct vs_inventory *inv, const char *uri,
		   const struct vs_label_rules *labels, vs_news_fn news, void *data,
		   struct vs_domains **ret);
void vs_domains_free(struct vs_domains **domains);

/* A VM has appeared: finds its domain, if libvirt has told of it already. */
void vs_domains_match(struct vs_domains *domains, uint32_t pid);

const struct vs_libvirt *vs_domains_libvirt(const struct vs_domains *domains);

/* Name, UUID, images, memory, labels and libvirt's word, from the best source there is. */
void vs_domains_fill_vm(const struct vs_vm_entry *vm, struct vs_vm_sample *ret);
void vs_domains_fill_vnic(const struct vs_vnic_entry *vnic, struct vs_vnic_sample *ret);
/* Adds the probe "discover.libvirt". */
void vs_domains_fill_probe(const struct vs_domains *domains, struct vs_self_sample *ret);
