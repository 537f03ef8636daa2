/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tell.h - what happens to VMs -> events.
 *
 * Two events wait for libvirt's word, for a moment and only where it is to be
 * expected: the start of a VM that waits for a saved or migrated state (its
 * command line does not tell which), and the end of a VM that libvirt runs
 * (why it ended). A VM's other events never come before its start.
 *
 * Layer:   source
 * State:   struct vs_tell: starts and ends that wait
 * Threads: one
 */
#pragma once
#include "source/live.h"
#include "source/source.h"

#include <jansson.h>

struct vs_tell;

/* @live: where to find the source, which may not be there yet. Return: 0 or -errno. */
int vs_tell_new(struct vs_loop *loop, struct vs_live *const *live, vs_emit_fn emit, void *to,
		struct vs_tell **ret);
/* Ends that wait are told; starts are not. */
void vs_tell_free(struct vs_tell **tell);

/* As of vs_live_ops; @data is the struct vs_tell. */
void vs_tell_change(void *data, enum vs_change change, const struct vs_vm_entry *vm,
		    const struct vs_vnic_entry *vnic);
void vs_tell_news(void *data, const struct vs_news *news);

/* Any other event of a VM, behind its start. @type and @severity are static;
 * takes @data's reference. */
void vs_tell_event(struct vs_tell *tell, const struct vs_vm_entry *vm, const char *type,
		   const char *severity, json_t *data);

/* The start of this VM still waits for libvirt's word. */
bool vs_tell_holds(const struct vs_tell *tell, uint64_t vm_uid);
