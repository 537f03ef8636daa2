/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/settings.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A flag's path is meant from where the daemon was started, the file's is absolute. */
static const char *from_here(const char *path, char *dst, size_t size)
{
	char here[PATH_MAX];

	if (path[0] == '/' || !getcwd(here, sizeof(here)))
		return path;
	(void)snprintf(dst, size, "%s/%s", here, path);
	return dst;
}

static int override_one(struct vs_config *c, const struct vs_override *o)
{
	char path[2 * PATH_MAX];

	if (strcmp(o->key, "events.file.path") == 0) {
		bool out = strcmp(o->value, "-") == 0;

		(void)vs_config_set(c, "events.stdout", out ? "true" : "auto", false);
		return vs_config_set(c, o->key, out ? "" : from_here(o->value, path, sizeof(path)),
				     false);
	}
	if (strcmp(o->key, "control") == 0)
		return vs_config_set(c, o->key, from_here(o->value, path, sizeof(path)), false);
	return vs_config_set(c, o->key, o->value, o->append);
}

/* NULL: there is none, and none was asked for. */
static const char *file_of(const struct vs_options *options)
{
	if (options->config)
		return options->config;
	/* One that is there but cannot be read is an error, not silence. */
	return access(VS_CONFIG_PATH, F_OK) == 0 || errno != ENOENT ? VS_CONFIG_PATH : NULL;
}

static int read_all(const struct vs_options *options, struct vs_config *ret)
{
	vs_autofree struct vs_config *c = malloc(sizeof(*c));
	struct vs_config_problems problems = { 0 };
	const char *file = file_of(options);
	int r = 0;

	if (!c)
		return vs_fail(ENOMEM, "read the configuration: %s", strerror(ENOMEM));
	if (file)
		r = vs_config_read(file, c, &problems);
	else
		vs_config_defaults(c);
	if (r && !problems.n)
		vs_error("%s: %s", file, strerror(-r));
	for (uint32_t i = 0; i < options->overrides_n && !r; i++) {
		r = override_one(c, &options->overrides[i]);
		if (r)
			vs_error("run: '%s' is not possible for %s", options->overrides[i].value,
				 options->overrides[i].key);
	}
	if (!r) {
		r = vs_config_check_whole(c, NULL, &problems);
		file = "flags";
	}
	vs_config_problems_tell(file, "virtscope: ", &problems);
	vs_config_problems_done(&problems);
	if (!r)
		*ret = *c;
	return r;
}

bool vs_settings_stdout(const struct vs_config *c)
{
	if (strcmp(c->events.stdout_, "auto") == 0)
		return !c->events.file.path[0] && !c->events.journal;
	return strcmp(c->events.stdout_, "true") == 0;
}

static void set_live(const struct vs_config *c, struct vs_options *o)
{
	struct vs_live_options *live = &o->live;

	o->sample_n = (int)strtol(c->probe.sample, NULL, 10); /* "auto": 0 */
	live->sample_shift = o->sample_n ? (uint8_t)__builtin_ctz((unsigned int)o->sample_n) : 255;
	live->libvirt = c->libvirt.uri;
	live->labels = &c->libvirt.labels;
	live->denied = 0;
	for (uint32_t i = 0; i < c->probe.deny_n; i++)
		live->denied |= 1u << vs_hook_parse(c->probe.deny[i]);
	live->forced_n = c->probe.vms_n;
	for (uint32_t i = 0; i < c->probe.vms_n; i++) {
		const char *eq = strrchr(c->probe.vms[i], '=');
		size_t n = (size_t)(eq - c->probe.vms[i]);

		memcpy(o->forced_names[i], c->probe.vms[i], n);
		o->forced_names[i][n] = '\0';
		live->forced[i].name = o->forced_names[i];
		live->forced[i].pid = (uint32_t)strtoul(eq + 1, NULL, 10);
	}
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void set_http(struct vs_settings *s)
{
	const struct vs_config *c = &s->config;
	struct vs_exports_options *exports = &s->now.http.exports;

	s->now.http.listen = c->metrics.listen;
	s->now.http.tls_certificate = or_null(c->metrics.tls_certificate);
	s->now.http.tls_key = or_null(c->metrics.tls_key);
	s->now.http.token_file = or_null(c->metrics.token_file);
	_Static_assert(sizeof(exports->buckets) == sizeof(c->metrics.buckets), "as many buckets");
	memcpy(exports->buckets, c->metrics.buckets, sizeof(exports->buckets));
	exports->buckets_n = c->metrics.buckets_n;
	exports->series_per_vm = c->metrics.series_per_vm;
	exports->vms = c->metrics.vms;
	for (uint32_t i = 0; i < c->metrics.detail_n; i++)
		s->detail[i] = c->metrics.detail[i];
	exports->detail = s->detail;
	exports->detail_n = c->metrics.detail_n;
}

/* From the configuration to the options of the modules. */
static void spread(struct vs_settings *s)
{
	const struct vs_config *c = &s->config;

	s->now.control = c->control;
	s->now.user = or_null(c->user);
	s->now.detect = (struct vs_detect_options){ .enabled = c->detect.enabled,
						    .warmup_s = c->detect.warmup_s,
						    .threshold = c->detect.threshold,
						    .hold_off_s = c->detect.hold_off_s,
						    .accept_s = c->detect.accept_s };
	set_live(c, &s->now);
	set_http(s);
}

int vs_settings_open(const struct vs_options *given, struct vs_settings **ret)
{
	vs_autofree struct vs_settings *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return vs_fail(ENOMEM, "read the configuration: %s", strerror(ENOMEM));
	r = read_all(given, &s->config);
	if (r)
		return r;
	s->given = given;
	s->now = *given;
	spread(s);
	*ret = vs_take_ptr(s);
	return 0;
}

struct reload {
	struct vs_config *new;
	const struct vs_config *old;
	uint32_t changed, postponed;
};

static void changed(void *data, const char *key, bool now)
{
	struct reload *r = data;

	r->changed++;
	vs_info("%s: changed%s", key, now ? "" : ", takes effect after a restart");
	if (now)
		return;
	r->postponed++;
	vs_config_copy(r->new, r->old, key);
}

int vs_settings_reload(struct vs_settings *s)
{
	vs_autofree struct vs_config *read = malloc(sizeof(*read));
	vs_autofree struct vs_config *new = malloc(sizeof(*new));
	struct reload reload = { .new = new, .old = &s->config };
	int r = read && new ? read_all(s->given, read) : -ENOMEM;

	if (r) {
		vs_error("reload: the settings stay as they were%s",
			 r == -EACCES ? "; let the group of the daemon's user read the file" : "");
		return r;
	}
	*new = *read;
	vs_config_diff(&s->config, read, changed, &reload);
	s->config = *new;
	spread(s);
	vs_info("reload: %u keys changed, %u of them after a restart", reload.changed,
		reload.postponed);
	return 0;
}
