/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt.h - what libvirt says, without ever waiting for it.
 *
 * Starts virtscope-libvirt (see domain.h), passes its messages on, and watches
 * it: silence for VS_LIBVIRT_SILENT_NS is a loss, and silence for
 * VS_LIBVIRT_HUNG_NS ends the process; another is started, later each time. A
 * loss is told once; what libvirt said before is void from then on, and is said
 * anew after the next VS_DOMAIN_CONNECTED.
 *
 * Layer:   discover
 * State:   struct vs_libvirt: the process, its socket, a timer
 * Threads: one; callbacks run inside the loop. Nothing here blocks.
 */
#pragma once
#include "base/loop.h"
#include "discover/domain.h"

#define VS_LIBVIRT_URI	     "qemu:///system"
#define VS_LIBVIRT_SILENT_NS (3ull * 1000000000ull)
#define VS_LIBVIRT_HUNG_NS   (12ull * 1000000000ull)

enum vs_libvirt_state {
	VS_LIBVIRT_OFF,	      /* not wanted, or not installed */
	VS_LIBVIRT_STARTING,  /* has not said anything yet */
	VS_LIBVIRT_CONNECTED,
	VS_LIBVIRT_LOST,
};

struct vs_libvirt;

/* All types but VS_DOMAIN_ALIVE; VS_DOMAIN_LOST once per loss. Borrowed. */
typedef void (*vs_libvirt_fn)(void *data, const struct vs_domain_message *message);

/**
 * vs_libvirt_new() - begin to listen to libvirt.
 * @uri:    NULL: VS_LIBVIRT_URI; "none": to nobody. Borrowed for its life
 * @labels: what to take from the metadata of domains; NULL:
 *          vs_label_rules_default. Borrowed for its life
 *
 * Return: 0 (also when there is no virtscope-libvirt), or -errno. Logs: yes.
 */
int vs_libvirt_new(struct vs_loop *loop, const char *uri, const struct vs_label_rules *labels,
		   vs_libvirt_fn fn, void *data, struct vs_libvirt **ret);
void vs_libvirt_free(struct vs_libvirt **libvirt);

enum vs_libvirt_state vs_libvirt_state(const struct vs_libvirt *libvirt);
/* Nobody has listened at the URI since we began. */
bool vs_libvirt_is_absent(const struct vs_libvirt *libvirt);
/* Has it ever been connected? */
bool vs_libvirt_was_connected(const struct vs_libvirt *libvirt);
/* Why it is not connected; "" if it is. */
const char *vs_libvirt_reason(const struct vs_libvirt *libvirt);
const char *vs_libvirt_uri(const struct vs_libvirt *libvirt);
