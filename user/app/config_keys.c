/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_keys.c - the table of all keys, and what a text may be. */
#include "app/config_table.h"
#include "detect/detect.h"
#include "discover/libvirt.h"
#include "probe/plan.h"
#include "serve/control.h"
#include "serve/event_memory.h"
#include "serve/http.h"
#include "serve/http_guard.h"
#include "sink/jsonl.h"

#include <stdlib.h>
#include <string.h>

static bool is_path(const char *s)
{
	return s[0] == '/';
}

static bool is_path_or_empty(const char *s)
{
	return !s[0] || is_path(s);
}

static bool is_user(const char *s)
{
	/* as adduser(8) has it */
	return !s[0] || (s[0] >= 'a' && s[0] <= 'z') || s[0] == '_' ?
		       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(s) :
		       false;
}

/* A number in decimal, up to @max. */
static bool is_number(const char *s, long min, long max)
{
	char *end;
	long n = strtol(s, &end, 10);

	return s[0] >= '0' && s[0] <= '9' && !*end && n >= min && n <= max;
}

static bool is_sample(const char *s)
{
	long n = strtol(s, NULL, 10);

	return strcmp(s, "auto") == 0 || (is_number(s, 1, 1 << 20) && !(n & (n - 1)));
}

static bool is_hook(const char *s)
{
	return vs_hook_parse(s) >= 0;
}

static bool is_name_and_pid(const char *s)
{
	const char *eq = strrchr(s, '=');

	return eq && eq != s && eq - s < 256 && is_number(eq + 1, 1, 4194304);
}

static bool is_yes_no_auto(const char *s)
{
	return strcmp(s, "true") == 0 || strcmp(s, "false") == 0 || strcmp(s, "auto") == 0;
}

static bool is_listen(const char *s)
{
	return strcmp(s, "none") == 0 || vs_http_guard_address(s, NULL) == 0;
}

