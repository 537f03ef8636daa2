/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/ksyms.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Names outlive the answers: samples point to them. */
struct name {
	UT_hash_handle hh; /* by text */
	char text[64];
};

struct answer {
	uint64_t address;
	uint64_t start; /* of the best symbol seen in this pass */
	const char *name;
	bool of_module; /* may be another's after the next load */
	bool stale;
	UT_hash_handle hh;
};

struct vs_ksyms {
	struct answer *answers; /* by address */
	struct name *names;
};

int vs_ksyms_new(struct vs_ksyms **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void vs_ksyms_free(struct vs_ksyms **k)
{
	struct answer *a, *at;
	struct name *n, *nt;

	if (!*k)
		return;
	HASH_ITER(hh, (*k)->answers, a, at)
	{
		HASH_DEL((*k)->answers, a);
		free(a);
	}
	HASH_ITER(hh, (*k)->names, n, nt)
	{
		HASH_DEL((*k)->names, n);
		free(n);
	}
	free(*k);
	*k = NULL;
}

void vs_ksyms_modules_changed(struct vs_ksyms *k)
{
	struct answer *a, *tmp;

	HASH_ITER(hh, k->answers, a, tmp)
	{
		a->stale = a->of_module;
	}
}

static const char *intern(struct vs_ksyms *k, const char *symbol)
{
	size_t len = strcspn(symbol, "."); /* what the compiler appended is no name */
	struct name *n;

	if (len >= sizeof(n->text))
		len = sizeof(n->text) - 1;
	HASH_FIND(hh, k->names, symbol, len, n);
	if (n)
		return n->text;
	n = calloc(1, sizeof(*n));
	if (!n)
		return "";
	memcpy(n->text, symbol, len);
	HASH_ADD(hh, k->names, text, len, n);
	return n->text;
}

static int by_address(const void *x, const void *y)
{
	const struct answer *const *a = x, *const *b = y;

	return (*a)->address < (*b)->address ? -1 : (*a)->address > (*b)->address;
}

/* Offers symbol @name at @start to every address at or after it. @asked is
 * sorted: the walk ends at the first address before the symbol. */
static void offer(struct vs_ksyms *k, struct answer **asked, size_t n, uint64_t start,
		  const char *name, bool of_module)
{
	while (n--) {
		struct answer *a = asked[n];

		if (a->address < start)
			return;
		/* A return address may be the first byte after a call that
		 * ends its function, so the symbol must begin before it. */
		if (start < a->address && start > a->start) {
			a->start = start;
			a->name = intern(k, name);
			a->of_module = of_module;
		}
	}
}

static void read_kallsyms(struct vs_ksyms *k, struct answer **asked, size_t n)
{
	vs_autofclose FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], type, name[256];
	uint64_t start;

	if (!f) {
		vs_warn("open '/proc/kallsyms': %s; locations of drops stay unnamed, ignoring",
			strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 " %c %255s", &start, &type, name) != 3)
			continue;
		if (!strchr("tTwW", type) || vs_text_starts(name, "__pfx_"))
			continue;
		offer(k, asked, n, start, name, strchr(line, '[') != NULL);
	}
}

void vs_ksyms_resolve(struct vs_ksyms *k, const uint64_t *addresses, size_t n)
{
	vs_autofree struct answer **asked = calloc(n ? n : 1, sizeof(struct answer *));
	size_t asked_n = 0;

	for (size_t i = 0; asked && i < n; i++) {
		struct answer *a;

		HASH_FIND(hh, k->answers, &addresses[i], sizeof(addresses[i]), a);
		if (a && !a->stale)
			continue;
		if (!a) {
			a = calloc(1, sizeof(*a));
			if (!a)
				break;
			a->address = addresses[i];
			a->name = "";
			HASH_ADD(hh, k->answers, address, sizeof(a->address), a);
		}
		/* An unloaded module's address keeps the name that it had. */
		a->stale = false;
		a->start = 0;
		asked[asked_n++] = a;
	}
	if (!asked_n)
		return;
	qsort(asked, asked_n, sizeof(struct answer *), by_address);
	read_kallsyms(k, asked, asked_n);
}

const char *vs_ksyms_name(struct vs_ksyms *k, uint64_t address)
{
	struct answer *a;

	HASH_FIND(hh, k->answers, &address, sizeof(address), a);
	return a ? a->name : "";
}
