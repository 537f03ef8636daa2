/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_check.c - is a value possible, do values go together; and the list of problems. */
#include "app/config_table.h"
#include "base/text.h"
#include "serve/http_guard.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *count_wrong(const struct vs_config_key *k, const char *s)
{
	char *end;
	unsigned long long n;

	/* strtoull() takes blanks, signs and, by libcyaml, octal: 010 would be 8. */
	if (!s[0] || strspn(s, "0123456789") != strlen(s) || (s[0] == '0' && s[1]))
		return "is no whole number";
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno || (double)n < k->min || (double)n > k->max)
		return "is out of range";
	return NULL;
}

static const char *number_wrong(const struct vs_config_key *k, const char *s)
{
	char *end;
	double n;

	/* no nan, inf, or hexadecimal */
	if (!s[0] || strspn(s, "0123456789.eE+-") != strlen(s))
		return "is no number";
	n = strtod(s, &end);
	if (*end || !isfinite(n))
		return "is no number";
	return n < k->min || n > k->max ? "is out of range" : NULL;
}

static const char *text_wrong(const struct vs_config_key *k, const char *s, size_t len)
{
	/* Other control characters may be in a VM's name, and do no harm. */
	if (strlen(s) != len)
		return "has a NUL in it";
	if (len >= k->size)
		return "is too long";
	if ((double)len < k->min)
		return "is empty";
	return k->ok && !k->ok(s) ? "is not possible" : NULL;
}

const char *vs_config_value_wrong(const struct vs_config_key *k, const char *text, size_t len,
				  bool plain)
{
	bool is_text = k->type == VS_CONFIG_TEXT || k->type == VS_CONFIG_TEXTS ||
		       k->type == VS_CONFIG_FIELD;

	if (is_text)
		return text_wrong(k, text, len);
	if (!plain)
		return "in quotes is text";
	if (strlen(text) != len)
		return "is not possible";
	if (k->type == VS_CONFIG_BOOL)
		return strcmp(text, "true") && strcmp(text, "false") ? "is neither true nor false" :
								       NULL;
	return k->type == VS_CONFIG_COUNT ? count_wrong(k, text) : number_wrong(k, text);
}

int vs_config_check_whole(const struct vs_config *c, const int *lines,
			  struct vs_config_problems *problems)
{
	static const struct {
		const char *key;
		uint32_t offset;
	} secrets[] = {
		{ "metrics.tls_certificate", offsetof(struct vs_config, metrics.tls_certificate) },
		{ "metrics.tls_key", offsetof(struct vs_config, metrics.tls_key) },
		{ "metrics.token_file", offsetof(struct vs_config, metrics.token_file) },
	};
	bool own = true, outside = vs_http_guard_address(c->metrics.listen, &own) == 0 && !own;
	uint32_t before = problems->n + problems->more;
#define LINE(key) (lines ? lines[vs_config_key_find(key, strlen(key))] : 0)

	for (size_t i = 0; outside && i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (!((const char *)c)[secrets[i].offset])
			vs_config_problem_add(problems, LINE("metrics.listen"), "metrics.listen",
					      "127.0.0.1:PORT, or with tls_certificate, tls_key and "
					      "token_file",
					      "'%s' can be reached from elsewhere, and %s is not set",
					      c->metrics.listen, secrets[i].key);
	if (!outside && !*c->metrics.tls_certificate != !*c->metrics.tls_key)
		vs_config_problem_add(problems,
				      *c->metrics.tls_key ? LINE("metrics.tls_key") :
							    LINE("metrics.tls_certificate"),
				      *c->metrics.tls_key ? "metrics.tls_key" :
							    "metrics.tls_certificate",
				      "both tls_certificate and tls_key, or neither",
				      "is of no use alone");
	if (!c->metrics.buckets_n)
		vs_config_problem_add(problems, LINE("metrics.buckets"), "metrics.buckets",
				      "a list of 1 to 32 numbers", "is empty");
	for (uint32_t i = 1; i < c->metrics.buckets_n; i++)
		if (!(c->metrics.buckets[i] > c->metrics.buckets[i - 1]))
			vs_config_problem_add(problems, LINE("metrics.buckets"), "metrics.buckets",
					      "numbers, each larger than the one before",
					      "%g comes after %g", c->metrics.buckets[i],
					      c->metrics.buckets[i - 1]);
	for (uint32_t i = 0; i < c->libvirt.labels.n; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(c->libvirt.labels.rule[i].name, c->libvirt.labels.rule[j].name) == 0)
				vs_config_problem_add(problems, LINE("libvirt.labels"),
						      "libvirt.labels", "each name once",
						      "'%s' is there twice",
						      c->libvirt.labels.rule[i].name);
#undef LINE
	return problems->n + problems->more > before ? -EINVAL : 0;
}

/* Text of others, made fit for a terminal. NULL if there is no memory. */
static char *printable(const char *s)
{
	char utf8[1024], safe[1024];

	(void)vs_text_utf8(utf8, sizeof(utf8), s, strlen(s));
	(void)vs_text_printable(safe, sizeof(safe), utf8);
	return strdup(safe);
}

void vs_config_problem_add(struct vs_config_problems *problems, int line, const char *key,
			   const char *allowed, const char *what, ...)
{
	struct vs_config_problem *p = &problems->problem[problems->n];
	char text[1024];
	va_list ap;

	if (problems->n == VS_CONFIG_PROBLEM__N) {
		problems->more++;
		return;
	}
	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	p->line = line;
	p->key = key ? printable(key) : NULL;
	p->what = printable(text);
	p->allowed = allowed ? printable(allowed) : NULL;
	problems->n++;
}

void vs_config_problems_done(struct vs_config_problems *problems)
{
	for (uint32_t i = 0; i < problems->n; i++) {
		free(problems->problem[i].key);
		free(problems->problem[i].what);
		free(problems->problem[i].allowed);
	}
	memset(problems, 0, sizeof(*problems));
}

void vs_config_problem_text(const char *file, const struct vs_config_problem *p, char *dst,
			    size_t size)
{
	char line[16] = "";

	if (p->line)
		(void)snprintf(line, sizeof(line), "%d:", p->line);
	(void)snprintf(dst, size, "%s:%s %s%s%s%s%s", file, line, p->key ? p->key : "",
		       p->key ? ": " : "", p->what ? p->what : "out of memory",
		       p->allowed ? "; allowed: " : "", p->allowed ? p->allowed : "");
}

void vs_config_problems_tell(const char *file, const char *prefix,
			     const struct vs_config_problems *problems)
{
	char text[1000], *name = printable(file);

	for (uint32_t i = 0; i < problems->n; i++) {
		vs_config_problem_text(name ? name : "?", &problems->problem[i], text, sizeof(text));
		(void)fprintf(stderr, "%s%s\n", prefix, text);
	}
	if (problems->more)
		(void)fprintf(stderr, "%s%s: %u more problems\n", prefix, name ? name : "?",
			      problems->more);
	free(name);
}