#define AT(m)	  .offset = offsetof(struct vs_config, m), .size = sizeof(((struct vs_config *)0)->m)
#define LIST(m)                                                                        \
	.offset = offsetof(struct vs_config, m),                                       \
	.size = sizeof(((struct vs_config *)0)->m[0]),                                 \
	.count_offset = offsetof(struct vs_config, m##_n),                             \
	.entries = sizeof(((struct vs_config *)0)->m) / sizeof(((struct vs_config *)0)->m[0])
#define FIELD(m, f)                                                                    \
	.offset = offsetof(__typeof__(((struct vs_config *)0)->m[0]), f),              \
	.size = sizeof(((struct vs_config *)0)->m[0].f)
#define NOW .now = true
/* Defaults that a module states as a number. */
#define TEXT_OF(macro)	  TEXT_OF_VALUE(macro)
#define TEXT_OF_VALUE(value) #value

const struct vs_config_key vs_config_keys[] = {
	{ "control", VS_CONFIG_TEXT, AT(control), .min = 1, .ok = is_path,
	  .fallback = VS_CONTROL_PATH, .allowed = "an absolute path of up to 99 bytes",
	  .help = "The socket on which the daemon answers virtscope report and virtscope events." },
	{ "user", VS_CONFIG_TEXT, AT(user), .ok = is_user, .fallback = "\"\"",
	  .allowed = "the name of a user, or \"\"",
	  .help = "Whom the part of the daemon that serves the outside becomes; the one that measures "
		  "keeps its privileges. \"\": nobody else, but without capabilities. That user reads "
		  "this file again on SIGHUP, so let its group do so." },

	{ "libvirt", VS_CONFIG_SECTION, .help = "Who a VM is, by libvirt's word." },
	{ "libvirt.uri", VS_CONFIG_TEXT, AT(libvirt.uri), .min = 1, .fallback = VS_LIBVIRT_URI,
	  .allowed = "a libvirt URI, or none",
	  .help = "The libvirt that is asked, read-only. none: what /proc says is enough." },
	{ "libvirt.labels", VS_CONFIG_RECORDS,
	  .offset = offsetof(struct vs_config, libvirt.labels.rule),
	  .count_offset = offsetof(struct vs_config, libvirt.labels.n),
	  .size = sizeof(struct vs_label_rule), .entries = VS_LABEL__N,
	  .fallback = "[{name: nova_name, path: instance/name}, "
		      "{name: nova_project, path: instance/owner/project}]",
	  .allowed = "a list of up to 8 mappings with name and path",
	  .help = "What of a domain's <metadata> becomes a label of virtscope_vm_info and of the "
		  "report. Nothing else of it is read." },
	{ "libvirt.labels[].name", VS_CONFIG_FIELD, FIELD(libvirt.labels.rule, name), .min = 1,
	  .ok = vs_label_name_ok,
	  .allowed = "letters, digits and _, 32 at most, no digit or __ first, no label of virtscope's own",
	  .help = "The label's name." },
	{ "libvirt.labels[].path", VS_CONFIG_FIELD, FIELD(libvirt.labels.rule, path), .min = 1,
	  .ok = vs_label_path_ok,
	  .allowed = "names of elements with / between them, then perhaps /@attribute",
	  .help = "Where its value stands below <metadata>, by the local names of elements." },

	{ "probe", VS_CONFIG_SECTION, .help = "What is measured, and how." },
	{ "probe.sample", VS_CONFIG_TEXT, AT(probe.sample), .min = 1, .ok = is_sample,
	  .fallback = "auto", .allowed = "auto, or a power of two from 1 to 1048576",
	  .help = "Time one packet in so many. auto: 1 in 1 to 64, by the rate." },
	{ "probe.vms", VS_CONFIG_TEXTS, LIST(probe.vms), .min = 1, .ok = is_name_and_pid,
	  .fallback = "[]", .allowed = "a list of up to 64 NAME=PID",
	  .help = "Processes to take for VMs, whatever they are." },
	{ "probe.deny", VS_CONFIG_TEXTS, LIST(probe.deny), .min = 1, .ok = is_hook, .fallback = "[]",
	  .allowed = "a list of tp_btf, raw_tp, iter, fentry, kprobe, sched, bpf",
	  .help = "Kinds of hooks to do without. virtscope doctor says what is lost by it." },

	{ "events", VS_CONFIG_SECTION, .help = "Where events go. docs/EVENTS.md has their types." },
	{ "events.file", VS_CONFIG_SECTION, .help = "One JSON object a line." },
	{ "events.file.path", VS_CONFIG_TEXT, AT(events.file.path), NOW, .ok = is_path_or_empty,
	  .fallback = "\"\"", .allowed = "an absolute path, or \"\" for no file",
	  .help = "The file that events are appended to, mode 0640." },
	{ "events.file.max_bytes", VS_CONFIG_COUNT, AT(events.file.max_bytes), NOW, .min = 0,
	  .max = 1ll << 40, .fallback = "67108864" /* VS_JSONL_MAX_BYTES */, .allowed = "a number from 0 to 1099511627776",
	  .help = "The file is rotated before it grows larger. 0: never; logrotate does it." },
	{ "events.file.keep", VS_CONFIG_COUNT, AT(events.file.keep), NOW, .min = 0, .max = 100,
	  .fallback = TEXT_OF(VS_JSONL_KEEP), .allowed = "a number from 0 to 100",
	  .help = "How many rotated files (PATH.1, PATH.2, ...) are kept." },
	{ "events.journal", VS_CONFIG_BOOL, AT(events.journal), NOW, .fallback = "false",
	  .allowed = "true or false",
	  .help = "Write events to journald, with fields of their own (VIRTSCOPE_TYPE, ...)." },
	{ "events.stdout", VS_CONFIG_TEXT, AT(events.stdout_), NOW, .min = 1, .ok = is_yes_no_auto,
	  .fallback = "auto", .allowed = "true, false or auto",
	  .help = "Write events to standard output. auto: where there is no file and no journal." },
	{ "events.memory", VS_CONFIG_COUNT, AT(events.memory), .min = 1, .max = 1000000,
	  .fallback = TEXT_OF(VS_EVENT_MEMORY_EVENTS), .allowed = "a number from 1 to 1000000",
	  .help = "How many of the last events are kept for virtscope events." },

	{ "metrics", VS_CONFIG_SECTION,
	  .help = "Figures for Prometheus, and the report as JSON, over HTTP." },
	{ "metrics.listen", VS_CONFIG_TEXT, AT(metrics.listen), .min = 1, .ok = is_listen,
	  .fallback = "none", .allowed = "none, or ADDRESS:PORT (127.0.0.1:9752, [::1]:9752)",
	  .help = "Where to listen. none: nowhere; the package's file says " VS_HTTP_LISTEN ", since "
		  "of several daemons on a host one alone gets it. What can be reached from elsewhere needs tls_certificate, tls_key and token_file." },
	{ "metrics.tls_certificate", VS_CONFIG_TEXT, AT(metrics.tls_certificate),
	  .ok = is_path_or_empty, .fallback = "\"\"", .allowed = "an absolute path, or \"\" for none",
	  .help = "The server's certificate, PEM, with those that signed it." },
	{ "metrics.tls_key", VS_CONFIG_TEXT, AT(metrics.tls_key), .ok = is_path_or_empty,
	  .fallback = "\"\"", .allowed = "an absolute path, or \"\" for none",
	  .help = "The private key of the certificate, PEM." },
	{ "metrics.token_file", VS_CONFIG_TEXT, AT(metrics.token_file), .ok = is_path_or_empty,
	  .fallback = "\"\"", .allowed = "an absolute path, or \"\" for none",
	  .help = "A file whose first line is the bearer token that clients must show." },
	{ "metrics.buckets", VS_CONFIG_NUMBERS, LIST(metrics.buckets), NOW, .min = 2e-6, .max = 60,
	  .fallback = "[0.00002, 0.0001, 0.0005, 0.002, 0.01, 0.1, 1]",
	  .allowed = "a list of 1 to 32 numbers from 0.000002 to 60, each larger than the one before",
	  .help = "Upper bounds of the histograms' buckets, in seconds; each is moved to the nearest edge "
		  "of the probe's own buckets, at most 6 % away." },
	{ "metrics.series_per_vm", VS_CONFIG_COUNT, AT(metrics.series_per_vm), NOW, .min = 20,
	  .max = 100000, .fallback = "150", .allowed = "a number from 20 to 100000",
	  .help = "No VM has more series than this; the rest is folded into \"other\"." },
	{ "metrics.vms", VS_CONFIG_COUNT, AT(metrics.vms), NOW, .min = 1, .max = 100000,
	  .fallback = "500", .allowed = "a number from 1 to 100000",
	  .help = "No more VMs have series of their own; the rest is folded into \"other\"." },
	{ "metrics.detail", VS_CONFIG_TEXTS, LIST(metrics.detail), NOW, .min = 1, .fallback = "[]",
	  .allowed = "a list of up to 64 names of VMs",
	  .help = "VMs that are shown in full detail, with ten times as many series; \"*\": all." },

	{ "detect", VS_CONFIG_SECTION, .help = "When a VM behaves unlike itself: anomaly events." },
	{ "detect.enabled", VS_CONFIG_BOOL, AT(detect.enabled), NOW, .fallback = "true",
	  .allowed = "true or false", .help = "Look for anomalies." },
	{ "detect.warmup_s", VS_CONFIG_COUNT, AT(detect.warmup_s), NOW, .min = 1, .max = 604800,
	  .fallback = TEXT_OF(VS_DETECT_WARMUP_S), .allowed = "a number from 1 to 604800",
	  .help = "Seconds for which a series is only learnt." },
	{ "detect.threshold", VS_CONFIG_NUMBER, AT(detect.threshold), NOW, .min = 1, .max = 1000,
	  .fallback = TEXT_OF(VS_DETECT_THRESHOLD), .allowed = "a number from 1 to 1000",
	  .help = "How many usual deviations from the usual are an anomaly." },
	{ "detect.hold_off_s", VS_CONFIG_COUNT, AT(detect.hold_off_s), NOW, .min = 0, .max = 604800,
	  .fallback = TEXT_OF(VS_DETECT_HOLD_OFF_S), .allowed = "a number from 0 to 604800",
	  .help = "Seconds after an anomaly of a series before the next one is told." },
	{ "detect.accept_s", VS_CONFIG_COUNT, AT(detect.accept_s), NOW, .min = 1, .max = 604800,
	  .fallback = TEXT_OF(VS_DETECT_ACCEPT_S), .allowed = "a number from 1 to 604800",
	  .help = "An anomaly that lasts for so many seconds is the new normal." },
};
const int vs_config_keys_n = sizeof(vs_config_keys) / sizeof(vs_config_keys[0]);
_Static_assert(sizeof(vs_config_keys) / sizeof(vs_config_keys[0]) <= VS_CONFIG_KEY__N,
	       "VS_CONFIG_KEY__N is the size of arrays by row");

int vs_config_key_find(const char *path, size_t len)
{
	for (int i = 0; i < vs_config_keys_n; i++)
		if (strlen(vs_config_keys[i].path) == len &&
		    memcmp(vs_config_keys[i].path, path, len) == 0)
			return i;
	return -1;
}

const char *vs_config_key_name(const struct vs_config_key *k)
{
	const char *dot = strrchr(k->path, '.');

	return dot ? dot + 1 : k->path;
}

bool vs_config_key_inside(int i, int section)
{
	const struct vs_config_key *k = &vs_config_keys[i];
	const char *dot = strrchr(k->path, '.');
	const char *parent = section < 0 ? "" : vs_config_keys[section].path;
	size_t len = dot ? (size_t)(dot - k->path) : 0;

	if (k->type == VS_CONFIG_FIELD)
		len -= 2; /* [] */
	return strlen(parent) == len && memcmp(k->path, parent, len) == 0;
}

void vs_config_key_list(int section, char *dst, size_t size)
{
	size_t at = 0;

	dst[0] = '\0';
	for (int i = 0; i < vs_config_keys_n && at < size; i++)
		if (vs_config_key_inside(i, section))
			at += (size_t)snprintf(dst + at, size - at, "%s%s", at ? ", " : "",
					       vs_config_key_name(&vs_config_keys[i]));
}
