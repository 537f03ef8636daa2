/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vs_slots_init(struct vs_slots *s, uint32_t size)
{
	memset(s, 0, sizeof(*s));
	s->size = size;
	s->next = 1;
	s->gen = calloc(size, sizeof(*s->gen));
	s->freed = calloc(size, sizeof(*s->freed));
	s->freed_ns = calloc(size, sizeof(*s->freed_ns));
	if (!s->gen || !s->freed || !s->freed_ns) {
		vs_slots_done(s);
		return -ENOMEM;
	}
	return 0;
}

void vs_slots_done(struct vs_slots *s)
{
	free(s->gen);
	free(s->freed);
	free(s->freed_ns);
	memset(s, 0, sizeof(*s));
}

int vs_slots_alloc(struct vs_slots *s, uint64_t now_ns, uint32_t *ret_slot, uint32_t *ret_gen)
{
	uint32_t slot;

	if (s->count && now_ns - s->freed_ns[s->head] >= VS_SLOT_REST_NS) {
		slot = s->freed[s->head];
		s->head = (s->head + 1) % s->size;
		s->count--;
	} else if (s->next < s->size) {
		slot = s->next++;
	} else {
		return -ENOSPC;
	}
	*ret_slot = slot;
	*ret_gen = ++s->gen[slot];
	return 0;
}

void vs_slots_release(struct vs_slots *s, uint32_t slot, uint64_t now_ns)
{
	uint32_t i = (s->head + s->count) % s->size;

	assert(slot && slot < s->next && s->count < s->size);
	s->freed[i] = slot;
	s->freed_ns[i] = now_ns;
	s->count++;
}
