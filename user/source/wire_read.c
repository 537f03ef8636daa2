/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_read.c - bytes of the other process -> sample; see wire.h. */
#include "source/wire.h"
#include "source/wire_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct name {
	UT_hash_handle hh;
	_Alignas(8) char bytes[];
};

struct vs_wire_names {
	struct name *texts, *infos, *kvm; /* by all their bytes */
	/* of the sample being read, by number - 1 */
	const char **text_of;
	const struct vs_disk_info **info_of;
	size_t text_size, info_size;
};

int vs_wire_names_new(struct vs_wire_names **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void free_names(struct name **head)
{
	struct name *n, *tmp;

	HASH_ITER(hh, *head, n, tmp)
	{
		HASH_DEL(*head, n);
		free(n);
	}
}

void vs_wire_names_free(struct vs_wire_names **names)
{
	struct vs_wire_names *n = *names;

	if (!n)
		return;
	free_names(&n->texts);
	free_names(&n->infos);
	free_names(&n->kvm);
	free(n->text_of);
	free(n->info_of);
	free(n);
	*names = NULL;
}

/* The one copy of these bytes. Return: it, or NULL when there is no memory. */
static const void *intern(struct name **head, const void *bytes, size_t len)
{
	struct name *n;

	HASH_FIND(hh, *head, bytes, len, n);
	if (n)
		return n->bytes;
	if (HASH_COUNT(*head) >= VS_WIRE_NAMES__N)
		return NULL;
	n = malloc(sizeof(*n) + len);
	if (!n)
		return NULL;
	memcpy(n->bytes, bytes, len);
	HASH_ADD_KEYPTR(hh, *head, n->bytes, len, n);
	return n->bytes;
}

struct reader {
	const char *bytes;
	size_t len, at;
};

/* The next @len bytes, or NULL when there are fewer. */
static const void *take(struct reader *r, size_t len)
{
	size_t at = r->at;

	if (len > r->len - at)
		return NULL;
	r->at = at + len;
	return r->bytes + at;
}

static bool skip_to_8(struct reader *r)
{
	return take(r, -r->at & 7) != NULL;
}

/* What must hold @n elements. Return: 0 or -ENOMEM. */
static int reserve(void **array, size_t *size, size_t n, size_t each)
{
	size_t more = *size ? *size : 16;
	void *grown;

	if (n <= *size)
		return 0;
	while (more < n)
		more *= 2;
	/* Nothing is kept: the old contents are overwritten anyway. */
	grown = calloc(more, each);
	if (!grown)
		return -ENOMEM;
	free(*array);
	*array = grown;
	*size = more;
	return 0;
}

static int read_array(struct reader *r, void **array, size_t *size, uint64_t n, size_t each)
{
	const void *from;

	if (n > (r->len - r->at) / each)
		return -EBADMSG;
	from = take(r, n * each);
	if (!from || !skip_to_8(r))
		return -EBADMSG;
	if (reserve(array, size, n, each))
		return -ENOMEM;
	if (n)
		memcpy(*array, from, n * each);
	return 0;
}

static int read_infos(struct reader *r, const struct vs_wire_header *h, struct vs_wire_names *names)
{
	if (h->infos_n > (r->len - r->at) / sizeof(struct vs_disk_info))
		return -EBADMSG;
	if (reserve((void **)&names->info_of, &names->info_size, h->infos_n,
		    sizeof(*names->info_of)))
		return -ENOMEM;
	for (uint32_t i = 0; i < h->infos_n; i++) {
		const void *from = take(r, sizeof(struct vs_disk_info));
		struct vs_disk_info info;

		if (!from)
			return -EBADMSG;
		memcpy(&info, from, sizeof(info));
		if (!vs_wire_is_bool(&info.logical))
			return -EBADMSG;
		VS_WIRE_CUT(info.name);
		VS_WIRE_CUT(info.kind);
		VS_WIRE_CUT(info.backing);
		names->info_of[i] = intern(&names->infos, &info, sizeof(info));
		if (!names->info_of[i])
			return -ENOMEM;
	}
	return skip_to_8(r) ? 0 : -EBADMSG;
}

static int read_texts(struct reader *r, const struct vs_wire_header *h, struct vs_wire_names *names)
{
	size_t left = h->texts_len;
	const char *from = take(r, h->texts_len);

	if (!from || h->texts_n > left)
		return -EBADMSG;
	if (reserve((void **)&names->text_of, &names->text_size, h->texts_n,
		    sizeof(*names->text_of)))
		return -ENOMEM;
	for (uint32_t i = 0; i < h->texts_n; i++) {
		char text[VS_WIRE_TEXT__N];
		size_t n = left < sizeof(text) ? left : sizeof(text), len;

		memcpy(text, from, n);
		len = strnlen(text, n);
		if (len == n)
			return -EBADMSG;
		names->text_of[i] = intern(&names->texts, text, len + 1);
		if (!names->text_of[i])
			return -ENOMEM;
		from += len + 1;
		left -= len + 1;
	}
	return left ? -EBADMSG : 0;
}

static int read_kvm_names(struct reader *r, struct vs_wire_names *names, struct vs_sample *s)
{
	const void *from = take(r, sizeof(*s->kvm_names));
	struct vs_kvm_names k;

	if (!from || !skip_to_8(r))
		return -EBADMSG;
	memcpy(&k, from, sizeof(k));
	if (k.n > VS_KVM_STAT__N || !vs_wire_is_bool(&k.polling))
		return -EBADMSG;
	for (uint32_t i = 0; i < VS_KVM_STAT__N; i++) {
		if (!vs_wire_is_bool(&k.exits[i]))
			return -EBADMSG;
		VS_WIRE_CUT(k.name[i]);
	}
	s->kvm_names = intern(&names->kvm, &k, sizeof(k));
	return s->kvm_names ? 0 : -ENOMEM;
}

#define READ(r, s, h, array, kind)                                                             \
	({                                                                                     \
		int read_ = read_array(r, (void **)&(s)->array, &(s)->array##_size, (h)->n[kind], \
				       sizeof(*(s)->array));                                   \
		if (!read_)                                                                    \
			(s)->array##_n = (h)->n[kind];                                         \
		read_;                                                                         \
	})

static int read_all(struct reader *r, const struct vs_wire_header *h, struct vs_wire_names *names,
		    struct vs_sample *s)
{
	struct vs_wire_refs refs;
	const void *self;
	int e;

	if ((e = READ(r, s, h, vms, VS_WIRE_VMS)) || (e = READ(r, s, h, vnics, VS_WIRE_VNICS)) ||
	    (e = READ(r, s, h, drops, VS_WIRE_DROPS)) || (e = READ(r, s, h, disks, VS_WIRE_DISKS)) ||
	    (e = READ(r, s, h, virtqs, VS_WIRE_VIRTQS)) ||
	    (e = READ(r, s, h, threads, VS_WIRE_THREADS)) || (e = READ(r, s, h, kvm, VS_WIRE_KVM)))
		return e;
	self = take(r, sizeof(s->self));
	if (!self || !skip_to_8(r))
		return -EBADMSG;
	memcpy(&s->self, self, sizeof(s->self));
	if ((h->has_kvm_names && (e = read_kvm_names(r, names, s))) ||
	    (e = read_infos(r, h, names)) || (e = read_texts(r, h, names)))
		return e;
	refs = (struct vs_wire_refs){ .texts = names->text_of,
				      .infos = names->info_of,
				      .texts_n = h->texts_n,
				      .infos_n = h->infos_n };
	return r->at == r->len ? vs_wire_check(s, &refs) : -EBADMSG;
}

int vs_wire_decode(const void *bytes, size_t len, struct vs_wire_names *names,
		   struct vs_sample *ret)
{
	struct reader r = { .bytes = bytes, .len = len };
	struct vs_wire_header h;
	uint32_t each[VS_WIRE_SIZE__N];
	int e;

	vs_sample_clear(ret);
	if (len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, bytes, sizeof(h));
	vs_wire_sizes(each);
	if (h.magic != VS_WIRE_MAGIC || memcmp(h.each, each, sizeof(each)) != 0)
		return -EPROTONOSUPPORT;
	if (h.len != len || h.has_kvm_names > 1 || h.flush_blind > 1 || h.synthetic > 1)
		return -EBADMSG;
	r.at = sizeof(h);
	e = skip_to_8(&r) ? read_all(&r, &h, names, ret) : -EBADMSG;
	if (e) {
		vs_sample_clear(ret);
		return e;
	}
	ret->mono_ns = h.mono_ns;
	ret->wall_ns = h.wall_ns;
	ret->threads_ns = h.threads_ns;
	ret->flush_blind = h.flush_blind;
	ret->synthetic = h.synthetic;
	return 0;
}

int vs_wire_decode_deep(const void *bytes, size_t len, struct vs_deep_sample *ret)
{
	struct vs_deep_sample s = { 0 };
	struct reader r = { .bytes = bytes, .len = len };
	size_t threads_size = 0;
	struct vs_wire_deep h;
	int e;

	if (len < sizeof(h) + sizeof(s.programs))
		return -EBADMSG;
	memcpy(&h, take(&r, sizeof(h)), sizeof(h));
	if (h.magic != VS_WIRE_DEEP_MAGIC || h.thread_size != sizeof(*s.threads) ||
	    h.ran_size != sizeof(*s.ran) || h.program_size != sizeof(s.programs))
		return -EPROTONOSUPPORT;
	if (h.len != len || h.programs_n > sizeof(s.programs) / sizeof(s.programs[0]))
		return -EBADMSG;
	memcpy(s.programs, take(&r, sizeof(s.programs)), sizeof(s.programs));
	e = read_array(&r, (void **)&s.threads, &threads_size, h.threads_n, sizeof(*s.threads));
	if (!e)
		e = read_array(&r, (void **)&s.ran, &s.ran_size, h.ran_n, sizeof(*s.ran));
	if (!e && r.at != len)
		e = -EBADMSG;
	for (uint64_t i = 0; !e && i < h.threads_n; i++) {
		VS_WIRE_CUT(s.threads[i].name);
		if (s.threads[i].role >= VS_ROLE__N || !vs_wire_is_bool(&s.threads[i].waiting))
			e = -EBADMSG;
	}
	if (e) {
		vs_deep_sample_done(&s);
		return e;
	}
	for (uint64_t i = 0; i < h.ran_n; i++)
		VS_WIRE_CUT(s.ran[i].comm);
	for (size_t i = 0; i < sizeof(s.programs) / sizeof(s.programs[0]); i++)
		vs_wire_cut_program(&s.programs[i]);
	s.mono_ns = h.mono_ns;
	s.threads_n = h.threads_n;
	s.ran_n = h.ran_n;
	s.programs_n = h.programs_n;
	*ret = s;
	return 0;
}
