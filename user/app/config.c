/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/config_table.h"
#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_value(const struct vs_config_key *k)
{
	return k->type != VS_CONFIG_SECTION && k->type != VS_CONFIG_FIELD;
}

/* The table's defaults as a file. */
static char *defaults_text(size_t *ret_n)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, ret_n);

	if (!to)
		return NULL;
	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];
		int indent = 0;

		if (k->type == VS_CONFIG_FIELD)
			continue;
		for (const char *s = k->path; *s; s++)
			indent += *s == '.' ? 2 : 0;
		(void)fprintf(to, "%*s%s: %s\n", indent, "", vs_config_key_name(k),
			      k->fallback ? k->fallback : "");
	}
	return fclose(to) ? NULL : text;
}

void vs_config_defaults(struct vs_config *ret)
{
	int lines[VS_CONFIG_KEY__N];
	struct vs_config_problems problems = { 0 };
	size_t n = 0;
	vs_autofree char *text = defaults_text(&n);
	int r = text ? vs_config_outline(text, n, lines, &problems) : -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	if (!r)
		r = vs_config_fill(text, n, lines, ret);
	vs_config_problems_done(&problems);
	/* A default that is not allowed is a mistake in the table, which tests find. */
	assert(r != -EINVAL);
	if (r)
		abort(); /* no memory for 2 KiB */
}

int vs_config_parse(const char *bytes, size_t n, struct vs_config *ret,
		    struct vs_config_problems *problems)
{
	int lines[VS_CONFIG_KEY__N];
	vs_autofree struct vs_config *c = malloc(sizeof(*c));
	bool any = false;
	int r;

	if (!c)
		return -ENOMEM;
	r = vs_config_outline(bytes, n, lines, problems);
	if (r)
		return r;
	vs_config_defaults(c);
	for (int i = 0; i < vs_config_keys_n; i++)
		any |= lines[i] != 0;
	r = any ? vs_config_fill(bytes, n, lines, c) : 0;
	if (r == -EINVAL)
		vs_config_problem_add(problems, 0, NULL, "what virtscope.yaml(5) shows",
				      "not accepted by libcyaml");
	if (!r)
		r = vs_config_check_whole(c, lines, problems);
	if (!r)
		*ret = *c;
	return r;
}

static int unreadable(struct vs_config_problems *problems, int err, const char *what)
{
	vs_config_problem_add(problems, 0, NULL, NULL, "%s", what);
	return -err;
}

int vs_config_read(const char *file, struct vs_config *ret, struct vs_config_problems *problems)
{
	/* NONBLOCK: a FIFO would wait for somebody to write. */
	vs_autoclose int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	vs_autofree char *bytes = NULL;
	size_t n = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return unreadable(problems, errno, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return unreadable(problems, EINVAL, "is not a regular file");
	bytes = malloc(VS_CONFIG_MAX_BYTES + 1);
	if (!bytes)
		return unreadable(problems, ENOMEM, strerror(ENOMEM));
	while (n <= VS_CONFIG_MAX_BYTES) {
		ssize_t got = read(fd, bytes + n, VS_CONFIG_MAX_BYTES + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return unreadable(problems, errno, strerror(errno));
		if (!got)
			return vs_config_parse(bytes, n, ret, problems);
		n += (size_t)got;
	}
	return unreadable(problems, EFBIG, "is larger than 1 MiB");
}

static void put(const struct vs_config_key *k, const char *value, char *at)
{
	uint64_t count = strtoull(value, NULL, 10);
	uint32_t count32 = (uint32_t)count;
	double number = strtod(value, NULL);
	bool yes = strcmp(value, "true") == 0;

	memset(at, 0, k->size);
	switch (k->type) {
	case VS_CONFIG_BOOL:
		memcpy(at, &yes, sizeof(yes));
		break;
	case VS_CONFIG_COUNT:
		memcpy(at, k->size == sizeof(count) ? (void *)&count : (void *)&count32, k->size);
		break;
	case VS_CONFIG_NUMBER:
	case VS_CONFIG_NUMBERS:
		memcpy(at, &number, sizeof(number));
		break;
	default:
		memcpy(at, value, strlen(value));
	}
}

int vs_config_set(struct vs_config *c, const char *key, const char *value, bool append)
{
	int row = vs_config_key_find(key, strlen(key));
	const struct vs_config_key *k = &vs_config_keys[row < 0 ? 0 : row];
	uint32_t n = 0;

	if (row < 0 || !is_value(k) || k->type == VS_CONFIG_RECORDS)
		return -ENOENT;
	if (vs_config_value_wrong(k, value, strlen(value), true))
		return -EINVAL;
	if (k->entries) {
		if (append)
			memcpy(&n, (char *)c + k->count_offset, sizeof(n));
		else
			memset((char *)c + k->offset, 0, (size_t)k->size * k->entries);
		if (n == k->entries)
			return -ENOSPC;
	}
	put(k, value, (char *)c + k->offset + (size_t)n * k->size);
	if (k->entries) {
		n++;
		memcpy((char *)c + k->count_offset, &n, sizeof(n));
	}
	return 0;
}

void vs_config_copy(struct vs_config *to, const struct vs_config *from, const char *key)
{
	const struct vs_config_key *k = &vs_config_keys[vs_config_key_find(key, strlen(key))];

	memcpy((char *)to + k->offset, (const char *)from + k->offset,
	       (size_t)k->size * (k->entries ? k->entries : 1));
	if (k->entries)
		memcpy((char *)to + k->count_offset, (const char *)from + k->count_offset,
		       sizeof(uint32_t));
}

void vs_config_diff(const struct vs_config *a, const struct vs_config *b,
		    void (*fn)(void *data, const char *key, bool now), void *data)
{
	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];
		size_t size = (size_t)k->size * (k->entries ? k->entries : 1);

		if (!is_value(k))
			continue;
		if (memcmp((const char *)a + k->offset, (const char *)b + k->offset, size) ||
		    (k->entries && memcmp((const char *)a + k->count_offset,
					  (const char *)b + k->count_offset, sizeof(uint32_t))))
			fn(data, k->path, k->now);
	}
}
