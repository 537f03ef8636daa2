/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "detect/burst.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* The places of one reason; more than so many share the last entry. */
#define PLACES 8
struct place {
	uint64_t address;
	uint64_t base; /* count when the series' base was taken */
	uint64_t now;
};

struct series {
	struct {
		uint64_t vnic_uid;
		uint32_t raw_reason;
		uint32_t direction;
	} key;
	uint64_t base, base_ns; /* counted from here */
	uint64_t noted_ns;	/* 0: no burst waits */
	uint64_t told_ns;	/* 0: never */
	uint64_t sum;		/* in the sample under way */
	uint64_t most; /* lost since the base at the place that lost most */
	bool present;
	const struct vs_drop_sample *where; /* that place; of the sample under way */
	uint32_t places_n;
	struct place places[PLACES];
	UT_hash_handle hh;
};

struct note {
	uint64_t vnic_uid;
	uint32_t raw_reason;
	uint64_t ns;
};

struct vs_burst_detector {
	struct series *all;
	struct note notes[64]; /* since the last tick; more are the same again */
	size_t notes_n;
	uint64_t last_tick_ns;
};

int vs_burst_new(struct vs_burst_detector **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void vs_burst_free(struct vs_burst_detector **d)
{
	struct series *s, *tmp;

	if (!*d)
		return;
	HASH_ITER(hh, (*d)->all, s, tmp)
	{
		HASH_DEL((*d)->all, s);
		free(s);
	}
	free(*d);
	*d = NULL;
}

void vs_burst_note(struct vs_burst_detector *d, uint64_t vnic_uid, uint32_t raw_reason,
		   uint64_t now_ns)
{
	for (size_t i = 0; i < d->notes_n; i++)
		if (d->notes[i].vnic_uid == vnic_uid && d->notes[i].raw_reason == raw_reason)
			return;
	if (d->notes_n < sizeof(d->notes) / sizeof(d->notes[0]))
		d->notes[d->notes_n++] = (struct note){ vnic_uid, raw_reason, now_ns };
}

static struct series *series_of(struct vs_burst_detector *d, const struct vs_drop_sample *row,
				uint64_t now_ns)
{
	struct series *s, like = { .key = { .vnic_uid = row->vnic_uid,
					    .raw_reason = row->raw_reason,
					    .direction = row->kind.direction } };

	HASH_FIND(hh, d->all, &like.key, sizeof(like.key), s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->key = like.key;
	s->base_ns = d->last_tick_ns ? d->last_tick_ns : now_ns;
	HASH_ADD(hh, d->all, key, sizeof(s->key), s);
	return s;
}

static struct place *place_of(struct series *s, uint64_t address)
{
	for (uint32_t i = 0; i < s->places_n; i++)
		if (s->places[i].address == address)
			return &s->places[i];
	if (s->places_n == PLACES)
		return &s->places[PLACES - 1];
	s->places[s->places_n] = (struct place){ .address = address };
	return &s->places[s->places_n++];
}

/* From here on is counted what the next event tells. */
static void set_base(struct series *s, uint64_t now_ns)
{
	s->base = s->sum;
	s->base_ns = now_ns;
	for (uint32_t i = 0; i < s->places_n; i++)
		s->places[i].base = s->places[i].now;
}

static void sum_up(struct vs_burst_detector *d, const struct vs_sample *sample)
{
	struct series *s, *tmp;
	struct place *place;

	HASH_ITER(hh, d->all, s, tmp)
	{
		s->sum = s->most = 0;
		s->present = false;
		s->where = NULL;
	}
	for (size_t i = 0; i < sample->drops_n; i++) {
		const struct vs_drop_sample *row = &sample->drops[i];

		if (!row->vnic_uid || row->kind.class != VS_CLASS_LOSS)
			continue;
		s = series_of(d, row, sample->mono_ns);
		if (!s)
			continue;
		s->present = true;
		s->sum += row->count;
		place = place_of(s, row->address);
		place->now = row->count;
		if (!s->where || row->count - place->base > s->most) {
			s->where = row;
			s->most = row->count - place->base;
		}
	}
}

static void take_notes(struct vs_burst_detector *d)
{
	struct series *s, *tmp;

	HASH_ITER(hh, d->all, s, tmp)
	{
		for (size_t i = 0; i < d->notes_n && !s->noted_ns; i++)
			if (d->notes[i].vnic_uid == s->key.vnic_uid &&
			    d->notes[i].raw_reason == s->key.raw_reason && s->sum > s->base)
				s->noted_ns = d->notes[i].ns;
	}
	d->notes_n = 0;
}

void vs_burst_tick(struct vs_burst_detector *d, const struct vs_sample *sample, vs_burst_fn fn,
		   void *data)
{
	uint64_t now = sample->mono_ns;
	struct series *s, *tmp;

	sum_up(d, sample);
	take_notes(d);
	HASH_ITER(hh, d->all, s, tmp)
	{
		bool quiet = !s->told_ns || now - s->told_ns >= VS_BURST_QUIET_NS;

		if (!s->present) { /* the vNIC has gone */
			HASH_DEL(d->all, s);
			free(s);
			continue;
		}
		if (!quiet)
			continue; /* the base stays: the next event carries it all */
		if (!s->noted_ns) {
			set_base(s, now);
			continue;
		}
		/* signed: a note may be younger than the sample */
		if ((int64_t)(now - s->noted_ns) < (int64_t)VS_BURST_SETTLE_NS)
			continue;
		if (s->sum - s->base >= VS_BURST_MIN) {
			struct vs_burst_finding f = { .vnic_uid = s->key.vnic_uid,
						      .direction = (uint8_t)s->key.direction,
						      .reason = s->where->reason,
						      .site = s->where->kind.site,
						      .location = s->where->location,
						      .count = s->sum - s->base,
						      .over_ns = now - s->base_ns };

			fn(data, &f);
			s->told_ns = now;
		}
		set_base(s, now);
		s->noted_ns = 0;
	}
	d->last_tick_ns = now;
}
