/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.h - numbers given out to VMs and vNICs, so that hot maps are arrays.
 *
 * A freed slot rests before it is given out again: programs that looked it up
 * just before may still write to it. Its generation tells old from new.
 *
 * Layer:   base
 * State:   struct vs_slots, its owner's
 * Threads: the owner's
 */
#pragma once
#include <stdint.h>

#define VS_SLOT_REST_NS (10ull * 1000000000ull)

struct vs_slots {
	uint32_t size;	 /* slots are 1 .. size - 1 */
	uint32_t next;	 /* never used from here on */
	uint32_t *gen;	 /* by slot; counts how often it was given out */
	uint32_t *freed; /* a queue of resting slots */
	uint64_t *freed_ns;
	uint32_t head, count;
};

/* Return: 0 or -ENOMEM. */
int vs_slots_init(struct vs_slots *s, uint32_t size);
void vs_slots_done(struct vs_slots *s);

/* Gives out a slot: 0, or -ENOSPC (the outputs are untouched). @now_ns is
 * monotonic. Prefers slots that have rested to slots never used, so that maps
 * stay small. */
int vs_slots_alloc(struct vs_slots *s, uint64_t now_ns, uint32_t *ret_slot, uint32_t *ret_gen);
void vs_slots_release(struct vs_slots *s, uint32_t slot, uint64_t now_ns);
